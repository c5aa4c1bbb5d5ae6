"""Everything that is wrong with a data set, found in one pass.

A data set whose capture is not finished is not at fault: that is a warning.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import ValidationError

from outcrop.data.errors import DataError
from outcrop.data.findings import Finding, ranked
from outcrop.data.folder import read_meta, whereabouts
from outcrop.data.journal import MAIN, MAX_BYTES, manifest_bytes, read_journal
from outcrop.data.safe_paths import read_bounded
from outcrop.data.safe_tables import MAX_TABLE_BYTES, read_table
from outcrop.data.schema import DatasetRecord, Manifest, ShardRecord
from outcrop.data.structure import check_journal
from outcrop.data.validate_added import check_added_labels, check_shared
from outcrop.data.validate_shards import check_lone_shard, check_shard_file
from outcrop.data.writer import read_record

__all__ = ["Finding", "validate_dataset"]
SEALED = ("manifest.json", "samples.parquet")


def validate_dataset(path: str | Path) -> list[Finding]:
    """All findings of a folder or a lone shard, errors first.

    Raises :class:`DataError` only where there is no data set to look at.
    """
    root = Path(path)
    if root.is_file():
        findings = check_lone_shard(root)
        with suppress(DataError):  # it is among the findings
            findings += _check_statements(read_meta(root))
        return ranked(findings)
    if not root.is_dir():
        raise DataError(f"{root} is no folder and no shard. Expected a data set folder with dataset.json.")
    if not os.path.lexists(root / "dataset.json"):
        raise DataError(f"{root} is not a data set: it has no dataset.json.{whereabouts(root)}")
    try:
        record = read_record(root)
    except DataError as error:
        return [Finding("error", "dataset.json", str(error))]
    try:
        journal = read_journal(root)
        check_journal(record, journal, where="journal.jsonl")
    except DataError as error:
        return ranked([Finding("error", MAIN, str(error)), *_check_links(root)])
    return ranked(list(_check_all(root, record, journal)))


def _check_all(root: Path, record: DatasetRecord, journal: list[ShardRecord]) -> Iterator[Finding]:
    yield from _check_links(root)
    yield from _check_completeness(root, record, journal)
    yield from _check_statements(record)
    yield from _check_form(root, record, journal)
    manifest, findings = _read_manifest(root)
    yield from findings
    if manifest is not None:
        yield from _check_manifest(root, record, journal, manifest)
    tables, seen = [], set[str]()
    for shard in journal:
        table, findings = check_shard_file(root, record, shard)
        yield from findings
        repeated = seen & set(shard.samples)
        if repeated:
            yield Finding("error", shard.file, f"sample {min(repeated)} stands in an earlier shard, too")
        seen |= set(shard.samples)
        if table is not None:
            tables.append(table)
    samples = pd.concat(tables) if tables else pd.DataFrame()
    yield from _check_strays(root, journal, set(samples["image"]) if len(samples) else set())
    if len(tables) == len(journal) and tables:
        yield from _check_labels(record, samples)
        yield from _check_table(root, samples)
        yield from check_added_labels(root, samples.index)
    yield from check_shared(root)


def _check_completeness(root: Path, record: DatasetRecord, journal: list[ShardRecord]) -> Iterator[Finding]:
    count = sum(len(shard.samples) for shard in journal)
    if count != record.planned_samples:
        what = f"{count} of {record.planned_samples} samples are committed; run the capture again to go on"
        yield Finding("error" if count > record.planned_samples else "warning", MAIN, what)
    elif not all((root / name).is_file() for name in SEALED):
        yield Finding("warning", "manifest.json", "the data set is not sealed; run the capture again to seal it")


def _check_statements(record: DatasetRecord) -> Iterator[Finding]:
    """What the record says about itself: licences, provenance, steps."""
    if not record.licences:
        yield Finding("advice", "dataset.json", "no licence is stated: others will not know what they may do")
    if not record.provenance:
        yield Finding("advice", "dataset.json", "no provenance: with which versions and weights it was made is unknown")
    if [step.index for step in record.steps] != sorted({step.index for step in record.steps}):
        yield Finding("error", "dataset.json", "the steps are not in order, or one is listed twice")
    times = [step.timestep for step in record.steps]
    if not np.isfinite([*times, *(step.log_snr for step in record.steps)]).all():
        yield Finding("error", "dataset.json", "a step's timestep or noise level is NaN or infinite")
    elif times != sorted(times, reverse=True) and times != sorted(times):
        yield Finding("warning", "dataset.json", "the steps' timesteps rise and fall")
    if paths := sorted(_absolute_paths({"spec": record.spec, "provenance": record.provenance})):
        yield Finding("advice", "dataset.json", f"names absolute paths of a machine, such as {paths[0][:100]!r}")


def _absolute_paths(value: object) -> set[str]:
    if isinstance(value, str):
        return {value} if value.startswith(("/", "~/", "file:")) else set()
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return set().union(*map(_absolute_paths, parts))


def _check_form(root: Path, record: DatasetRecord, journal: list[ShardRecord]) -> Iterator[Finding]:
    """Records are written in one way only, so that a changed byte shows even where it changes no value."""
    if read_bounded(root / "dataset.json", most=MAX_BYTES) != record.model_dump_json(indent=1).encode():
        yield Finding("error", "dataset.json", "is not as it was written: it was edited or damaged")
    if not (root / MAIN).is_file():
        return
    lines = {shard.model_dump_json() for shard in journal}
    for number, line in enumerate(read_bounded(root / MAIN, most=MAX_BYTES).decode(errors="replace").split("\n"), 1):
        if line and line not in lines:
            yield Finding("error", MAIN, f"line {number} is not as it was written: it was edited or damaged")


def _read_manifest(root: Path) -> tuple[Manifest | None, list[Finding]]:
    if not os.path.lexists(root / "manifest.json"):
        return None, []
    try:
        return Manifest.model_validate_json(read_bounded(root / "manifest.json", most=MAX_BYTES)), []
    except ValidationError as error:
        return None, [Finding("error", "manifest.json", f"is no manifest: {error.errors()[0]['msg']}")]
    except DataError as error:
        return None, [Finding("error", "manifest.json", str(error))]


def _check_manifest(
    root: Path, record: DatasetRecord, journal: list[ShardRecord], manifest: Manifest
) -> Iterator[Finding]:
    if (manifest.uuid, list(manifest.shards)) != (record.uuid, journal):
        yield Finding("error", "manifest.json", "does not say what the journal says: one of them is damaged")
    if read_bounded(root / "manifest.json", most=MAX_BYTES) != manifest_bytes(manifest):
        yield Finding("error", "manifest.json", "is not as it was written: it was edited or damaged")
    if not manifest.files:
        yield Finding("advice", "manifest.json", "has no checksums of the tables: it is of an early version of outcrop")
    for name, expected in manifest.files.items():
        if name not in {"dataset.json", "samples.parquet"}:
            yield Finding("error", "manifest.json", f"lists the file {name[:100]!r}, which is no table of a data set")
            continue
        try:
            content = read_bounded(root / name, most=MAX_TABLE_BYTES)
        except DataError as error:
            yield Finding("error", name, str(error))
            continue
        if (len(content), hashlib.sha256(content).hexdigest()) != (expected.bytes, expected.sha256):
            yield Finding("error", name, "is not what was written: its SHA-256 is not the one in manifest.json")


def _check_links(root: Path) -> Iterator[Finding]:
    for folder, names, files in os.walk(root):
        for name in (*names, *files):
            path = Path(folder) / name
            if path.is_symlink():
                yield Finding("error", path.relative_to(root).as_posix(), "is a link: a data set holds real files only")


def _check_strays(root: Path, journal: list[ShardRecord], images: set[str]) -> Iterator[Finding]:
    known = {shard.file for shard in journal} | images
    for path in sorted([*root.glob("shards/*/*"), *root.glob("images/**/*")]):
        name = path.relative_to(root).as_posix()
        if name not in known and not path.is_dir():
            what = "is in no journal line" if name.startswith("shards/") else "belongs to no sample"
            yield Finding("warning", name, f"{what}: left by an interrupted write; it is not read")


def _check_labels(record: DatasetRecord, samples: pd.DataFrame) -> Iterator[Finding]:
    for label in record.labels:
        lost = samples[label].isna() | (samples[label] == "")
        if lost.any():
            yield Finding("warning", "samples", f"label {label!r} has {lost.sum()} samples without a value")
        elif samples[label].nunique() == 1 and len(samples) > 1:
            yield Finding("advice", "samples", f"label {label!r} has the same value everywhere: it cannot be probed")


def _check_table(root: Path, samples: pd.DataFrame) -> Iterator[Finding]:
    path = root / "samples.parquet"
    if not os.path.lexists(path):
        return
    try:
        table = read_table(read_bounded(path, most=MAX_TABLE_BYTES), where="samples.parquet")
    except DataError as error:
        yield Finding("error", "samples.parquet", str(error))
        return
    same = list(table.columns) == list(samples.columns) and list(table.index) == list(samples.index)
    if not same or any(list(table[name].astype(str)) != list(samples[name].astype(str)) for name in samples):
        yield Finding("error", "samples.parquet", "lists other samples than the shards")
