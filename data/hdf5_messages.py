"""The messages of HDF5's object headers, as far as a shard may use them; the rest is refused by name.

Source: the HDF5 File Format Specification, version 3.0, section IV.A.2. Only numbers that a shard may hold are
understood: little-endian integers and IEEE floats, and text of fixed length.
"""

import math
import struct
from dataclasses import dataclass
from typing import Literal

import numpy as np

from outcrop.data.errors import DataError

UNDEFINED = 2**64 - 1
MAX_RANK = 8
MAX_CHUNK_BYTES = 2**26
Filter = Literal["deflate", "shuffle", "fletcher32"]
FILTERS: dict[int, Filter] = {2: "shuffle", 1: "deflate", 3: "fletcher32"}
"""In the one order in which a shard may apply them."""
CLASSES = {
    2: "time", 4: "bit field", 5: "opaque", 6: "compound", 7: "reference", 8: "enumeration", 9: "variable-length",
    10: "array", 11: "complex",
}  # fmt: skip
_FLOATS = {  # sign position, then: bit offset, precision, exponent's place and size, mantissa's place and size, bias
    2: (15, (0, 16, 10, 5, 0, 10, 15)),
    4: (31, (0, 32, 23, 8, 0, 23, 127)),
    8: (63, (0, 64, 52, 11, 0, 52, 1023)),
}


@dataclass(frozen=True)
class ContiguousLayout:
    """One run of bytes."""

    offset: int
    size: int


@dataclass(frozen=True)
class ChunkedLayout:
    """Pieces of ``shape``, listed by the B-tree at ``index``."""

    index: int
    shape: tuple[int, ...]
    item: int


def parse_dtype(body: bytes) -> np.dtype[np.generic]:
    """A datatype message. Raises :class:`DataError` for all but plain numbers and text of fixed length."""
    kind, version = body[0] & 15, body[0] >> 4
    bits = int.from_bytes(body[1:4], "little")
    (size,) = struct.unpack_from("<I", body, 4)
    if version in {1, 2, 3}:
        if kind == 0 and size in {1, 2, 4, 8} and bits & ~8 == 0:
            if struct.unpack_from("<HH", body, 8) == (0, 8 * size):
                return np.dtype(f"<{'i' if bits & 8 else 'u'}{size}")
        elif kind == 1 and size in _FLOATS:
            sign, numbers = _FLOATS[size]
            if bits == 0x20 | sign << 8 and struct.unpack_from("<HHBBBBI", body, 8) == numbers:
                return np.dtype(f"<f{size}")
        elif kind == 3 and 0 < size <= 2**20 and bits & 15 <= 2 and bits >> 4 <= 1:
            return np.dtype(f"S{size}")
    name = CLASSES.get(kind, f"unusual (class {kind}, version {version}, {size} bytes)")
    raise DataError(f"holds values of {name} type; only plain numbers and text of fixed length are allowed")


def parse_dataspace(body: bytes) -> tuple[int, ...]:
    """A dataspace message as a shape. Raises :class:`DataError` if it is empty, may grow or has too many axes."""
    version, rank, flags = body[0], body[1], body[2]
    if version not in {1, 2} or rank > MAX_RANK or flags & ~1 or (version == 2 and body[3] > 1):
        raise DataError(f"has an unusual shape (version {version}, {rank} axes, flags {flags})")
    start = 8 if version == 1 else 4
    shape = struct.unpack_from(f"<{rank}Q", body, start)
    if flags & 1 and struct.unpack_from(f"<{rank}Q", body, start + 8 * rank) != shape:
        raise DataError(f"has a shape that may grow from {shape}")
    return shape


def parse_layout(body: bytes) -> ContiguousLayout | ChunkedLayout:
    """A data layout message. Raises :class:`DataError` for virtual, compact and unknown ones."""
    version, kind = body[0], body[1]
    if version != 3 or kind not in {1, 2}:
        name = {0: "compact", 3: "virtual"}.get(kind, f"unusual (version {version}, class {kind})")
        raise DataError(f"has a {name} layout; only contiguous ones and plain chunks are allowed")
    if kind == 1:
        return ContiguousLayout(*struct.unpack_from("<QQ", body, 2))
    rank = body[2] - 1
    if not 1 <= rank <= MAX_RANK:
        raise DataError(f"has chunks of {rank} axes")
    (index,) = struct.unpack_from("<Q", body, 3)
    *shape, item = struct.unpack_from(f"<{rank + 1}I", body, 11)
    if 0 in shape or math.prod(shape) * item > MAX_CHUNK_BYTES:
        raise DataError(f"has chunks of {tuple(shape)} values, more than {MAX_CHUNK_BYTES} bytes each, or empty ones")
    return ChunkedLayout(index, tuple(shape), item)


def parse_filters(body: bytes) -> tuple[Filter, ...]:
    """A filter pipeline message. Raises :class:`DataError` for a filter that is unknown, repeated or out of order."""
    version, count = body[0], body[1]
    if version not in {1, 2} or count > len(FILTERS):
        raise DataError(f"has {count} filters (version {version} of the list); at most {len(FILTERS)} are allowed")
    place = 8 if version == 1 else 2
    found: list[Filter] = []
    for _ in range(count):
        (code,) = struct.unpack_from("<H", body, place)
        if code not in FILTERS:
            raise DataError(f"needs the filter {code}; allowed are {', '.join(FILTERS.values())}")
        found.append(FILTERS[code])
        place += 2
        name = 0
        if version == 1:
            (name,) = struct.unpack_from("<H", body, place)
            place += 2
        (values,) = struct.unpack_from("<H", body, place + 2)
        place += 4 + -(-name // 8) * 8 + 4 * (values + (values % 2 if version == 1 else 0))
    if found != [name for name in FILTERS.values() if name in found]:
        raise DataError(f"has the filters {found}: repeated or out of order")
    return tuple(found)


def check_attribute(body: bytes) -> None:
    """Raises :class:`DataError` for an attribute that is no plain number or text of fixed length."""
    version, flags = body[0], body[1]
    if version not in {1, 2, 3} or (version > 1 and flags):
        raise DataError(f"has an unusual attribute (version {version}, flags {flags})")
    name, kind, space = struct.unpack_from("<HHH", body, 2)
    start = 9 if version == 3 else 8
    unit = 8 if version == 1 else 1
    kind_start = start + -(-name // unit) * unit
    space_start = kind_start + -(-kind // unit) * unit
    dtype = parse_dtype(body[kind_start : kind_start + kind])
    shape = parse_dataspace(body[space_start : space_start + space])
    if space_start + -(-space // unit) * unit + math.prod(shape) * dtype.itemsize > len(body):
        raise DataError(f"has an attribute that declares {shape} values of {dtype} and does not hold them")
