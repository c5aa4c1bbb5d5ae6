"""Where a data set is written: a folder of this machine, or an object store (:mod:`outcrop.data.remote_place`)."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from outcrop.data.atomic import (
    Content,
    append_line,
    cut_torn_line,
    remove_partial_files,
    write_all_atomic,
    write_atomic,
)
from outcrop.data.journal import journal_path, merge_journals, read_journal
from outcrop.data.locks import NAME as LOCK
from outcrop.data.locks import locked, rank_tag, sealing
from outcrop.data.schema import ShardRecord
from outcrop.data.store import LocalStore, is_remote, local_path
from outcrop.data.structure import MAX_META_BYTES


class Place(Protocol):
    """One data set's files, by their paths inside of it, at ``location``.

    A file that is written is there whole, or not at all. Raises :class:`StorageError` for what
    cannot be written.
    """

    @property
    def location(self) -> str: ...
    @property
    def free(self) -> int | None:
        """Bytes that there is room for; None where nothing says."""

    def held(self) -> AbstractContextManager[None]:
        """While this process writes. Raises :class:`ConflictError` beside another that must not."""

    def sealing(self) -> AbstractContextManager[None]:
        """While this process seals, one at a time."""

    def names(self) -> list[str]:
        """What lies there, but for what a writer leaves there before its first file."""

    def find(self, path: str) -> bytes | None:
        """The content of a small file, if it is there."""

    def write(self, path: str, content: Content) -> None: ...
    def write_all(self, files: Mapping[str, Content]) -> None: ...
    def found(self, path: str) -> NDArray[np.uint8] | None:
        """The bytes of a file, if it is there."""

    def journal(self) -> list[ShardRecord]:
        """What all writers have announced, in order."""

    def announce(self, record: ShardRecord) -> None:
        """Add a line to the journal."""

    def mend(self) -> None:
        """Drop a line of the journal that a killed writer has left half written."""

    def settle(self, records: Sequence[ShardRecord]) -> None:
        """Make one journal of ``records``, all there are, and remove what interrupted writers left behind."""


class LocalPlace:
    """A folder. With ``rank`` one of several writers; ``tag`` tells temporary files from those of other processes."""

    def __init__(self, folder: Path, *, rank: int | None = None, tag: str = "") -> None:
        self.folder = folder
        self._rank, self._tag = rank, rank_tag(rank) + tag

    @property
    def location(self) -> str:
        return str(self.folder)

    @property
    def free(self) -> int | None:
        folder = self.folder.absolute()
        return shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free

    def held(self) -> AbstractContextManager[None]:
        return locked(self.folder, rank=self._rank)

    def sealing(self) -> AbstractContextManager[None]:
        return sealing(self.folder)

    def names(self) -> list[str]:
        own = (LOCK, ".dataset.json")
        return sorted(entry.name for entry in self.folder.iterdir() if not entry.name.startswith(own))

    def find(self, path: str) -> bytes | None:
        return LocalStore(self.folder).find(path, most=MAX_META_BYTES)

    def write(self, path: str, content: Content) -> None:
        write_atomic(self.folder / path, content, tag=self._tag)

    def write_all(self, files: Mapping[str, Content]) -> None:
        write_all_atomic({self.folder / path: content for path, content in files.items()}, tag=self._tag)

    def found(self, path: str) -> NDArray[np.uint8] | None:
        target = self.folder / path
        return np.memmap(target, np.uint8, "r") if target.exists() and target.stat().st_size else None

    def journal(self) -> list[ShardRecord]:
        return read_journal(self.folder)

    def announce(self, record: ShardRecord) -> None:
        append_line(journal_path(self.folder, self._rank), record.model_dump_json())

    def mend(self) -> None:
        cut_torn_line(journal_path(self.folder, self._rank))

    def settle(self, records: Sequence[ShardRecord]) -> None:
        merge_journals(self.folder, records, tag=self._tag)
        remove_partial_files(self.folder)


def open_place(location: str | Path, *, rank: int | None = None, tag: str = "") -> Place:
    """A folder, or what lies behind a URL such as ``s3://bucket/folder``; nothing is made there yet.

    With ``rank`` beside other ranks; ``tag`` tells temporary files from those of other processes.
    """
    if is_remote(location):
        from outcrop.data.remote_place import RemotePlace

        return RemotePlace(str(location), rank=rank)
    return LocalPlace(local_path(location), rank=rank, tag=tag)


def absolute(location: str | Path) -> str | Path:
    """The same place for processes that run elsewhere."""
    return location if is_remote(location) else local_path(location).absolute()
