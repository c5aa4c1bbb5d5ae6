"""Selecting by name, role, time, noise level and label; what selects nothing is named."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from outcrop.data.dataset import open_dataset
from outcrop.data.errors import DataError, InputError


def test_a_selection_is_the_part_of_the_whole(folder: Path) -> None:
    ds = open_dataset(folder)
    part = ds.select("up_*", steps=1, where="content == 'star' and seed > 2")
    keep = (ds.labels["content"] == "star") & (ds.samples["seed"] > 2)
    assert list(part.samples.index) == list(ds.samples.index[keep])
    assert list(part.sites.index) == ["up_blocks.0"]
    assert list(part.steps.index) == [1]
    expected = ds.activations("up_blocks.0", step=1)[keep.to_numpy()]
    np.testing.assert_array_equal(part.activations("up_blocks.0", step=1), expected)
    np.testing.assert_array_equal(part.activations("up_blocks.0"), expected)
    assert part.nbytes == expected.nbytes
    assert "3 samples, selected of 8" in repr(part)


def test_selections_compose(folder: Path) -> None:
    ds = open_dataset(folder)
    part = ds.select(where={"content": "star"}).select(ids=list(ds.samples.index[[5, 1]]))
    np.testing.assert_array_equal(part.activations("mid_block", step=0), ds.activations("mid_block", step=0)[[5, 1]])
    assert list(part.labels["size"]) == [2.5, 0.5]


@pytest.mark.parametrize(
    ("wanted", "steps"),
    [
        ({"steps": [1, 0]}, [0, 1]),
        ({"steps": range(1)}, [0]),
        ({"timestep": 520}, [1]),
        ({"timestep": (500, 900)}, [0, 1]),
        ({"noise": 99.0}, [0]),
        ({"noise": (0, 89.5)}, [1]),
    ],
)
def test_steps_are_chosen_by_index_timestep_or_noise(folder: Path, wanted: dict, steps: list[int]) -> None:
    assert list(open_dataset(folder).select(**wanted).steps.index) == steps


def test_a_column_is_read_by_timestep_or_noise(folder: Path) -> None:
    ds = open_dataset(folder)
    for wanted, step in (({"timestep": 480}, 1), ({"noise": 95}, 0)):
        np.testing.assert_array_equal(ds.activations("mid_block", **wanted), ds.activations("mid_block", step=step))


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"sites": "down*"}, r"Site pattern 'down\*' matches nothing"),
        ({"role": "blck"}, "No chosen site has the role 'blck'.*Did you mean 'block'"),
        ({"steps": 7}, r"step must be one of 0 to 1.*Got 7"),
        ({"steps": []}, "at least one step"),
        ({"timestep": (1, 2)}, "No recorded step has a timestep from 1 to 2"),
        ({"timestep": 1, "noise": 2}, "not several"),
        ({"where": "content == 'cat'"}, "No sample fulfils"),
        ({"where": "nonsense =="}, "is no query over the columns"),
        ({"where": {"contnt": "star"}}, "no column 'contnt'.*Did you mean 'content'"),
        ({"ids": ["nobody"]}, "no sample 'nobody'"),
    ],
)
def test_what_selects_nothing_is_named(folder: Path, wanted: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_dataset(folder).select(**wanted)


def test_a_column_needs_one_step(folder: Path) -> None:
    with pytest.raises(InputError, match=r"step must be one of \[0, 1\]. Got none"):
        open_dataset(folder).activations("mid_block")


@pytest.mark.parametrize("seed", range(4))
def test_rows_come_in_the_order_in_which_they_are_asked_for(folder: Path, seed: int) -> None:
    """Any rows, also twice: before the checksums are verified and after."""
    ds = open_dataset(folder)
    expected = open_dataset(folder).activations("up_blocks.0", step=1)
    rng = np.random.default_rng(seed)
    for size in (1, 5, 8, 20, 0):
        rows = rng.integers(8, size=size)
        np.testing.assert_array_equal(ds.rows("up_blocks.0", 1, rows), expected[rows])


def test_a_changed_file_is_verified_again(folder: Path, damage: Callable[[], None]) -> None:
    ds = open_dataset(folder)
    ds.activations("mid_block", step=0)
    damage()
    with pytest.raises(DataError, match="is damaged"):
        ds.activations("mid_block", step=0)


@pytest.fixture
def damage(folder: Path) -> Callable[[], None]:
    """Write one shard anew with one bit changed."""

    def change() -> None:
        line = json.loads((folder / "journal.jsonl").read_text().splitlines()[1])
        path = folder / line["file"]
        content = bytearray(path.read_bytes())
        content[line["columns"]["mid_block"]["offset"]] ^= 1
        path.unlink()
        path.write_bytes(content)

    return change
