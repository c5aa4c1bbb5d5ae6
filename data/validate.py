"""Everything that is wrong with a data set folder, found in one pass."""

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from outcrop.data.errors import DataError
from outcrop.data.folder import read_shard_table
from outcrop.data.journal import read_journal
from outcrop.data.schema import DatasetRecord, ShardRecord
from outcrop.data.writer import read_record


@dataclass(frozen=True)
class Finding:
    """``error``: the data must not be used; ``warning``: something is missing; ``advice``: it could be better."""

    severity: Literal["error", "warning", "advice"]
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.where}: {self.what}"


def validate_dataset(folder: str | Path) -> list[Finding]:
    """All findings, errors first. Raises :class:`DataError` only where there is no data set to look at."""
    root = Path(folder)
    if not root.is_dir():
        raise DataError(f"{root} is no folder. Expected a data set folder with dataset.json.")
    record = read_record(root)
    journal = read_journal(root)
    findings = [*_check_completeness(root, record, journal), *_check_strays(root, journal)]
    seen: set[str] = set()
    for shard in journal:
        findings += _check_shard(root, record, shard)
        repeated = seen & set(shard.samples)
        if repeated:
            findings.append(Finding("error", shard.file, f"sample {min(repeated)} stands in an earlier shard, too"))
        seen |= set(shard.samples)
    order = ("error", "warning", "advice")
    return sorted(findings, key=lambda finding: order.index(finding.severity))


def _check_completeness(root: Path, record: DatasetRecord, journal: list[ShardRecord]) -> Iterator[Finding]:
    count = sum(len(shard.samples) for shard in journal)
    if count != record.planned_samples:
        what = f"{count} of {record.planned_samples} samples are committed; run the capture again to go on"
        yield Finding("warning", "journal.jsonl", what)
    elif not (root / "manifest.json").is_file() or not (root / "samples.parquet").is_file():
        yield Finding("warning", "manifest.json", "the data set is not sealed; run the capture again to seal it")
    if not record.licences:
        yield Finding("advice", "dataset.json", "no licence is stated: others will not know what they may do")


def _check_strays(root: Path, journal: list[ShardRecord]) -> Iterator[Finding]:
    known = {shard.file for shard in journal}
    for path in sorted(root.glob("shards/*/*")):
        name = path.relative_to(root).as_posix()
        if name not in known:
            yield Finding("warning", name, "is in no journal line: left by an interrupted write; it is not read")


def _check_shard(root: Path, record: DatasetRecord, shard: ShardRecord) -> Iterator[Finding]:
    path = root / shard.file
    if not path.is_file():
        yield Finding("error", shard.file, "is missing")
        return
    content = path.read_bytes()
    if len(content) != shard.bytes or hashlib.sha256(content).hexdigest() != shard.sha256:
        yield Finding("error", shard.file, f"is not what was written ({len(content)} of {shard.bytes} bytes)")
        yield from _check_columns(content, record, shard)
        return
    yield from _check_columns(content, record, shard)
    table = read_shard_table(path, record, shard).samples
    if list(table.index) != list(shard.samples):
        yield Finding("error", shard.file, "holds other samples than its journal line says")
    yield from _check_samples(root, record, shard, table)


def _check_columns(content: bytes, record: DatasetRecord, shard: ShardRecord) -> Iterator[Finding]:
    for site in record.sites:
        column = shard.columns.get(site.name)
        if column is None:
            yield Finding("error", shard.file, f"site {site.name!r} is missing from the journal line")
            continue
        kind = np.dtype(column.dtype)
        plane = kind.itemsize * int(np.prod(column.shape[1:], dtype=np.int64))
        for step, expected in enumerate(column.crc32):
            start = column.offset + step * plane
            part = content[start : start + plane]
            if zlib.crc32(part) != expected:
                yield Finding("error", shard.file, f"site {site.name!r}, step {step}: the checksum does not match")
            elif kind.kind == "f" and not np.isfinite(np.frombuffer(part, kind)).all():
                yield Finding("error", shard.file, f"site {site.name!r}, step {step}: infinite or NaN values")


def _check_samples(root: Path, record: DatasetRecord, shard: ShardRecord, table: pd.DataFrame) -> Iterator[Finding]:
    for label in record.labels:
        if table[label].isna().any():
            yield Finding("warning", shard.file, f"label {label!r} has samples without a value")
    if record.spec.get("images", True):
        lost = [image for image in table["image"] if not (root / image).is_file()]
        if lost:
            yield Finding("warning", shard.file, f"{len(lost)} images are missing, the first is {lost[0]}")
