"""What is wrong with one shard: its bytes, its structure, its values, its samples and their pictures."""

import hashlib
import math
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from outcrop.data.errors import DataError
from outcrop.data.findings import Finding
from outcrop.data.folder import read_shard_table, shard_samples
from outcrop.data.hdf5_source import LocalSource
from outcrop.data.safe_paths import read_bounded, safe_path
from outcrop.data.schema import ColumnRecord, DatasetRecord, ShardRecord
from outcrop.data.stored import StoredColumn, stored_columns
from outcrop.data.structure import ShardStructure, check_shard, column_record

BLOCK = 2**24
MAX_IMAGE_BYTES = 2**28
PNG = b"\x89PNG\r\n\x1a\n"


def check_lone_shard(path: Path) -> list[Finding]:
    """A shard outside of its data set: without a journal its structure and its values are all there is to check."""
    try:
        with LocalSource(path) as source:
            shard = check_shard(source)
            shard_samples(source, shard)
            return [
                finding
                for column in stored_columns(shard.record)
                for finding in _check_values(source, path.name, shard, column)
            ]
    except DataError as error:
        return [Finding("error", path.name, str(error))]


def check_shard_file(
    root: Path, record: DatasetRecord, shard: ShardRecord
) -> tuple[pd.DataFrame | None, list[Finding]]:
    """The samples of a shard, None where they cannot be read, and its findings."""
    findings: list[Finding] = []
    try:
        path = safe_path(root, shard.file)
        if not path.is_file():
            return None, [Finding("error", shard.file, "is missing")]
        with LocalSource(path) as source:
            findings += _check_bytes(source, shard)
            for column in stored_columns(record):
                findings += _check_column(source, shard.file, column.key, shard.columns[column.key])
            structure = check_shard(source)
        if structure.record != record:
            findings.append(Finding("error", shard.file, "holds the record of another data set than dataset.json"))
        table = read_shard_table(path, record, shard).samples
    except DataError as error:
        return None, [*findings, Finding("error", shard.file, str(error))]
    if list(table.index) != list(shard.samples):
        findings.append(Finding("error", shard.file, "holds other samples than its journal line says"))
    if record.spec.get("images", True):
        findings += _check_images(root, shard.file, [image for image in table["image"] if image])
    return table, findings


def _check_bytes(source: LocalSource, shard: ShardRecord) -> Iterator[Finding]:
    digest = hashlib.sha256()
    for start in range(0, source.size, BLOCK):
        digest.update(source.read(start, min(BLOCK, source.size - start)))
    if (source.size, digest.hexdigest()) != (shard.bytes, shard.sha256):
        yield Finding("error", shard.file, f"is not what was written ({source.size} of {shard.bytes} bytes)")


def _check_values(source: LocalSource, where: str, shard: ShardStructure, column: StoredColumn) -> Iterator[Finding]:
    """Of an array in place, or of every chunk of a compressed one, whose own checksums are verified."""
    array = shard.arrays[column.path]
    if array.chunks is None:
        yield from _check_column(source, where, column.key, column_record(shard, column))
        return
    for start in sorted(array.chunks.chunks):
        chunk = np.frombuffer(array.chunks.read(source.read, start), array.dtype)
        if chunk.dtype.kind == "f" and not np.isfinite(chunk).all():
            yield Finding("error", where, f"site {column.key!r}, step {start[0]}: infinite or NaN values")


def _check_column(source: LocalSource, where: str, site: str, column: ColumnRecord) -> Iterator[Finding]:
    kind = np.dtype(column.dtype)
    size = kind.itemsize * math.prod(column.shape[1:])
    for step in range(column.shape[0]):
        start = column.offset + step * size
        if start + size > source.size:
            yield Finding("error", where, f"site {site!r}, step {step}: lies behind the end of the file")
            return
        plane = source.read(start, size)
        if column.crc32 and zlib.crc32(plane) != column.crc32[step]:
            yield Finding("error", where, f"site {site!r}, step {step}: the checksum does not match")
        elif kind.kind == "f" and not np.isfinite(np.frombuffer(plane, kind)).all():
            yield Finding("error", where, f"site {site!r}, step {step}: infinite or NaN values")


def _check_images(root: Path, where: str, images: list[str]) -> Iterator[Finding]:
    lost = []
    for image in images:
        try:
            path = safe_path(root, image)
            if not path.is_file():
                lost.append(image)
            elif fault := png_fault(read_bounded(path, most=MAX_IMAGE_BYTES)):
                yield Finding("error", image, fault)
        except DataError as error:
            yield Finding("error", where, str(error))
    if lost:
        yield Finding("warning", where, f"{len(lost)} images are missing, the first is {lost[0]}")


def png_fault(content: bytes) -> str:
    """What is wrong with a PNG file by its own checksums; empty if it is sound or of another kind."""
    if not content.startswith(PNG):
        return "" if content[:3] == b"\xff\xd8\xff" or content[8:12] == b"WEBP" else "is no picture that Outcrop writes"
    place = len(PNG)
    while place + 12 <= len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        kind_and_values = content[place + 4 : place + 8 + size]
        end = place + 12 + size
        if int.from_bytes(content[end - 4 : end], "big") != zlib.crc32(kind_and_values) or end > len(content):
            return "is damaged: the checksum of a part does not match"
        if kind_and_values[:4] == b"IEND":
            return "" if end == len(content) else "has bytes behind its end"
        place = end
    return "is cut short"
