"""Is this a shard? Decided from the file's structure, before any of its activations is read.

Everything is on an allowlist: the names, types and shapes of format 1 and nothing else. What the file says is held
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
from outcrop.data.schema import FORMAT_VERSION, STORED_DTYPE, ColumnRecord, DatasetRecord, ShardRecord

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
    """The data set's record out of ``dataset.json``. Raises :class:`DataError` if it is not one of format 1."""
    try:
        record = DatasetRecord.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"] == ("format",):
            raise DataError(
                f"{where} is of format {first['input']!r}; this version of outcrop reads format {FORMAT_VERSION}. "
                "Install a newer outcrop."
            ) from error
        place = ".".join(str(part) for part in first["loc"])
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
    if set(shard.columns) != {site.name for site in record.sites}:
        yield "the columns are not the data set's sites"
    for site in record.sites:
        column = shard.columns[site.name]
        expected = (len(record.steps), len(shard.samples), *site.shape)
        kind = STORED_DTYPE[record.dtype]
        if (column.shape, column.dtype, len(column.crc32)) != (expected, kind, len(record.steps)):
            yield f"the column of site {site.name!r} is not of shape {expected} and type {kind}"
        elif column.offset + column_bytes(column) > shard.bytes:
            yield f"the column of site {site.name!r} ends after the file"


def column_bytes(column: ColumnRecord) -> int:
    """Bytes of a site's whole array."""
    return math.prod(column.shape) * np.dtype(column.dtype).itemsize


def column_record(shard: ShardStructure, site: str) -> ColumnRecord:
    """Where the array of ``site`` lies, without its checksums. Raises :class:`DataError` if it is compressed."""
    array = shard.arrays[f"activations/{site}"]
    if array.offset is None:
        raise DataError(
            f"Site {site!r} is compressed: its columns cannot be read in place. "
            "Unpack the file, or several as one, with `outcrop merge FILE ... --out FOLDER`."
        )
    kind = STORED_DTYPE[shard.record.dtype]
    return ColumnRecord(offset=array.offset, shape=array.shape, dtype=kind, crc32=())


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
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{source.name} is not a shard of format 1: /meta: {where}: {first['msg']}.") from error


def _faults(tree: Hdf5Tree, record: DatasetRecord) -> Iterator[str]:
    expected = _expected(record)
    groups = {"", "samples", "steps", "activations"} | ({"samples/labels"} if record.labels else set())
    strange = sorted((tree.arrays.keys() - expected.keys()) | (tree.groups - groups))
    lacking = sorted((expected.keys() - tree.arrays.keys()) | (groups - tree.groups))
    if strange or lacking:
        yield f"it holds {strange[:3]!r}, which its record does not name" if strange else f"it lacks {lacking[:3]!r}"
        return
    axes = tree.arrays["samples/id"].shape
    if len(axes) != 1:
        yield f"'/samples/id' has the shape {axes}"
        return
    for name, (kinds, shape) in expected.items():
        array = tree.arrays[name]
        wanted = tuple(axes[0] if extent is None else extent for extent in shape)
        if name != "meta" and array.shape != wanted:
            yield f"{'/' + name!r} has the shape {array.shape}, and {wanted} was expected"
        if not {array.dtype.str, array.dtype.kind} & set(kinds):
            yield f"{'/' + name!r} is of type {array.dtype.str}, and {' or '.join(kinds)} was expected"
        if array.chunks is not None and not name.startswith("activations/"):
            yield f"{'/' + name!r} is chunked"


def _expected(record: DatasetRecord) -> dict[str, tuple[tuple[str, ...], tuple[int | None, ...]]]:
    """Types (or the kind S for text of any length) and shape of every array; None stands for the samples."""
    found: dict[str, tuple[tuple[str, ...], tuple[int | None, ...]]] = {"meta": (("|u1",), ())}
    found["samples/id"] = (("<u8",), (None,))
    found["samples/seed"] = (("<i8",), (None,))
    found |= {f"samples/{name}": (("S",), (None,)) for name in TEXT_COLUMNS}
    found |= {f"samples/labels/{name}": (("S", "<i8", "<f8"), (None,)) for name in record.labels}
    found |= {f"steps/{name}": ((kind,), (len(record.steps),)) for name, kind in STEP_COLUMNS.items()}
    stored = STORED_DTYPE[record.dtype]
    for site in record.sites:
        found[f"activations/{site.name}"] = ((stored,), (len(record.steps), None, *site.shape))
    return found
