"""Reading one probe column (one site, one step of one shard) by its offset, without HDF5."""

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
    count = int(np.prod(column.shape[1:], dtype=np.int64))
    start = column.offset + step * count * kind.itemsize
    try:
        values: NDArray[np.generic] = np.fromfile(path, kind, count, offset=start)
    except OSError as error:
        raise DataError(f"Shard {path} cannot be read: {error.strerror or error}.") from error
    if len(values) != count or zlib.crc32(values.view(np.uint8).data) != column.crc32[step]:
        raise DataError(
            f"Shard {path} is damaged at site {site!r}, step {step}: the checksum in the journal does not match. "
            "Fetch the file again, or delete it and its journal line and capture again."
        )
    return values.reshape(column.shape[1:])


def widen_bfloat16(values: NDArray[np.generic]) -> NDArray[np.float32]:
    """bfloat16 stored as ``<u2``, as float32 (exact)."""
    return (values.astype("<u4") << 16).view("<f4")
