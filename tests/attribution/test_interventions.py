"""Interventions are plain records: they go to JSON and back, and what makes no sense is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outcrop.attribution.blocks import plan_groups
from outcrop.attribution.cells import Grid, cut_windows
from outcrop.attribution.interventions import from_json, to_json
from outcrop.data.errors import InputError

RECORDS: list[dict[str, Any]] = [
    {"kind": "prompt-injection", "onward": True, "half": "cond"},
    {"kind": "activation-patch", "region": [0, 0, 0.5, 1], "window": [2, 7]},
    {"kind": "activation-patch", "tokens": [0, -1]},
    {"kind": "activation-patch", "heads": [3]},
    {"kind": "activation-patch", "subspace": [[1, 0.5], [0, 2]]},
    {"kind": "activation-patch", "dataset": "ds", "samples": ["a", "b"]},
    {"kind": "ablation", "value": "resample"},
    {"kind": "steering", "direction": [0.1, -2], "dose": 3},
    {"kind": "erasure", "mean": [1, 2], "into": [[1, 0]], "away": [[0.5], [0]]},
    {"kind": "head-scaling", "heads": [0], "factor": 2},
    {"kind": "latent-swap"},
]


@pytest.mark.parametrize("fields", RECORDS)
def test_a_record_goes_to_json_and_back_and_is_frozen(fields: dict[str, Any]) -> None:
    record = from_json(json.dumps({"sites": ["mid_block"]} | fields))
    assert from_json(to_json(record)) == record
    assert hash(record) == hash(from_json(to_json(record)))
    with pytest.raises(ValueError, match="frozen"):
        record.sites = ("other",)  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "patch"}, "no intervention"),
        ({"kind": "ablation", "sites": []}, "at least 1"),
        ({"kind": "ablation", "window": [3, 2]}, "window must be a first and a last step"),
        ({"kind": "ablation", "value": "median"}, "zero"),
        ({"kind": "ablation", "dose": 2}, "dose"),
        ({"kind": "activation-patch", "region": [0, 0, 2, 1]}, "region must be top, left, bottom, right"),
        ({"kind": "activation-patch", "heads": [1], "tokens": [1]}, "one of region, tokens and heads"),
        ({"kind": "activation-patch", "dataset": "ds"}, "needs both dataset"),
        ({"kind": "erasure", "mean": [1, 2], "into": [[1]], "away": [[1], [1]]}, "An erasure of mean"),
        ({"kind": "head-scaling", "heads": []}, "at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_json(json.dumps({"sites": ["mid_block"]} | fields))


def test_doses_belong_to_steering_and_heads() -> None:
    steer = Grid.model_validate({"intervention": {"sites": ["a"], **RECORDS[7]}, "doses": [-1, 0, 1], "windows": 2})
    cells = steer.expand(["x", "y"], steps=10)
    assert len(cells) == 12
    told = {(cell.info(10).site, cell.info(10).window, cell.info(10).dose) for cell in cells}
    assert told == {(site, window, dose) for site in "xy" for window in ("0-4", "5-9") for dose in (-1, 0, 1)}
    ablate = Grid.model_validate({"intervention": {"sites": ["a"], **RECORDS[6]}, "doses": [1]})
    with pytest.raises(InputError, match="has no dose"):
        ablate.expand(["x"], steps=10)


@given(st.integers(1, 60).flatmap(lambda steps: st.tuples(st.just(steps), st.integers(1, steps))))
def test_windows_are_all_steps_once(given: tuple[int, int]) -> None:
    steps, count = given
    windows = cut_windows(steps, count)
    assert [step for first, last in windows for step in range(first, last + 1)] == list(range(steps))
    assert len({last - first for first, last in windows}) <= 2


@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=40),
    st.integers(1, 30),
    st.integers(2, 50),
)
def test_every_pair_meets_every_cell_once_in_batches_that_hold_it(
    kinds: list[tuple[int, bool]], pairs: int, batch: int
) -> None:
    groups = plan_groups([start for start, _ in kinds], [donors for _, donors in kinds], pairs=pairs, batch=batch)
    blocks = [block for group in groups for block in group.blocks]
    met = sorted((cell, pair) for block in blocks for cell in block.cells for pair in block.pairs)
    assert met == [(cell, pair) for cell in range(len(kinds)) for pair in range(pairs)]
    for block in blocks:
        assert {kinds[cell] for cell in block.cells} == {(block.start, block.donors)}
        assert block.rows <= batch or len(block.cells) == 1
