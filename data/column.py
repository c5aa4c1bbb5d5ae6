"""Reading one probe column (one site, one step of one shard) by its offset, without HDF5."""

import os
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from outcrop.data.errors import DataError
from outcrop.data.schema import ColumnRecord


def read_column(path: Path, column: ColumnRecord, *, step: int, site: str) -> NDArray[np.generic]:
    """The plane (sample, *feature) of ``step``, its checksum verified.

    Raises :class:`DataError` for a file that is missing, cut short or altered.
    """
    kind = np.dtype(column.dtype)
    plane = kind.itemsize * int(np.prod(column.shape[1:], dtype=np.int64))
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise DataError(f"Shard {path} cannot be opened: {error.strerror}.") from error
    try:
        content = os.pread(handle, plane, column.offset + step * plane)
    finally:
        os.close(handle)
    if len(content) != plane or zlib.crc32(content) != column.crc32[step]:
        raise DataError(
            f"Shard {path} is damaged at site {site!r}, step {step}: the checksum in the journal does not match. "
            "Fetch the file again, or delete it and its journal line and capture again."
        )
    return np.frombuffer(content, kind).reshape(column.shape[1:])


def widen_bfloat16(values: NDArray[np.generic]) -> NDArray[np.float32]:
    """bfloat16 stored as ``<u2``, as float32 (exact)."""
    return (values.astype("<u4") << 16).view("<f4")
