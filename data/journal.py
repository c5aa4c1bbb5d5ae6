"""The journal: one line per committed shard. Until the seal, every rank keeps one of its own beside the main one."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from outcrop.data.atomic import storage_error, write_atomic
from outcrop.data.errors import DataError
from outcrop.data.locks import rank_tag
from outcrop.data.safe_paths import read_bounded
from outcrop.data.schema import DatasetRecord, FileRecord, Manifest, ShardRecord

MAIN = "journal.jsonl"
MAX_BYTES = 2**29


def journal_path(folder: Path, rank: int | None = None) -> Path:
    """Where a sole writer, or ``rank``, announces its shards."""
    return folder / f"journal{rank_tag(rank)}.jsonl"


def read_journal(folder: Path) -> list[ShardRecord]:
    """Committed shards in order, from all journals.

    A torn last line is passed over; any other bad line is a :class:`DataError`. The ranks' journals are read first:
    they are merged into the main one before they go.
    """
    records: dict[int, ShardRecord] = {}
    for path in [*_rank_journals(folder), folder / MAIN]:
        records |= {record.index: record for record in _read(path)}
    return [records[index] for index in sorted(records)]


def parse_journal(content: bytes, *, where: str) -> list[ShardRecord]:
    """The lines of a journal. A torn last one is passed over; any other bad one is a :class:`DataError`."""
    records = []
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), start=1):
        try:
            records.append(ShardRecord.model_validate_json(line))
        except ValidationError as error:
            raise DataError(f"{where}, line {number}, is not a shard record: {error.errors()[0]['msg']}.") from error
    return records


def journal_lines(records: Sequence[ShardRecord]) -> bytes:
    """What :func:`parse_journal` reads."""
    return "".join(record.model_dump_json() + "\n" for record in records).encode()


def merge_journals(folder: Path, records: Sequence[ShardRecord], *, tag: str = "") -> None:
    """Make the main journal hold ``records``, all that :func:`read_journal` gave, and drop the ranks' journals."""
    main, content = folder / MAIN, journal_lines(records)
    if not main.exists() or main.read_bytes() != content:
        write_atomic(main, content, tag=tag)
    for path in _rank_journals(folder):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(path, error) from error


def manifest_content(dataset: DatasetRecord, records: Sequence[ShardRecord], files: Mapping[str, bytes]) -> bytes:
    """``manifest.json``: what the journal says, and checksums of ``files``, as one document."""
    listed = {name: FileRecord(bytes=len(content), sha256=_sha256(content)) for name, content in files.items()}
    return manifest_bytes(Manifest(format=dataset.format, uuid=dataset.uuid, shards=tuple(records), files=listed))


def manifest_bytes(manifest: Manifest) -> bytes:
    """The one way in which a manifest is written. The first ones had no ``files``."""
    return json.dumps(manifest.model_dump(exclude=None if manifest.files else {"files"}), indent=1).encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _rank_journals(folder: Path) -> list[Path]:
    return sorted(folder.glob("journal.r*.jsonl"))


def _read(path: Path) -> list[ShardRecord]:
    if not os.path.lexists(path):
        return []
    return parse_journal(read_bounded(path, most=MAX_BYTES), where=str(path))
