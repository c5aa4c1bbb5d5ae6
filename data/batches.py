"""Minibatches for training: a map-style data set that ``torch.utils.data.DataLoader`` takes, and its shuffling.

PyTorch is not imported here: a DataLoader needs no more of a data set than ``__len__`` and ``__getitem__``.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.data.column import Rows
from outcrop.data.errors import InputError
from outcrop.data.patterns import near_misses
from outcrop.data.selection import choose_sites, choose_steps

if TYPE_CHECKING:
    from outcrop.data.dataset import Dataset

Batch = dict[str, Any]


class Minibatches:
    """The selected samples of ``ds`` as items of a DataLoader.

    An item is ``{"activations": {site: array}, "labels": {name: value}, "row": position in ds.samples}``. With one step
    an array is (*feature), with several (step, *feature). Labels are class codes into :attr:`classes` (-1 where
    missing) or float32 numbers. An index that is a sequence gives a whole batch, which is by far the quickest::

        rows = ds.torch("up_blocks.*", steps=5, labels=["content"])
        loader = DataLoader(rows, batch_size=None, sampler=rows.batches(64, seed=0), num_workers=2)

    ``DataLoader(rows, batch_size=64, shuffle=True)`` works as well. Workers may be forked or spawned.
    """

    def __init__(
        self,
        ds: "Dataset",
        sites: str | Sequence[str] | None = None,
        *,
        steps: int | Sequence[int] | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        self.ds = ds
        self.sites = tuple(choose_sites(ds.sites, sites, None))
        self.steps = tuple(choose_steps(ds.steps, steps))
        table = ds.labels
        for name in labels or ():
            if name not in table.columns:
                raise InputError(f"There is no label {name!r}.{near_misses(name, map(str, table.columns))}")
        self.classes: dict[str, tuple[Any, ...]] = {}
        self._targets: dict[str, NDArray[Any]] = {}
        for name in table.columns if labels is None else labels:
            self._encode(str(name), table[name])

    def _encode(self, name: str, values: pd.Series) -> None:
        if pd.api.types.is_float_dtype(values):
            self._targets[name] = values.to_numpy(np.float32)
            return
        known = values.mask(values.astype(str) == "")
        codes, classes = pd.factorize(known, sort=True)
        self._targets[name], self.classes[name] = codes.astype(np.int64), tuple(classes)

    def __len__(self) -> int:
        return len(self.ds)

    def __getitem__(self, index: int | Sequence[int]) -> Batch:
        if isinstance(index, int | np.integer):
            return self._item(self._batch(np.array([self._place(int(index))])), 0)
        return self._batch(np.asarray(index, dtype=np.int64))

    def __getitems__(self, indices: Sequence[int]) -> list[Batch]:
        """What a DataLoader that makes its own batches asks for: items, but read together."""
        batch = self._batch(np.asarray(indices, dtype=np.int64))
        return [self._item(batch, place) for place in range(len(indices))]

    def batches(
        self,
        size: int,
        *,
        shuffle: bool = True,
        seed: int = 0,
        mix: int = 8,
        part: tuple[int, int] = (0, 1),
    ) -> "BlockSampler":
        """A sampler of whole batches, for ``DataLoader(..., batch_size=None, sampler=...)``.

        Shuffling is by blocks: shards in random order, ``mix`` of them at a time, their rows shuffled together.
        ``part`` is this process's share (rank, number of ranks): each gets as many batches.
        """
        return BlockSampler(self.ds.shard_lengths, size, shuffle=shuffle, seed=seed, mix=mix, part=part)

    def _place(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"There are {len(self)} samples. Got index {index}.")
        return index % len(self)

    def _batch(self, rows: Rows) -> Batch:
        activations = {site: self._read(site, rows) for site in self.sites}
        labels = {name: values[rows] for name, values in self._targets.items()}
        return {"activations": activations, "labels": labels, "row": rows}

    def _read(self, site: str, rows: Rows) -> NDArray[np.generic]:
        columns = [self.ds.rows(site, step, rows) for step in self.steps]
        return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)

    @staticmethod
    def _item(batch: Batch, place: int) -> Batch:
        return {
            "activations": {site: values[place] for site, values in batch["activations"].items()},
            "labels": {name: values[place] for name, values in batch["labels"].items()},
            "row": batch["row"][place],
        }


class BlockSampler:
    """Batches of row positions over consecutive blocks of ``lengths`` rows. Each pass has an order of its own, the same
    for the same ``seed`` and number of the pass; :attr:`epoch` may be set to resume.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        size: int,
        *,
        shuffle: bool = True,
        seed: int = 0,
        mix: int = 8,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        if size < 1 or mix < 1 or not 0 <= part[0] < part[1]:
            raise InputError(f"size and mix must be 1 or more and part (rank, ranks). Got {size}, {mix}, {part}.")
        self.lengths, self.size, self.shuffle, self.seed, self.mix = tuple(lengths), size, shuffle, seed, mix
        self.part, self.epoch = part, 0

    def __len__(self) -> int:
        batches = -(-sum(self.lengths) // self.size)
        return batches if self.part[1] == 1 else batches // self.part[1]

    def __iter__(self) -> Iterator[list[int]]:
        rows = self._order()
        self.epoch += 1
        rank, ranks = self.part
        for number in range(len(self)):
            start = (number * ranks + rank) * self.size
            yield rows[start : start + self.size].tolist()

    def _order(self) -> Rows:
        starts = np.cumsum([0, *self.lengths])
        if not self.shuffle:
            return np.arange(starts[-1])
        rng = np.random.default_rng([self.seed, self.epoch])
        blocks = [np.arange(starts[k], starts[k + 1]) for k in rng.permutation(len(self.lengths))]
        groups = [np.concatenate(blocks[k : k + self.mix]) for k in range(0, len(blocks), self.mix)]
        return np.concatenate([rng.permutation(group) for group in groups])
