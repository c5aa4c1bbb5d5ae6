"""Where the files of a data set lie: a local folder, or whatever fsspec reaches (``https://``, ``s3://``, ``hf://``).

Reading only. Nothing is kept open between two reads, so that a store may cross ``fork`` and be sent to other processes.
"""

import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from outcrop.data.errors import DataError, InputError
from outcrop.data.object_store import EXTRA, is_object_store, options
from outcrop.data.safe_paths import read_bounded, safe_parts, safe_path

MAX_TABLE_BYTES = 2**31
OPEN_AT_ONCE = 16


@dataclass(frozen=True)
class Piece:
    """Bytes to be read: those of ``path`` from ``offset`` on, as many as ``target`` (uint8, contiguous) holds."""

    path: str
    offset: int
    target: NDArray[np.uint8]


class Store(Protocol):
    """Files by their paths inside of one folder, such as ``shards/000/s000000.h5``.

    ``find`` is None for a file that is not there, where ``read`` raises :class:`DataError`. ``most``: bytes.
    """

    @property
    def location(self) -> str: ...
    def read(self, path: str) -> bytes: ...
    def find(self, path: str, *, most: int = MAX_TABLE_BYTES) -> bytes | None: ...
    def version(self, path: str) -> object: ...
    def fill(self, pieces: Sequence[Piece]) -> None: ...


@dataclass(frozen=True)
class LocalStore:
    """A folder on this machine. ``version`` changes when a file is written anew.

    ``keep`` is held for as long as the store: a temporary folder that goes with it. That a path is safe is looked up
    once; when its file is another one, its version tells.
    """

    folder: Path
    keep: object = field(default=None, repr=False, compare=False)
    _safe: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __reduce__(self) -> tuple[type["LocalStore"], tuple[Path]]:
        return LocalStore, (self.folder,)

    @property
    def location(self) -> str:
        return str(self.folder)

    def read(self, path: str) -> bytes:
        return read_bounded(safe_path(self.folder, path), most=MAX_TABLE_BYTES)

    def find(self, path: str, *, most: int = MAX_TABLE_BYTES) -> bytes | None:
        target = safe_path(self.folder, path)
        return read_bounded(target, most=most) if os.path.lexists(target) else None

    def version(self, path: str) -> object:
        try:
            state = os.stat(self._path(path), follow_symlinks=False)  # noqa: PTH116  # a path each costs as much as the call
        except OSError as error:
            raise unreadable(str(self.folder / path), error) from error
        return state.st_ino, state.st_size, state.st_mtime_ns

    def fill(self, pieces: Sequence[Piece]) -> None:
        files = [(self._path(path), list(group)) for path, group in groupby(pieces, key=lambda piece: piece.path)]
        for start in range(0, len(files), OPEN_AT_ONCE):
            _fill_files(files[start : start + OPEN_AT_ONCE])

    def _path(self, path: str) -> str:
        known = self._safe.get(path)
        if known is None:
            known = self._safe[path] = str(safe_path(self.folder, path))
        return known


@dataclass
class RemoteStore:
    """A folder behind a URL. Only what is asked for is fetched, as ranges of bytes and several at once."""

    location: str
    _systems: dict[int, tuple[Any, str]] = field(default_factory=dict, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {"location": self.location, "_systems": {}}

    def read(self, path: str) -> bytes:
        content = self.find(path)
        if content is None:
            raise DataError(f"{self.location} has no file {path}. Is it a data set, and was all of it published?")
        return content

    def find(self, path: str, *, most: int = MAX_TABLE_BYTES) -> bytes | None:
        system, root = self._system()
        try:
            content: bytes = system.cat_file(self._inside(root, path), start=0, end=most)
        except FileNotFoundError:
            return None
        except Exception as error:
            raise unreadable(f"{self.location}/{path}", error) from error
        return content

    def version(self, path: str) -> object:  # noqa: ARG002  # what is published does not change
        return 0

    def fill(self, pieces: Sequence[Piece]) -> None:
        system, root = self._system()
        wanted = [piece for piece in pieces if piece.target.size]
        paths = [self._inside(root, piece.path) for piece in wanted]
        starts = [piece.offset for piece in wanted]
        ends = [piece.offset + piece.target.size for piece in wanted]
        try:
            contents = system.cat_ranges(paths, starts, ends, on_error="raise")
        except Exception as error:
            raise unreadable(self.location, error) from error
        for piece, content in zip(wanted, contents, strict=True):
            if len(content) != piece.target.size:
                raise DataError(
                    f"{self.location}/{piece.path}: {piece.target.size} bytes were asked for, {len(content)} came. "
                    "Either the file is cut short or the server gives no ranges: fetch the whole with `outcrop pull`."
                )
            piece.target[:] = np.frombuffer(content, np.uint8)

    def _inside(self, root: str, path: str) -> str:
        return "/".join([root, *safe_parts(path, where=self.location)])

    def _system(self) -> tuple[Any, str]:
        """The file system and the folder in it, one a process: connections do not survive a fork."""
        known = self._systems.get(os.getpid())
        if known is None:
            known = self._systems[os.getpid()] = connect(self.location)
        return known


class ScratchFolder:
    """A temporary folder, ``path``, that goes when nothing refers to this object any more."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="outcrop-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def connect(location: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path in it. Raises :class:`InputError` for what is not installed."""
    try:
        from fsspec.core import url_to_fs

        system, root = _own_driver(location) or url_to_fs(location)
    except (ImportError, ValueError) as error:
        raise InputError(f"{location} cannot be reached: {error}. For remote data sets: {EXTRA}") from error
    return system, str(root).rstrip("/")


def _own_driver(location: str) -> tuple[Any, str] | None:
    """obstore, by which data sets are written to object stores, where fsspec's own driver is not installed."""
    from fsspec import get_filesystem_class

    if not is_object_store(location):
        return None
    scheme, _, path = location.partition("://")
    try:
        get_filesystem_class(scheme)
    except ImportError:
        from obstore.fsspec import FsspecStore

        driver: Any = FsspecStore  # its overloads want the scheme spelt out
        # not one of before: the endpoint and the credentials in the environment may have changed since
        return driver(scheme, skip_instance_cache=True, **options(location)), path
    return None


def local_path(location: str | Path) -> Path:
    """The path of what lies on this machine, given as such or as ``file://``."""
    text = str(location)
    if match := re.match(r"(s3|gs|az|hf|https?):/(?!/)(.*)", text):
        raise InputError(f"{text} is no URL, as one slash is missing. Did you mean {match[1]}://{match[2]}?")
    return Path(unquote(urlsplit(text).path)) if text.startswith("file://") else Path(location)


def is_remote(location: str | Path) -> bool:
    """Whether it is a URL that leads off this machine."""
    return isinstance(location, str) and "://" in location and not location.startswith("file://")


def unreadable(name: str, error: Exception) -> DataError:
    """What to raise when ``name`` cannot be read."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return DataError(f"{name} cannot be read: {reason}.")


def _fill_files(files: Sequence[tuple[str, list[Piece]]]) -> None:
    """While one file is copied, the disk already brings the next."""
    handles: list[int] = []
    path = ""
    try:
        for path, pieces in files:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            handles.append(handle)
            if len(files) > 1 and len(pieces) == 1:
                os.posix_fadvise(handle, pieces[0].offset, pieces[0].target.size, os.POSIX_FADV_WILLNEED)
        for handle, (path, pieces) in zip(handles, files, strict=True):
            for piece in pieces:
                _read_fully(handle, piece, path)
    except OSError as error:
        raise unreadable(f"Shard {path}", error) from error
    finally:
        for handle in handles:
            os.close(handle)


def _read_fully(handle: int, piece: Piece, path: str) -> None:
    view, done = memoryview(piece.target.data), 0
    while done < len(view):
        count = os.preadv(handle, [view[done:]], piece.offset + done)
        if count == 0:
            raise DataError(f"Shard {path} is damaged: it ends before what its record says. Fetch it again.")
        done += count
