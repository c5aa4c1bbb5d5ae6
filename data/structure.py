"""Is this a shard? Decided from the file's structure, before any of its activations is read.

Everything is on an allowlist: the names, types and shapes of the format and nothing else. What the file says is held
against its record, and the record against itself.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from outcrop.data.errors import DataError
from outcrop.data.hdf5_source import ByteSource
from outcrop.data.hdf5_tree import NAME, Hdf5Tree, StoredArray, read_tree
from outcrop.data.schema import FORMATS, ColumnRecord, DatasetRecord, ShardRecord
from outcrop.data.stored import StoredColumn, stored_columns

MAX_META_BYTES = 2**26
SAMPLE_ID = re.compile(r"[0-9a-f]{16}")
TEXT_COLUMNS = ("prompt", "negative_prompt", "template", "image")
STEP_COLUMNS = {"index": "<i8", "timestep": "<f8", "log_snr": "<f8", "noise": "<f8"}


@dataclass(frozen=True)
class ShardStructure:
    """A shard that is what format 1 says, with the places of its arrays: ``activations/<site>``, ``samples/id``, ..."""

    record: DatasetRecord
    samples: int
    arrays: dict[str, StoredArray]


def check_shard(source: ByteSource, record: DatasetRecord | None = None) -> ShardStructure:
    """The structure of a shard of ``record``, or of the record inside of it. No activation is read, and no HDF5 used.

    Raises :class:`DataError`, naming the file and the place in it, for anything that format 1 does not allow.
    """
    tree = read_tree(source)
    record = record or _read_meta(source, tree)
    check_record(record, where=source.name)
    for fault in _faults(tree, record):
        raise DataError(f"{source.name} is not a shard of format 1: {fault}. Nothing of it was read; fetch it again.")
    return ShardStructure(record, tree.arrays["samples/id"].shape[0], tree.arrays)


def read_array(source: ByteSource, array: StoredArray) -> NDArray[np.generic]:
    """All values of an array, after :func:`check_shard`. Raises :class:`DataError` for a damaged chunk."""
    if array.chunks is None:
        assert array.offset is not None, "an array without chunks is contiguous"
        return np.frombuffer(source.read(array.offset, array.size), array.dtype).reshape(array.shape)
    values = np.empty(array.shape, array.dtype)
    for start in array.chunks.chunks:
        chunk = np.frombuffer(array.chunks.read(source.read, start), array.dtype).reshape(array.chunks.shape)
        ends = [min(first + step, most) for first, step, most in zip(start, chunk.shape, array.shape, strict=True)]
        place = tuple(slice(first, end) for first, end in zip(start, ends, strict=True))
        values[place] = chunk[tuple(slice(0, end - first) for first, end in zip(start, ends, strict=True))]
    return values


def parse_record(content: bytes, *, where: str) -> DatasetRecord:
    """The data set's record out of ``dataset.json``. Raises :class:`DataError` if it is of no known format."""
    try:
        record = DatasetRecord.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"] == ("format",):
            known = " and ".join(map(str, FORMATS))
            raise DataError(
                f"{where} is of format {first['input']!r}; this version of outcrop reads formats {known}. "
                "Install a newer outcrop."
            ) from error
        place = ".".join(str(part) for part in first["loc"]) or "as a whole"
        raise DataError(f"{where} is not a format-1 record: {place}: {first['msg']}.") from error
    check_record(record, where=where)
    return record


def check_record(record: DatasetRecord, *, where: str) -> None:
    """Raises :class:`DataError` for a record that no capture writes: names twice, empty or absurd shapes."""
    names = [site.name for site in record.sites]
    labels = [*record.labels, *TEXT_COLUMNS, "id", "seed"]
    for what, listed in (("sites", names), ("labels and columns", labels)):
        if len(set(listed)) != len(listed):
            raise DataError(f"{where} names one of its {what} twice.")
    unsafe = [name for name in record.labels if not NAME.fullmatch(name) or name in {".", ".."}]
    if unsafe:
        raise DataError(f"{where} has a label with the unsafe name {unsafe[0][:100]!r}.")
    for site in record.sites:
        if len(site.shape) > 6 or any(extent < 1 for extent in site.shape) or math.prod(site.shape) >= 2**40:
            raise DataError(f"{where} says that site {site.name!r} has values of shape {site.shape[:9]}.")


def check_journal(record: DatasetRecord, shards: Sequence[ShardRecord], *, where: str) -> None:
    """Raises :class:`DataError` for journal lines that cannot belong to ``record``, or that name a file twice."""
    if len({shard.index for shard in shards}) != len(shards):
        raise DataError(f"{where} has two lines for one shard.")
    for shard in shards:
        for fault in _line_faults(record, shard):
            raise DataError(f"{where}, shard {shard.index}: {fault}. Fetch the data set again.")


def _line_faults(record: DatasetRecord, shard: ShardRecord) -> Iterator[str]:
    if shard.index < 0 or shard.file != f"shards/{shard.index // 1000:03d}/s{shard.index:06d}.h5":
        yield f"the file {shard.file!r} is not the one of this shard"
    if not shard.samples or not all(SAMPLE_ID.fullmatch(name) for name in shard.samples):
        yield "a sample's id is not 16 hexadecimal digits, or there is no sample"
    wanted = list(stored_columns(record))
    if set(shard.columns) != {each.key for each in wanted}:
        yield "the columns are not the data set's sites"
    for each in wanted:
        column, expected = shard.columns[each.key], each.shape(len(shard.samples))
        if (column.shape, column.dtype, len(column.crc32)) != (expected, each.dtype, each.steps):
            yield f"the column of site {each.key!r} is not of shape {expected} and type {each.dtype}"
        elif column.offset + column_bytes(column) > shard.bytes:
            yield f"the column of site {each.key!r} ends after the file"


def column_bytes(column: ColumnRecord) -> int:
    """Bytes of a site's whole array."""
    return math.prod(column.shape) * np.dtype(column.dtype).itemsize


def column_record(shard: ShardStructure, column: StoredColumn) -> ColumnRecord:
    """Where the array of ``column`` lies, without its checksums. Raises :class:`DataError` if it is compressed."""
    array = shard.arrays[column.path]
    if array.offset is None:
        raise DataError(
            f"Site {column.key!r} is compressed: its columns cannot be read in place. "
            "Unpack the file, or several as one, with `outcrop merge FILE ... --out FOLDER`."
        )
    return ColumnRecord(offset=array.offset, shape=array.shape, dtype=column.dtype, crc32=())


def _read_meta(source: ByteSource, tree: Hdf5Tree) -> DatasetRecord:
    meta = tree.arrays.get("meta")
    if meta is None or meta.dtype != np.uint8 or len(meta.shape) != 1 or not 0 < meta.size <= MAX_META_BYTES:
        raise DataError(f"{source.name} is not an Outcrop shard: it has no record in /meta.")
    if meta.offset is None:
        raise DataError(f"{source.name} is not a shard of format 1: /meta is chunked.")
    try:
        return DatasetRecord.model_validate_json(source.read(meta.offset, meta.size))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "as a whole"
        raise DataError(f"{source.name} is not a shard of format 1: /meta: {where}: {first['msg']}.") from error


def _faults(tree: Hdf5Tree, record: DatasetRecord) -> Iterator[str]:
    ids = tree.arrays.get("samples/id")
    samples = ids.shape[0] if ids is not None and len(ids.shape) == 1 else 0
    expected = _expected(record, samples)
    groups = {"", "samples", "steps", "activations"} | ({"samples/labels"} if record.labels else set())
    groups |= {"scales"} if record.dtype == "int8" else set()
    strange = sorted((tree.arrays.keys() - expected.keys()) | (tree.groups - groups))
    lacking = sorted((expected.keys() - tree.arrays.keys()) | (groups - tree.groups))
    if strange or lacking:
        yield f"it holds {strange[:3]!r}, which its record does not name" if strange else f"it lacks {lacking[:3]!r}"
        return
    if ids is None or len(ids.shape) != 1:
        yield f"'/samples/id' has the shape {ids and ids.shape}"
        return
    for name, (kinds, shape) in expected.items():
        array = tree.arrays[name]
        if name != "meta" and array.shape != shape:
            yield f"{'/' + name!r} has the shape {array.shape}, and {shape} was expected"
        if not {array.dtype.str, array.dtype.kind} & set(kinds):
            yield f"{'/' + name!r} is of type {array.dtype.str}, and {' or '.join(kinds)} was expected"
        if array.chunks is not None and not name.startswith("activations/"):
            yield f"{'/' + name!r} is chunked"


def _expected(record: DatasetRecord, samples: int) -> dict[str, tuple[tuple[str, ...], tuple[int, ...]]]:
    """Types (or the kind S for text of any length) and shape of every array in a shard of ``samples``."""
    found: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {"meta": (("|u1",), ())}
    found["samples/id"] = (("<u8",), (samples,))
    found["samples/seed"] = (("<i8",), (samples,))
    found |= {f"samples/{name}": (("S",), (samples,)) for name in TEXT_COLUMNS}
    found |= {f"samples/labels/{name}": (("S", "<i8", "<f8"), (samples,)) for name in record.labels}
    found |= {f"steps/{name}": ((kind,), (len(record.steps),)) for name, kind in STEP_COLUMNS.items()}
    found |= {column.path: ((column.dtype,), column.shape(samples)) for column in stored_columns(record)}
    return found
