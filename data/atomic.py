"""Files that are either whole and on disk, or not there."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from outcrop.data.errors import ConflictError, StorageError


def write_atomic(path: Path, content: bytes | memoryview) -> None:
    """Write under a temporary name, fsync, rename, fsync the folder. Raises :class:`StorageError` naming the file."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        _make_folder(path.parent)
        with partial.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise storage_error(path, error) from error


def append_line(path: Path, line: str) -> None:
    """Append one line and fsync. What a failed append leaves behind is cut off by :func:`cut_torn_line`."""
    try:
        fresh = not path.exists()
        with path.open("ab") as stream:
            stream.write(line.encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        if fresh:
            sync_folder(path.parent)
    except OSError as error:
        raise storage_error(path, error) from error


def cut_torn_line(path: Path) -> None:
    """Drop a last line that has no newline: a kill or a full disk interrupted its writing."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        try:
            os.truncate(path, whole)
        except OSError as error:
            raise storage_error(path, error) from error


def _make_folder(folder: Path) -> None:
    """Make ``folder`` and what it lies in, each on disk in its parent: a power cut leaves no journaled file without."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Put the folder's own entries (a new or renamed file) on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def storage_error(path: Path, error: OSError) -> StorageError:
    """What to raise when writing ``path`` failed with ``error``."""
    return StorageError(
        f"Could not write {path}: {error.strerror or error}. What was committed before is safe; "
        f"make room (or mend the disk) and run the same command again to go on."
    )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's writer lock. Raises :class:`ConflictError` if another process has it."""
    if folder.exists() and not folder.is_dir():
        raise ConflictError(f"{folder} is a file. Expected a folder to write the data set to: choose another name.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / ".lock").open("wb")
    except OSError as error:
        raise storage_error(folder, error) from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError(
                f"Another process is writing to {folder}. Wait for it to end, or choose another output folder."
            ) from None
        yield
