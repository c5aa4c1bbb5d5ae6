"""A data set folder as the reader sees it: its record, its committed shards and its samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from outcrop.data.errors import DataError
from outcrop.data.hdf5_source import LocalSource
from outcrop.data.schema import ColumnRecord, DatasetRecord, ShardRecord
from outcrop.data.stored import StoredColumn, stored_columns
from outcrop.data.structure import ShardStructure, check_shard, column_record, read_array
from outcrop.data.tables import SAMPLE_COLUMNS

RESULTS = {
    "effects.json": "the effects of interventions: give the data set, and to `outcrop report` also --effects",
    "outcomes.json": "a study of interventions",
    "probes.json": "a table of probes: give its data set",
}
"""What a file of this name tells of a folder that is no data set."""


@dataclass(frozen=True)
class ShardTable:
    """A shard file with its column records and samples."""

    path: Path
    columns: dict[str, ColumnRecord]
    samples: pd.DataFrame


def read_shard_table(path: Path, record: DatasetRecord, journal: ShardRecord | None = None) -> ShardTable:
    """Samples of one shard; the columns' offsets come from the file itself, their checksums from the journal.

    A lone file, without a journal line, has nothing that checksums could be compared with: its columns have none.
    Raises :class:`DataError`.
    """
    with LocalSource(path) as source:
        shard = check_shard(source, record)
        samples = shard_samples(source, shard)
        columns = {column.key: _column(shard, column, journal, where=source.name) for column in stored_columns(record)}
    return ShardTable(path, columns, samples)


def read_meta(path: Path) -> DatasetRecord:
    """The data set's record out of a lone shard. Raises :class:`DataError` if the file is not a shard."""
    with LocalSource(path) as source:
        return check_shard(source).record


def whereabouts(folder: Path) -> str:
    """What to give in place of a ``folder`` that is no data set, as a sentence that starts with a space."""
    around = (place for place in (*folder.parents, *folder.absolute().parents) if (place / "dataset.json").is_file())
    found = next(around, None)
    if found is not None:
        return f" It lies in one: give {found}."
    held = next((text for name, text in RESULTS.items() if (folder / name).is_file()), None)
    return f" It holds {held}." if held else " Expected a folder that `outcrop capture --out` wrote."


def shard_samples(source: LocalSource, shard: ShardStructure) -> pd.DataFrame:
    """The samples of a checked shard, a row each, indexed by id."""

    def values(name: str) -> np.ndarray | list[str]:
        return _values(read_array(source, shard.arrays[f"samples/{name}"]), f"{source.name}, /samples/{name}")

    ids = pd.Index([f"{value:016x}" for value in values("id")], name="id", dtype=str)
    if ids.has_duplicates:
        raise DataError(f"{source.name} holds sample {ids[ids.duplicated()][0]} twice: it is damaged. Fetch it again.")
    names = [*SAMPLE_COLUMNS, *(f"labels/{label}" for label in shard.record.labels)]
    columns = [*SAMPLE_COLUMNS, *shard.record.labels]
    return pd.DataFrame({column: values(name) for column, name in zip(columns, names, strict=True)}, index=ids)


def _values(values: np.ndarray, where: str) -> np.ndarray | list[str]:
    if values.dtype.kind != "S":
        return values
    try:
        return [value.decode() for value in values]
    except UnicodeDecodeError as error:
        raise DataError(f"{where} holds text that is no UTF-8: the file is damaged. Fetch it again.") from error


def check_stored(path: Path, record: DatasetRecord, columns: Mapping[str, ColumnRecord]) -> None:
    """Raises :class:`DataError` for a file that is no shard of ``record`` or whose ``columns`` lie elsewhere."""
    with LocalSource(path) as source:
        shard = check_shard(source, record)
        for column in stored_columns(record):
            where = f"{source.name}: site {column.key!r}"
            _check_place(columns[column.key], column_record(shard, column), where=where)


def _column(shard: ShardStructure, column: StoredColumn, journal: ShardRecord | None, *, where: str) -> ColumnRecord:
    found = column_record(shard, column)
    if journal is None:
        return found
    _check_place(journal.columns[column.key], found, where=f"{where}: site {column.key!r}")
    return journal.columns[column.key]


def _check_place(said: ColumnRecord, found: ColumnRecord, *, where: str) -> None:
    if (said.offset, said.shape, said.dtype) != (found.offset, found.shape, found.dtype):
        raise DataError(f"{where} does not lie where the journal says. Fetch the file again.")
