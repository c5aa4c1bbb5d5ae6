"""Minibatches through a real DataLoader: every sample once, in the right rows, whatever the workers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from outcrop.data.batches import BlockSampler
from outcrop.data.dataset import Dataset, open_dataset
from outcrop.data.errors import InputError


@pytest.fixture
def ds(folder: Path) -> Dataset:
    return open_dataset(folder)


def check(ds: Dataset, loader: DataLoader) -> None:
    """All samples came once, with their own values and labels."""
    expected = {site: ds.activations(site, step=1) for site in ds.sites.index}
    rows = []
    for batch in loader:
        row = batch["row"].numpy()
        for site, values in batch["activations"].items():
            np.testing.assert_array_equal(values.numpy(), expected[site][row])
        np.testing.assert_array_equal(batch["labels"]["content"].numpy(), row % 2)
        np.testing.assert_allclose(batch["labels"]["size"].numpy(), row / 2)
        rows += row.tolist()
    assert sorted(rows) == list(range(8))


@pytest.mark.parametrize(("workers", "context"), [(0, None), (2, "fork"), (1, "spawn")])
def test_whole_batches_from_any_worker(ds: Dataset, workers: int, context: str | None) -> None:
    ds.activations("mid_block", step=1)  # what the parent has read must not matter
    rows = ds.torch(steps=1)
    assert rows.classes == {"content": ("disc", "star")}
    sampler = rows.batches(3, seed=1)
    check(ds, DataLoader(rows, batch_size=None, sampler=sampler, num_workers=workers, multiprocessing_context=context))


def test_a_loader_that_makes_its_own_batches(ds: Dataset) -> None:
    check(ds, DataLoader(ds.torch(steps=1), batch_size=3, shuffle=True))


def test_over_http_in_a_forked_worker(folder: Path, serve: Callable) -> None:
    """Connections of the parent do not cross the fork."""
    ds = open_dataset(serve(folder).url)
    rows = ds.torch(steps=1)
    options = {"num_workers": 1, "multiprocessing_context": "fork"}
    check(ds, DataLoader(rows, batch_size=None, sampler=rows.batches(4), **options))


def test_single_items_and_several_steps(ds: Dataset) -> None:
    rows = ds.torch("mid*", labels=["content"])
    assert (len(rows), rows[2]["activations"]["mid_block"].shape) == (8, (2, 4))
    np.testing.assert_array_equal(rows[-1]["activations"]["mid_block"][1], ds.activations("mid_block", step=1)[-1])
    assert list(rows[0]["labels"]) == ["content"]
    with pytest.raises(IndexError, match="Got index 8"):
        rows[8]
    with pytest.raises(InputError, match="no label 'contnt'"):
        ds.torch(labels=["contnt"])


def test_blocks_are_shuffled_within_a_few_shards_at_a_time() -> None:
    sampler = BlockSampler([10] * 6, 4, seed=3, mix=2)
    first = [row for batch in sampler for row in batch]
    assert sorted(first) == list(range(60))
    for group in range(3):
        assert len({row // 10 for row in first[20 * group : 20 * group + 20]}) == 2
    assert first[:20] != sorted(first[:20])
    again = BlockSampler([10] * 6, 4, seed=3, mix=2)
    assert [row for batch in again for row in batch] == first
    assert [row for batch in again for row in batch] != first, "the second pass has an order of its own"
    again.epoch = 0
    assert [row for batch in again for row in batch] == first


def test_parts_are_disjoint_and_of_one_length() -> None:
    parts = [BlockSampler([7, 6], 2, seed=5, part=(rank, 3)) for rank in range(3)]
    seen = [[row for batch in part for row in batch] for part in parts]
    assert [len(part) for part in parts] == [2, 2, 2]
    assert len({row for rows in seen for row in rows}) == sum(map(len, seen))


def test_no_shuffling_keeps_the_order() -> None:
    assert list(BlockSampler([2, 3], 2, shuffle=False)) == [[0, 1], [2, 3], [4]]
    with pytest.raises(InputError, match="size and mix must be 1 or more"):
        BlockSampler([2], 0)
