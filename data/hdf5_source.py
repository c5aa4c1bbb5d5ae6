"""Bytes of a file by offset, within bounds: what the HDF5 parser and the readers of columns look at."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol

from outcrop.data.errors import DataError


class ByteSource(Protocol):
    """Something of ``size`` bytes that gives exactly ``count`` of them at ``offset``, or raises :class:`DataError`."""

    size: int
    name: str

    def read(self, offset: int, count: int) -> bytes: ...


class MemorySource:
    """Bytes in memory."""

    def __init__(self, content: bytes | memoryview, name: str = "the file") -> None:
        self.content, self.size, self.name = memoryview(content), len(content), name

    def read(self, offset: int, count: int) -> bytes:
        check_bounds(self, offset, count)
        return self.content[offset : offset + count].tobytes()


class LocalSource:
    """A regular file on this machine, open for reading while its context is open.

    A link, a pipe or a device is refused without being waited for: opening a named pipe would hang.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        try:
            self._handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}. Expected a regular file.") from error
        status = os.fstat(self._handle)
        self.size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            os.close(self._handle)
            raise DataError(f"{path} is not a regular file. Fetch the data set again, or remove the entry.")

    def __enter__(self) -> "LocalSource":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            os.close(self._handle)

    def read(self, offset: int, count: int) -> bytes:
        check_bounds(self, offset, count)
        content = os.pread(self._handle, count, offset)
        if len(content) != count:
            raise DataError(f"{self.name} became shorter while it was read, or its disk fails.")
        return content


def check_bounds(source: ByteSource, offset: int, count: int) -> None:
    """Raises :class:`DataError` for bytes that ``source`` does not have."""
    if offset < 0 or count < 0 or offset + count > source.size:
        raise DataError(
            f"{source.name} has {source.size} bytes, and bytes {offset} to {offset + count} are asked for: it is cut "
            "short or damaged. Fetch it again."
        )
