"""The only way to write a data set: immutable shards, committed one by one, announced by the journal.

A shard is filled in memory, written under a temporary name, fsynced and renamed; then one line is added to the journal.
A kill at any moment leaves committed shards whole and everything else to be done again.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from outcrop.data.errors import ConflictError, DataError, StorageError
from outcrop.data.journal import manifest_content
from outcrop.data.listing import check_listing
from outcrop.data.places import LocalPlace, Place, open_place
from outcrop.data.safe_tables import note_checked
from outcrop.data.samples import Sample
from outcrop.data.schema import DatasetRecord, ShardRecord
from outcrop.data.shard import Columns, OpenShard, fill_shard, shard_file
from outcrop.data.structure import check_record, parse_record
from outcrop.data.tables import sample_table

DATASET = "dataset.json"


class ShardFiles:
    """Writes the shards and pictures of one data set to their place, and announces nothing."""

    def __init__(self, place: Place, dataset: DatasetRecord) -> None:
        self.place, self.dataset = place, dataset

    def write_shard(self, shard: OpenShard) -> ShardRecord:
        """Write a filled shard; the line that will announce it.

        Raises :class:`StorageError` naming the file; nothing committed is touched.
        """
        with ThreadPoolExecutor(1) as beside:
            hashing = beside.submit(shard.record)
            self.place.write(shard_file(shard.index), shard.content)
        return hashing.result()

    def write_images(self, images: Mapping[str, bytes]) -> None:
        """Write encoded pictures, by their paths inside the data set. Raises :class:`StorageError`."""
        self.place.write_all(images)


class DelegateWriter(ShardFiles):
    """Writes for another process, which holds the place, looks after the room, and announces the shards of ``records``.

    Raises :class:`DataError` if that process's data set is not there, and :class:`ConflictError` if it is of another
    configuration than ``dataset``.
    """

    def __init__(self, place: Place, dataset: DatasetRecord) -> None:
        _check_same(place, stored_record(place), dataset)
        super().__init__(place, dataset)
        self.records: list[ShardRecord] = []

    def take_over(self, shard: OpenShard) -> bool:
        """Whether an earlier process has written ``shard``, and its pictures before it, but could not tell of it."""
        content = self.place.found(shard_file(shard.index))
        there = content is not None and shard.take_over(content)
        if there:
            self.records.append(shard.record())
        return there

    def commit_shard(self, shard: OpenShard) -> ShardRecord:
        """Write a filled shard, and keep its record for who announces it."""
        self.records.append(self.write_shard(shard))
        return self.records[-1]

    def check_room(self, *, image_bytes: float = 0) -> None:
        """The process that holds the place knows what remains, and does this."""


class ShardWriter(ShardFiles):
    """Commits shards of one data set. Made by :func:`open_writer`, which holds the place.

    ``committed`` tells how many samples each committed shard holds.
    """

    def __init__(self, place: Place, dataset: DatasetRecord) -> None:
        super().__init__(place, dataset)
        self.committed = {record.index: len(record.samples) for record in place.journal()}

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
        self.place.announce(record)
        self.committed[record.index] = len(record.samples)

    def check_room(self, *, image_bytes: float = 0) -> None:
        """Raises :class:`StorageError` if what remains, with images of ``image_bytes`` each, cannot fit on the disk."""
        remaining = self.dataset.planned_samples - sum(self.committed.values())
        needed = remaining * (self.dataset.sample_bytes + image_bytes)
        refuse_lack(needed, self.place.free, where=self.place.location)

    def seal(self, samples: Sequence[Sample]) -> bool:
        """Write ``manifest.json`` and ``samples.parquet`` if all is committed, by this writer and by others.

        Whether it is: then, the journals are one and in order, and what interrupted writers left behind is gone.
        """
        with self.place.sealing():
            records = self.place.journal()
            if sum(len(record.samples) for record in records) != self.dataset.planned_samples:
                return False
            table = sample_table(samples, self.dataset.labels).to_parquet()
            self.place.write("samples.parquet", table)
            note_checked(table)
            files = {DATASET: self.place.find(DATASET) or b"", "samples.parquet": table}
            manifest = manifest_content(self.dataset, records, files)
            self.place.write("manifest.json", manifest)
            self.place.settle(records)
            return True


@contextmanager
def open_writer(location: str | Path, dataset: DatasetRecord, *, rank: int | None = None) -> Iterator[ShardWriter]:
    """Hold ``location``, a folder or a URL (``s3://bucket/folder``), and start the data set there or go on with it.

    With ``rank``, beside other ranks. Raises :class:`ConflictError` if another configuration's data lie there or it has
    a writer, and :class:`StorageError` if what remains to be written cannot fit on the disk.
    """
    place = open_place(location, rank=rank)
    with place.held():
        strangers = place.names()  # before the look for dataset.json, which another rank may be writing
        if place.find(DATASET) is not None:
            _check_same(place, stored_record(place), dataset)
        elif strangers:
            raise ConflictError(
                f"{location} is not empty and holds no data set (found {strangers[0]!r}). Choose another output folder."
            )
        else:
            check_record(dataset, where="The new data set")
            check_listing(dataset)
            place.write(DATASET, dataset.model_dump_json(indent=1).encode())
        place.mend()
        writer = ShardWriter(place, stored_record(place))
        writer.check_room()
        yield writer


def read_record(folder: Path) -> DatasetRecord:
    """The data set's record. Raises :class:`DataError` if there is none or its format is not known."""
    return stored_record(LocalPlace(folder))


def stored_record(place: Place) -> DatasetRecord:
    """:func:`read_record` of any place."""
    content = place.find(DATASET)
    if content is None:
        raise DataError(f"{place.location} is not a data set: it has no {DATASET}.")
    return parse_record(content, where=f"{place.location}/{DATASET}")


def _check_same(place: Place, old: DatasetRecord, new: DatasetRecord) -> None:
    if (old.uuid, old.sites, old.steps) == (new.uuid, new.sites, new.steps):
        return
    differing = sorted(key for key in {*old.spec, *new.spec} if old.spec.get(key) != new.spec.get(key))
    changes = "; ".join(
        f"{key}: there {_short(old.spec.get(key))}, here {_short(new.spec.get(key))}" for key in differing
    )
    raise ConflictError(
        f"{place.location} holds a data set of another configuration ({changes or _unspecified(old, new)}). "
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


def check_room(folder: Path, needed: float) -> None:
    """Raises :class:`StorageError` if ``needed`` bytes do not fit on the disk of ``folder``."""
    refuse_lack(needed, shutil.disk_usage(folder).free, where=str(folder))


def refuse_lack(needed: float, free: int | None, *, where: str) -> None:
    """Raises :class:`StorageError` if ``needed`` bytes are more than are ``free``; None: nobody knows."""
    if free is not None and needed > free:
        raise StorageError(
            f"The data set still needs {needed / 1e9:.2f} GB but {where} has {free / 1e9:.2f} GB free. "
            "Make room, record fewer sites or steps, or use a smaller reduction."
        )
