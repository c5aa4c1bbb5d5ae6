"""Who may write to a data set's folder: one writer alone, or several ranks that share its plan.

``.lock`` is held exclusively by a sole writer and shared by ranks, ``.lock.r0003`` exclusively by rank 3, and
``.lock.seal`` exclusively by who seals. The files stay behind, empty: a lock belongs to the process, not to the file.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from outcrop.data.atomic import storage_error
from outcrop.data.errors import ConflictError

NAME = ".lock"


def rank_tag(rank: int | None) -> str:
    """What tells a rank's own files from those of others; empty for a sole writer."""
    return "" if rank is None else f".r{rank:04d}"


@contextmanager
def locked(folder: Path, *, rank: int | None = None) -> Iterator[None]:
    """Hold the folder's writer lock, or the one of ``rank``. Raises :class:`ConflictError` if another process does."""
    if folder.exists() and not folder.is_dir():
        raise ConflictError(f"{folder} is a file. Expected a folder to write the data set to: choose another name.")
    with _opened(folder, NAME) as stream:
        whole = fcntl.LOCK_EX if rank is None else fcntl.LOCK_SH
        _take(stream, whole, f"Another process is writing to {folder}.")
        if rank is None:
            yield
            return
        with _opened(folder, NAME + rank_tag(rank)) as own:
            _take(own, fcntl.LOCK_EX, f"Another process is writing to {folder} as rank {rank}.")
            yield


@contextmanager
def sealing(folder: Path) -> Iterator[None]:
    """One rank at a time: waits for the others."""
    with _opened(folder, f"{NAME}.seal") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _opened(folder: Path, name: str) -> IO[bytes]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / name).open("wb")
    except OSError as error:
        raise storage_error(folder / name, error) from error


def _take(stream: IO[bytes], kind: int, refusal: str) -> None:
    try:
        fcntl.flock(stream, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConflictError(f"{refusal} Wait for it to end, or choose another output folder.") from None
