"""The only way to write a data set: immutable shards, committed one by one, announced by the journal.

A shard is built in memory, written under a temporary name, fsynced and renamed; then one line is added to
``journal.jsonl``. A kill at any moment leaves committed shards whole and everything else to be done again.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from outcrop.data.atomic import append_line, cut_torn_line, locked, write_atomic
from outcrop.data.errors import ConflictError, DataError, StorageError
from outcrop.data.samples import Sample
from outcrop.data.schema import FORMAT_VERSION, DatasetRecord, ShardRecord
from outcrop.data.shard import Columns, encode_shard
from outcrop.data.tables import sample_table


class ShardWriter:
    """Commits shards of one data set. Made by :func:`open_writer`, which holds the lock."""

    def __init__(self, folder: Path, dataset: DatasetRecord) -> None:
        self.folder = folder
        self.dataset = dataset
        self.committed = {record.index: record for record in read_journal(folder)}

    def commit(self, index: int, samples: Sequence[Sample], columns: Columns) -> ShardRecord:
        """Write shard ``index``. Raises :class:`StorageError` naming the file; nothing committed is touched."""
        shard = encode_shard(self.dataset, index, samples, columns)
        write_atomic(self.folder / shard.record.file, shard.content)
        append_line(self.folder / "journal.jsonl", shard.record.model_dump_json())
        self.committed[index] = shard.record
        return shard.record

    def seal(self, samples: Sequence[Sample]) -> None:
        """Write ``manifest.json`` and ``samples.parquet``: the data set is complete."""
        records = [self.committed[index] for index in sorted(self.committed)]
        table = sample_table(samples, self.dataset.labels)
        write_atomic(self.folder / "samples.parquet", table.to_parquet())
        manifest = {"format": 1, "uuid": self.dataset.uuid, "shards": [record.model_dump() for record in records]}
        write_atomic(self.folder / "manifest.json", json.dumps(manifest, indent=1).encode())


@contextmanager
def open_writer(folder: Path, dataset: DatasetRecord) -> Iterator[ShardWriter]:
    """Lock ``folder``, and start the data set there or go on with it.

    Raises :class:`ConflictError` if the folder holds another configuration's data or has a writer,
    and :class:`StorageError` if what remains to be written cannot fit on the disk.
    """
    with locked(folder):
        known = folder / "dataset.json"
        if known.exists():
            _check_same(folder, read_record(folder), dataset)
        else:
            _check_empty(folder)
            write_atomic(known, dataset.model_dump_json(indent=1).encode())
        cut_torn_line(folder / "journal.jsonl")
        writer = ShardWriter(folder, read_record(folder))
        _check_room(folder, dataset, done=sum(len(record.samples) for record in writer.committed.values()))
        yield writer


def read_record(folder: Path) -> DatasetRecord:
    """The data set's record. Raises :class:`DataError` if there is none or it is not format 1."""
    path = folder / "dataset.json"
    try:
        return DatasetRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{folder} is not a data set: it has no dataset.json.") from None
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"] == ("format",):
            raise DataError(
                f"{path} is of format {first['input']!r}; this version of outcrop reads format {FORMAT_VERSION}. "
                "Install a newer outcrop."
            ) from error
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{path} is not a format-1 record: {where}: {first['msg']}.") from error


def read_journal(folder: Path) -> list[ShardRecord]:
    """Committed shards in order. A torn last line is passed over; any other bad line is a :class:`DataError`."""
    path = folder / "journal.jsonl"
    if not path.exists():
        return []
    content = path.read_bytes()
    lines = content[: content.rfind(b"\n") + 1].splitlines()
    records = {}
    for number, line in enumerate(lines, start=1):
        try:
            record = ShardRecord.model_validate_json(line)
        except ValidationError as error:
            raise DataError(f"{path}, line {number}, is not a shard record: {error.errors()[0]['msg']}.") from error
        records[record.index] = record
    return [records[index] for index in sorted(records)]


def _check_same(folder: Path, old: DatasetRecord, new: DatasetRecord) -> None:
    if (old.uuid, old.sites, old.steps) == (new.uuid, new.sites, new.steps):
        return
    differing = sorted(key for key in {*old.spec, *new.spec} if old.spec.get(key) != new.spec.get(key))
    changes = "; ".join(
        f"{key}: there {_short(old.spec.get(key))}, here {_short(new.spec.get(key))}" for key in differing
    )
    raise ConflictError(
        f"{folder} holds a data set of another configuration ({changes or _unspecified(old, new)}). "
        "Choose another output folder, or give the same configuration to go on with it."
    )


def _unspecified(old: DatasetRecord, new: DatasetRecord) -> str:
    """What differs where the specifications are the same."""
    for key in ("weights_sha256", "torch", "diffusers", "transformers"):
        there, here = old.provenance.get(key), new.provenance.get(key)
        if there != here:
            return f"{key}: there {_short(there)}, here {_short(here)}"
    return "other prompts or labels in the prompt file"


def _short(value: Any, *, limit: int = 60) -> str:
    text = json.dumps(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _check_empty(folder: Path) -> None:
    strangers = [entry.name for entry in folder.iterdir() if entry.name not in {".lock", ".dataset.json.partial"}]
    if strangers:
        raise ConflictError(
            f"{folder} is not empty and holds no data set (found {strangers[0]!r}). Choose another output folder."
        )


def _check_room(folder: Path, dataset: DatasetRecord, *, done: int) -> None:
    needed = int((dataset.planned_samples - done) * dataset.sample_bytes * 1.01)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"The data set still needs {needed / 1e9:.2f} GB but {folder} has {free / 1e9:.2f} GB free. "
            "Make room, record fewer sites or steps, or use a smaller reduction."
        )
