"""Data sets made from data sets: rows are taken shard by shard, written anew, and their parents are named.

What comes out is a data set like any other: the same format, sealed, with a ``uuid`` that depends on its parents and on
what was done to them alone.
"""

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.data.errors import DataError
from outcrop.data.folder import shard_samples
from outcrop.data.hdf5_source import LocalSource
from outcrop.data.int8 import decode
from outcrop.data.journal import read_journal
from outcrop.data.safe_paths import read_bounded, safe_path
from outcrop.data.samples import Sample
from outcrop.data.schema import DatasetRecord, ShardRecord
from outcrop.data.stored import SCALES, stored_columns
from outcrop.data.structure import check_journal, check_shard, read_array
from outcrop.data.tables import samples_of
from outcrop.data.writer import ShardWriter, open_writer, read_record

Columns = dict[str, NDArray[np.generic]]
MAX_IMAGE_BYTES = 2**28


@dataclass(frozen=True)
class Parent:
    """A folder, or a lone shard (plain or compressed), whose rows are taken."""

    path: Path
    record: DatasetRecord
    shards: tuple[tuple[Path, ShardRecord | None], ...]

    def describe(self) -> dict[str, Any]:
        """For the provenance of what is made of it."""
        digest = hashlib.sha256(self.record.model_dump_json().encode()).hexdigest()
        names = {"uuid": self.record.uuid, "model": self.record.model, "record_sha256": digest}
        return names | {"spec": self.record.spec, "provenance": self.record.provenance}


@dataclass(frozen=True)
class Rows:
    """Samples with their values, site name to (step, sample, *feature), as a shard is filled with them."""

    samples: tuple[Sample, ...]
    columns: Columns

    def take(self, places: Sequence[int]) -> "Rows":
        """Some of them, by place."""
        samples = tuple(self.samples[place] for place in places)
        return Rows(samples, {name: values[:, list(places)] for name, values in self.columns.items()})


def open_parent(path: Path) -> Parent:
    """Raises :class:`DataError` if it is no data set, or holds nothing."""
    if path.is_file():
        with LocalSource(path) as source:
            return Parent(path, check_shard(source).record, ((path, None),))
    record, journal = read_record(path), read_journal(path)
    if not journal:
        raise DataError(f"{path} has no committed shard yet. Run the capture again to go on with it.")
    check_journal(record, journal, where=str(path))
    return Parent(path, record, tuple((safe_path(path, shard.file), shard) for shard in journal))


def read_rows(parent: Parent) -> Iterator[Rows]:
    """Shard by shard, checksums verified. Raises :class:`DataError` for a damaged one."""
    for path, line in parent.shards:
        with LocalSource(path) as source:
            shard = check_shard(source, parent.record)
            samples = samples_of(shard_samples(source, shard), parent.record.labels)
            columns = {
                column.key: read_array(source, shard.arrays[column.path]) for column in stored_columns(parent.record)
            }
        if line is not None:
            _check(path, line, samples, columns)
        yield Rows(samples, _decoded(columns) if parent.record.dtype == "int8" else columns)


def _decoded(columns: Columns) -> Columns:
    return {
        name: np.stack([decode(*planes) for planes in zip(codes, columns[SCALES + name], strict=True)])
        for name, codes in columns.items()
        if not name.startswith(SCALES)
    }


def read_sample_table(parent: Parent) -> pd.DataFrame:
    """The samples of all shards, without reading an activation."""
    tables = []
    for path, _ in parent.shards:
        with LocalSource(path) as source:
            tables.append(shard_samples(source, check_shard(source, parent.record)))
    return pd.concat(tables)


def derived_record(
    parents: Sequence[Parent], *, operation: Mapping[str, Any], planned: int, shard_samples: int
) -> DatasetRecord:
    """The record of a data set made of ``parents`` by ``operation``."""
    first = parents[0].record
    described = [parent.describe() for parent in parents]
    identity = json.dumps([described, operation], sort_keys=True)
    same = {
        name: value
        for name, value in first.provenance.items()
        if all(parent.record.provenance.get(name) == value for parent in parents)
    }
    images = any(parent.record.spec.get("images", True) for parent in parents)
    licences = {name: text for parent in reversed(parents) for name, text in parent.record.licences.items()}
    changes = {
        "uuid": str(uuid5(NAMESPACE_URL, identity)),
        "planned_samples": planned,
        "shard_samples": shard_samples,
        "spec": {**operation, "images": images},
        "provenance": same | {"parents": described},
        "licences": licences,
    }
    return first.model_copy(update=changes)


def write_derived(out: Path, record: DatasetRecord, rows: Iterator[tuple[Parent, Rows]]) -> int:
    """Write and seal the data set; the number of its samples. Pictures are copied where the parent has them."""
    written: list[Sample] = []
    with open_writer(out, record) as writer:
        waiting: list[Rows] = []
        for parent, part in rows:
            _copy_images(writer, parent, part.samples)
            waiting.append(part)
            waiting = _commit_full(writer, waiting, written)
        if waiting:
            _commit(writer, _joined(waiting), written)
        writer.seal(written)
    return len(written)


def _commit_full(writer: ShardWriter, waiting: list[Rows], written: list[Sample]) -> list[Rows]:
    size = writer.dataset.shard_samples
    if sum(len(part.samples) for part in waiting) < size:
        return waiting
    rows = _joined(waiting)
    whole = len(rows.samples) // size * size
    for start in range(0, whole, size):
        _commit(writer, rows.take(range(start, start + size)), written)
    return [rows.take(range(whole, len(rows.samples)))] if whole < len(rows.samples) else []


def _commit(writer: ShardWriter, rows: Rows, written: list[Sample]) -> None:
    size = writer.dataset.shard_samples
    index = len(written) // size
    if index not in writer.committed:
        writer.commit(index, rows.samples, rows.columns)
    written += rows.samples


def _joined(parts: Sequence[Rows]) -> Rows:
    columns = {name: np.concatenate([part.columns[name] for part in parts], axis=1) for name in parts[0].columns}
    return Rows(tuple(sample for part in parts for sample in part.samples), columns)


def _copy_images(writer: ShardWriter, parent: Parent, samples: Sequence[Sample]) -> None:
    if not parent.path.is_dir():
        return
    found = {sample.image: safe_path(parent.path, sample.image) for sample in samples if sample.image}
    writer.write_images(
        {name: read_bounded(path, most=MAX_IMAGE_BYTES) for name, path in found.items() if path.is_file()}
    )


def _check(path: Path, line: ShardRecord, samples: Sequence[Sample], columns: Columns) -> None:
    if tuple(sample.id for sample in samples) != line.samples:
        raise DataError(f"{path} holds other samples than its journal line says. Fetch it again.")
    for site, values in columns.items():
        if tuple(zlib.crc32(np.ascontiguousarray(plane).data) for plane in values) != line.columns[site].crc32:
            raise DataError(f"{path} is damaged at site {site!r}: a checksum does not match. Fetch it again.")
