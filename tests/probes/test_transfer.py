"""A probe is carried where the property is written alike, and nowhere else."""

import numpy as np
import pandas as pd
import pytest

import outcrop.probes.strengths
from outcrop.data.errors import InputError
from outcrop.probes.sweep import ProbeSpec, probe
from outcrop.probes.transfer import transfer_matrix

SPEC = ProbeSpec(group_by=("template",), bootstraps=100, strengths=(0.1, 1.0))
CELLS = [("mid", 0), ("mid", 1), ("up.1", 2)]


@pytest.fixture
def planted(recording):
    """``content`` in the same directions at two steps, of other scale and offset, and in others at a third cell."""
    rng = np.random.default_rng(0)
    codes = pd.factorize(recording.labels["content"], sort=True)[0]
    means, others = 2 * rng.standard_normal((2, 3, 12))
    recording.arrays["mid", 0] = rng.standard_normal((240, 12)) + means[codes]
    recording.arrays["mid", 1] = 50 + 7 * (rng.standard_normal((240, 12)) + means[codes])
    recording.arrays["up.1", 2] = rng.standard_normal((240, 12)) + others[codes]
    return recording


def test_it_is_carried_between_cells_that_write_alike(planted) -> None:
    frame = transfer_matrix(planted, "content", CELLS, spec=SPEC)
    matrix = frame["accuracy"].to_numpy().reshape(3, 3)
    assert (matrix[:2, :2] > 0.95).all()
    assert matrix[2, 2] > 0.95
    assert (matrix[:2, 2] < 0.8).all()
    assert (matrix[2, :2] < 0.8).all()
    assert ((frame["low"] <= frame["accuracy"]) & (frame["accuracy"] <= frame["high"])).all()
    assert [*zip(frame["site"], frame["step"], strict=True)][::3] == CELLS
    assert [*zip(frame["tested_site"], frame["tested_step"], strict=True)][:3] == CELLS


def test_at_home_it_is_the_sweep(planted) -> None:
    planted.arrays["mid", 0] = (planted.arrays["mid", 0] + 3 * np.random.default_rng(1).standard_normal((240, 12))) / 5
    home = transfer_matrix(planted, "content", [("mid", 0)], spec=SPEC)["accuracy"].item()
    table = probe(planted, spec=ProbeSpec(group_by=("template",), sites=("mid",), steps=(0,), strengths=(0.1, 1.0)))
    expected = table.frame.set_index("property").loc["content", "accuracy"]
    assert expected < 0.95
    assert home == pytest.approx(expected, abs=0.02)


def test_rows_without_a_label_do_not_count(planted) -> None:
    planted.labels.loc[planted.labels.index[:40], "content"] = None
    frame = transfer_matrix(planted, "content", CELLS[:2], spec=SPEC)
    assert (frame["accuracy"] > 0.95).all()


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([], "at least one"),
        ("mid", r"pairs of a site and a step, \('mid_block', 3\). Got 'mid'"),
        (["mid"], "pairs of a site and a step.* Got 'mid'"),
        ([("middle", 0)], "'middle' matches nothing"),
        ([("mid", 9)], r"Got \[9\]"),
        ([("mid", 0), ("down.0", 0)], r"one width. Got .*'down.0', 0\): 8"),
    ],
)
def test_cells_that_cannot_be_compared_are_named(planted, cells: list[tuple[str, int]], message: str) -> None:
    planted.arrays["down.0", 0] = np.random.default_rng(0).standard_normal((240, 8))
    with pytest.raises(InputError, match=message):
        transfer_matrix(planted, "content", cells, spec=SPEC)


def test_whoever_waits_is_told_how_far_it_is(planted) -> None:
    calls: list[tuple[int, int]] = []
    transfer_matrix(planted, "content", CELLS, spec=SPEC, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 6) for done in range(1, 7)]


def test_folds_are_held_one_by_one_where_they_are_large(planted) -> None:
    """What is fitted does not depend on how many folds are in memory at once."""
    together = transfer_matrix(planted, "content", CELLS[:2], spec=SPEC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outcrop.probes.strengths, "DESIGN_BYTES", 1)
        apart = transfer_matrix(planted, "content", CELLS[:2], spec=SPEC)
    assert (together["accuracy"] - apart["accuracy"]).abs().max() < 0.01
