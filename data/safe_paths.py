"""Paths that come out of a data set's own tables lead nowhere but into its folder."""

import re
from pathlib import Path

from outcrop.data.errors import DataError
from outcrop.data.hdf5_source import LocalSource

PART = re.compile(r"(?!\.)[A-Za-z0-9_.\-]{1,255}")
MIB = 2**20


def safe_path(root: Path, relative: str) -> Path:
    """``relative`` below ``root``, where no part is a link. It need not exist.

    Raises :class:`DataError` for an absolute path, one with ``..`` or unusual characters, and one through a link.
    """
    path = root
    for part in safe_parts(relative, where=str(root)):
        path /= part
        if path.is_symlink():
            raise DataError(f"{path} is a link, and a data set holds none: it could lead anywhere. Copy the real file.")
    return path


def safe_parts(relative: str, *, where: str) -> list[str]:
    """The parts of a plain relative path. Raises :class:`DataError` for an absolute one, ``..`` or unusual signs."""
    parts = relative.split("/")
    if len(parts) > 8 or not all(PART.fullmatch(part) for part in parts):
        raise DataError(
            f"{where} names a file {relative[:200]!r}. "
            "Expected a plain relative path of letters, digits, '_', '-', '.'."
        )
    return parts


def read_bounded(path: Path, *, most: int) -> bytes:
    """The content of a regular file. Raises :class:`DataError` for a link, a pipe, or more than ``most`` bytes."""
    with LocalSource(path) as source:
        if source.size > most:
            raise DataError(f"{path} has {source.size / MIB:.0f} MiB, and at most {most / MIB:.0f} MiB are expected.")
        return source.read(0, source.size)
