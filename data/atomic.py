"""Files that are either whole and on disk, or not there."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from outcrop.data.errors import StorageError

Content = bytes | memoryview
FILES_AT_ONCE = 8


def write_atomic(path: Path, content: Content, *, tag: str = "") -> None:
    """Write under a temporary name, fsync, rename, fsync the folder. Raises :class:`StorageError` naming the file.

    ``tag`` becomes part of the temporary name: writers with other tags do not meet in it.
    """
    _write_whole(path, content, tag)
    _sync_folders({path.parent})


def write_all_atomic(files: Mapping[Path, Content], *, tag: str = "") -> None:
    """:func:`write_atomic` for many files, several at once: a file system brings them to disk together.

    Raises :class:`StorageError` naming one of the files; the others may be there or not.
    """
    with ThreadPoolExecutor(FILES_AT_ONCE) as threads:
        list(threads.map(lambda path: _write_whole(path, files[path], tag), files))
    _sync_folders({path.parent for path in files})


def append_line(path: Path, line: str) -> None:
    """Append one line and fsync. What a killed append leaves behind is cut off by :func:`cut_torn_line`."""
    fresh = not path.exists()
    before = 0 if fresh else path.stat().st_size
    try:
        with path.open("ab") as stream:
            stream.write(line.encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        if fresh:
            sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            os.truncate(path, before)
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


def remove_partial_files(folder: Path) -> None:
    """Remove what interrupted writers left under ``folder``. Only for who knows that no writer is at work."""
    for path in folder.rglob(".*.partial"):
        path.unlink(missing_ok=True)


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


def _write_whole(path: Path, content: Content, tag: str) -> None:
    partial = path.with_name(f".{path.name}{tag}.partial")
    try:
        _make_folder(path.parent)
        with partial.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise storage_error(path, error) from error


def _sync_folders(folders: set[Path]) -> None:
    for folder in sorted(folders):
        try:
            sync_folder(folder)
        except OSError as error:
            raise storage_error(folder, error) from error


def _make_folder(folder: Path) -> None:
    """Make ``folder`` and what it lies in, each on disk in its parent: a power cut leaves no journaled file without."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)
