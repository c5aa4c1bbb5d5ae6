"""The only way to write a data set: immutable shards, committed one by one, announced by the journal.

A shard is filled in memory, written under a temporary name, fsynced and renamed; then one line is added to the journal.
A kill at any moment leaves committed shards whole and everything else to be done again.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from outcrop.data.atomic import append_line, cut_torn_line, remove_partial_files, write_all_atomic, write_atomic
from outcrop.data.errors import ConflictError, DataError, StorageError
from outcrop.data.journal import journal_path, manifest_content, merge_journals, read_journal
from outcrop.data.locks import NAME as LOCK
from outcrop.data.locks import locked, rank_tag, sealing
from outcrop.data.safe_paths import read_bounded
from outcrop.data.safe_tables import note_checked
from outcrop.data.samples import Sample
from outcrop.data.schema import DatasetRecord, ShardRecord
from outcrop.data.shard import Columns, OpenShard, fill_shard, shard_file
from outcrop.data.structure import MAX_META_BYTES, check_record, parse_record
from outcrop.data.tables import sample_table


class ShardFiles:
    """Writes the shards and pictures of one data set under its folder, and announces nothing.

    ``tag`` becomes part of temporary names: writers with other tags do not meet.
    """

    def __init__(self, folder: Path, dataset: DatasetRecord, *, tag: str = "") -> None:
        self.folder, self.dataset, self._tag = folder, dataset, tag

    def write_shard(self, shard: OpenShard) -> ShardRecord:
        """Write a filled shard; the line that will announce it.

        Raises :class:`StorageError` naming the file; nothing committed is touched.
        """
        with ThreadPoolExecutor(1) as beside:
            hashing = beside.submit(shard.record)
            write_atomic(self.folder / shard_file(shard.index), shard.content, tag=self._tag)
        return hashing.result()

    def write_images(self, images: Mapping[str, bytes]) -> None:
        """Write encoded pictures, by their paths inside the data set. Raises :class:`StorageError`."""
        write_all_atomic({self.folder / path: content for path, content in images.items()}, tag=self._tag)


class DelegateWriter(ShardFiles):
    """Writes for another process, which holds the lock, looks after the room, and announces the shards of ``records``.

    Raises :class:`DataError` if that process's data set is not in ``folder``, and :class:`ConflictError` if it is of
    another configuration than ``dataset``.
    """

    def __init__(self, folder: Path, dataset: DatasetRecord, *, tag: str) -> None:
        _check_same(folder, read_record(folder), dataset)
        super().__init__(folder, dataset, tag=tag)
        self.records: list[ShardRecord] = []

    def take_over(self, shard: OpenShard) -> bool:
        """Whether an earlier process has written ``shard``, and its pictures before it, but could not tell of it."""
        path = self.folder / shard_file(shard.index)
        if not path.exists() or not path.stat().st_size:
            return False
        there = shard.take_over(np.memmap(path, np.uint8, "r"))
        if there:
            self.records.append(shard.record())
        return there

    def commit_shard(self, shard: OpenShard) -> ShardRecord:
        """Write a filled shard, and keep its record for who announces it."""
        self.records.append(self.write_shard(shard))
        return self.records[-1]

    def check_room(self, *, image_bytes: float = 0) -> None:
        """The process that holds the lock knows what remains, and does this."""


class ShardWriter(ShardFiles):
    """Commits shards of one data set. Made by :func:`open_writer`, which holds the lock.

    ``committed`` tells how many samples each committed shard holds.
    """

    def __init__(self, folder: Path, dataset: DatasetRecord, *, rank: int | None = None) -> None:
        super().__init__(folder, dataset, tag=rank_tag(rank))
        self.rank = rank
        self.committed = {record.index: len(record.samples) for record in read_journal(folder)}

    def commit(self, index: int, samples: Sequence[Sample], columns: Columns) -> ShardRecord:
        """Write shard ``index`` with ``columns``, site name to (step, sample, *feature)."""
        return self.commit_shard(fill_shard(self.dataset, index, samples, columns))

    def commit_shard(self, shard: OpenShard) -> ShardRecord:
        """Write and announce a filled shard. Raises :class:`StorageError`; nothing committed is touched."""
        record = self.write_shard(shard)
        self.announce(record)
        return record

    def announce(self, record: ShardRecord) -> None:
        """Add the journal line of a shard that was written. Raises :class:`StorageError`."""
        append_line(journal_path(self.folder, self.rank), record.model_dump_json())
        self.committed[record.index] = len(record.samples)

    def check_room(self, *, image_bytes: float = 0) -> None:
        """Raises :class:`StorageError` if what remains, with images of ``image_bytes`` each, cannot fit on the disk."""
        remaining = self.dataset.planned_samples - sum(self.committed.values())
        check_room(self.folder, remaining * (self.dataset.sample_bytes + image_bytes))

    def seal(self, samples: Sequence[Sample]) -> bool:
        """Write ``manifest.json`` and ``samples.parquet`` if all is committed, by this writer and by others.

        Whether it is: then, the journals are one and in order, and what interrupted writers left behind is gone.
        """
        with sealing(self.folder):
            records = read_journal(self.folder)
            if sum(len(record.samples) for record in records) != self.dataset.planned_samples:
                return False
            table = sample_table(samples, self.dataset.labels).to_parquet()
            write_atomic(self.folder / "samples.parquet", table, tag=self._tag)
            note_checked(table)
            files = {"dataset.json": (self.folder / "dataset.json").read_bytes(), "samples.parquet": table}
            manifest = manifest_content(self.dataset, records, files)
            write_atomic(self.folder / "manifest.json", manifest, tag=self._tag)
            merge_journals(self.folder, records, tag=self._tag)
            remove_partial_files(self.folder)
            return True


@contextmanager
def open_writer(folder: Path, dataset: DatasetRecord, *, rank: int | None = None) -> Iterator[ShardWriter]:
    """Lock ``folder``, and start the data set there or go on with it; with ``rank``, beside other ranks.

    Raises :class:`ConflictError` if the folder holds another configuration's data or has a writer,
    and :class:`StorageError` if what remains to be written cannot fit on the disk.
    """
    with locked(folder, rank=rank):
        known = folder / "dataset.json"
        strangers = _strangers(folder)  # before the look for dataset.json, which another rank may be writing
        if known.exists():
            _check_same(folder, read_record(folder), dataset)
        elif strangers:
            raise ConflictError(
                f"{folder} is not empty and holds no data set (found {strangers[0]!r}). Choose another output folder."
            )
        else:
            check_record(dataset, where="The new data set")
            write_atomic(known, dataset.model_dump_json(indent=1).encode(), tag=rank_tag(rank))
        cut_torn_line(journal_path(folder, rank))
        writer = ShardWriter(folder, read_record(folder), rank=rank)
        writer.check_room()
        yield writer


def read_record(folder: Path) -> DatasetRecord:
    """The data set's record. Raises :class:`DataError` if there is none or it is not format 1."""
    path = folder / "dataset.json"
    if not os.path.lexists(path):
        raise DataError(f"{folder} is not a data set: it has no dataset.json.")
    return parse_record(read_bounded(path, most=MAX_META_BYTES), where=str(path))


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


def _strangers(folder: Path) -> list[str]:
    own = (LOCK, ".dataset.json")
    return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith(own))


def check_room(folder: Path, needed: float) -> None:
    """Raises :class:`StorageError` if ``needed`` bytes do not fit on the disk of ``folder``."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"The data set still needs {needed / 1e9:.2f} GB but {folder} has {free / 1e9:.2f} GB free. "
            "Make room, record fewer sites or steps, or use a smaller reduction."
        )
