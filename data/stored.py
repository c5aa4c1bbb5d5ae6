"""Which arrays a shard holds for its sites: the activations, and of int8 their scales."""

from collections.abc import Iterator
from dataclasses import dataclass

from outcrop.data.int8 import channel_shape
from outcrop.data.schema import STORED_DTYPE, DatasetRecord, StoredDType

SCALES = "scales/"
"""What the scales of a site are called in the journal and in the file, before the site's name."""


@dataclass(frozen=True)
class StoredColumn:
    """An array of a shard, at each of ``steps``: ``key`` in the journal, ``path`` in the file.

    ``row`` is the shape of a sample, or of the scales of all samples where ``by_sample`` is false.
    """

    key: str
    path: str
    dtype: StoredDType
    steps: int
    row: tuple[int, ...]
    by_sample: bool = True

    def shape(self, samples: int) -> tuple[int, ...]:
        """Of the whole array, in a shard of ``samples``."""
        return (self.steps, samples, *self.row) if self.by_sample else (self.steps, *self.row)


def stored_columns(record: DatasetRecord) -> Iterator[StoredColumn]:
    """In the order in which they lie in a shard."""
    kind, steps = STORED_DTYPE[record.dtype], len(record.steps)
    for site in record.sites:
        yield StoredColumn(site.name, f"activations/{site.name}", kind, steps, site.shape)
    if record.dtype == "int8":
        for site in record.sites:
            key, row = SCALES + site.name, (2, *channel_shape(site.shape, record.half))
            yield StoredColumn(key, key, "<f4", steps, row, by_sample=False)
