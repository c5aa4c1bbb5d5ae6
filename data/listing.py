"""How long the list of a data set's shards becomes, told before the first of them is made."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from outcrop.data.errors import InputError
from outcrop.data.journal import MAX_BYTES
from outcrop.data.schema import ColumnRecord, DatasetRecord, ShardRecord
from outcrop.data.stored import stored_columns

LARGEST_CRC = 2**32 - 1
LARGEST_OFFSET = 10**10


@dataclass(frozen=True)
class Listing:
    """What shards take in ``manifest.json``, at most: ``fixed`` bytes each, and ``each`` for every sample.

    The journal says the same in less.
    """

    fixed: int
    each: int

    def size(self, samples: int, *, shard_samples: int) -> int:
        """Bytes of the list of all shards."""
        return -(-samples // shard_samples) * self.fixed + samples * self.each

    def fits(self, samples: int, *, shard_samples: int) -> bool:
        """Whether readers take a list so long."""
        return self.size(samples, shard_samples=shard_samples) <= MAX_BYTES

    def least_shard(self, samples: int) -> int | None:
        """Samples a shard with which the list fits, a power of two; None where it never does."""
        sizes = (2**power for power in range(samples.bit_length() + 1))
        return next((size for size in sizes if self.fits(samples, shard_samples=size)), None)

    def check(self, samples: int, *, shard_samples: int) -> None:
        """Raises :class:`InputError` for a list that does not fit."""
        if self.fits(samples, shard_samples=shard_samples):
            return
        least = self.least_shard(samples)
        larger = f"give shard_samples: {least}, if the memory does (a shard is filled there); " if least else ""
        raise InputError(
            f"The list of {-(-samples // shard_samples):,} shards of {shard_samples} samples would take "
            f"{self.size(samples, shard_samples=shard_samples) / 1e9:.2f} GB, and readers take at most "
            f"{MAX_BYTES / 1e9:.2f} GB: {larger}record fewer sites or steps; or make several data sets, which "
            "open_dataset opens as one."
        )


def listing(columns: Mapping[str, tuple[int, ...]], *, steps: int) -> Listing:
    """For shards that store these arrays, name to the shape of a row, at each of ``steps``."""
    arrays = {
        name: ColumnRecord(offset=LARGEST_OFFSET, shape=(steps, 0, *row), dtype="<f2", crc32=(LARGEST_CRC,) * steps)
        for name, row in columns.items()
    }
    one, two = (
        ShardRecord(
            index=0,
            file="shards/000/s000000.h5",
            bytes=LARGEST_OFFSET,
            sha256="0" * 64,
            samples=("0" * 16,) * samples,
            columns=arrays,
        )
        for samples in (1, 2)
    )
    return Listing(_size(one), _size(two) - _size(one))


def listing_of(dataset: DatasetRecord) -> Listing:
    """For the shards of ``dataset``."""
    return listing({column.key: column.row for column in stored_columns(dataset)}, steps=len(dataset.steps))


def check_listing(dataset: DatasetRecord) -> None:
    """Raises :class:`InputError` for a data set whose list of shards would be longer than readers take."""
    listing_of(dataset).check(dataset.planned_samples, shard_samples=dataset.shard_samples)


def _size(record: ShardRecord) -> int:
    """As it stands in the manifest: indented, in a list."""
    return len(json.dumps({"shards": [record.model_dump()]}, indent=1))
