"""A data set folder as the reader sees it: its record, its committed shards and its samples."""

import zlib
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from outcrop.data.errors import DataError
from outcrop.data.schema import ColumnRecord, DatasetRecord, ShardRecord
from outcrop.data.tables import SAMPLE_COLUMNS


@dataclass(frozen=True)
class ShardTable:
    """A shard file with its column records and samples."""

    path: Path
    columns: dict[str, ColumnRecord]
    samples: pd.DataFrame


def read_shard_table(path: Path, record: DatasetRecord, journal: ShardRecord | None = None) -> ShardTable:
    """Samples of one shard; the columns' offsets come from the journal or, for a lone file, from the file itself."""
    try:
        with h5py.File(path, "r") as file:
            samples = _samples(file, record)
            columns = journal.columns if journal else {site.name: _column(file, site.name) for site in record.sites}
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"Shard {path} does not open as format 1: {error}.") from error
    return ShardTable(path, columns, samples)


def read_meta(path: Path) -> DatasetRecord:
    """The data set's record out of a lone shard. Raises :class:`DataError` if the file is not a shard."""
    try:
        with h5py.File(path, "r") as file:
            return DatasetRecord.model_validate_json(file["meta"][()].tobytes())
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{path} is not an Outcrop shard: {error}.") from error


def _samples(file: h5py.File, record: DatasetRecord) -> pd.DataFrame:
    group = file["samples"]
    ids = pd.Index([f"{value:016x}" for value in group["id"][()]], name="id", dtype=str)
    fixed = {name: _values(group[name]) for name in SAMPLE_COLUMNS}
    labels = {name: _values(group["labels"][name]) for name in record.labels}
    return pd.DataFrame(fixed | labels, index=ids)


def _values(array: h5py.Dataset) -> np.ndarray | list[str]:
    values = array[()]
    return [value.decode() for value in values] if values.dtype.kind == "S" else values


def _column(file: h5py.File, site: str) -> ColumnRecord:
    array = file[f"activations/{site}"]
    return ColumnRecord(offset=array.id.get_offset(), shape=array.shape, dtype=array.dtype.str, crc32=_checksums(array))


def _checksums(array: h5py.Dataset) -> tuple[int, ...]:
    return tuple(zlib.crc32(np.ascontiguousarray(plane).data.cast("B")) for plane in array)
