"""The blocks of a study as they are finished: in memory, or as files that survive a kill."""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from outcrop.attribution.folders import check_study_folder
from outcrop.attribution.outcomes import PAIRS, RECORD, TABLE, Pictures, StudyRecord, npy_bytes
from outcrop.data.atomic import remove_partial_files, storage_error, sync_folder, write_atomic
from outcrop.data.errors import DataError
from outcrop.data.locks import locked

PARTS_FOLDER = "parts"


class PartStore:
    """Pictures by the name of their block. ``folder`` is the study's; without one they are kept in memory.

    ``tag`` becomes part of temporary names: processes with other tags do not meet.
    """

    def __init__(self, folder: Path | None, *, tag: str = "") -> None:
        self._folder, self._tag, self._kept = folder, tag, dict[str, Pictures]()

    def __contains__(self, name: str) -> bool:
        return name in self._kept or (self._folder is not None and self._path(name).exists())

    def write(self, name: str, pictures: Pictures) -> None:
        if self._folder is None:
            self._kept[name] = pictures
        else:
            write_atomic(self._path(name), npy_bytes(pictures), tag=self._tag)

    def read(self, name: str) -> Pictures:
        """Raises :class:`DataError` for a damaged file."""
        if self._folder is None:
            return self._kept[name]
        try:
            found: Pictures = np.load(self._path(name), allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(f"{self._path(name)} is damaged ({error}): remove it and run again.") from error
        return found

    def _path(self, name: str) -> Path:
        assert self._folder is not None
        return self._folder / PARTS_FOLDER / f"{name}.npy"


@contextmanager
def study_folder(folder: Path, record: StudyRecord, tables: Mapping[str, bytes]) -> Iterator[None]:
    """Hold ``folder`` for one process; write what is known beforehand, or check that it is the same study's.

    Raises :class:`ConflictError` for a folder that holds something else, or one that another process writes to.
    """
    check_study_folder(folder, record)
    with locked(folder):
        check_study_folder(folder, record)  # nobody writes into it now
        if not (folder / RECORD).exists():
            for name in (PAIRS, TABLE):
                write_atomic(folder / name, tables[name])
            write_atomic(folder / RECORD, record.model_dump_json(indent=1).encode())
        remove_partial_files(folder)
        yield


def merge(path: Path, pieces: Iterable[tuple[Sequence[int], Pictures]], *, count: int) -> None:
    """Write (rows, pictures) of ``count`` rows in all as one array, a piece at a time."""
    partial, merged = path.with_name(f".{path.name}.partial"), None
    try:
        for rows, pictures in pieces:
            if merged is None:
                merged = np.lib.format.open_memmap(partial, "w+", np.uint8, (count, *pictures.shape[1:]))
            merged[list(rows)] = pictures
        assert merged is not None
        merged.flush()
        partial.replace(path)
    except OSError as error:
        raise storage_error(path, error) from error
    sync_folder(path.parent)


def drop_parts(folder: Path) -> None:
    """Remove the blocks of a study that is merged."""
    shutil.rmtree(folder / PARTS_FOLDER, ignore_errors=True)
