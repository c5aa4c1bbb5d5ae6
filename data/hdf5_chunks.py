"""Chunked arrays, as the compressed profile has them: where the chunks lie, and their values, within fixed memory.

Source: the HDF5 File Format Specification, version 3.0, sections III.A.1 (B-trees, version 1) and IV.A.2.l (filters).
"""

import itertools
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcrop.data.errors import DataError
from outcrop.data.hdf5_messages import UNDEFINED, ChunkedLayout, Filter

Read = Callable[[int, int], bytes]
MAX_CHUNKS = 2**20
MAX_RATIO = 100
SMALL = 2**26
"""Arrays of fewer bytes may shrink by more than ``MAX_RATIO``."""


@dataclass(frozen=True)
class Chunk:
    """Where a chunk lies; ``skipped`` has bit ``k`` set where filter ``k`` was not applied."""

    offset: int
    size: int
    skipped: int


@dataclass(frozen=True)
class ChunkTable:
    """Every chunk of an array, by its first index along each axis."""

    shape: tuple[int, ...]
    item: int
    filters: tuple[Filter, ...]
    chunks: dict[tuple[int, ...], Chunk]

    def runs(self) -> list[tuple[int, int]]:
        """Start and end of each in the file."""
        return [(chunk.offset, chunk.offset + chunk.size) for chunk in self.chunks.values()]

    def read(self, read: Read, start: tuple[int, ...]) -> bytes:
        """The values of the chunk at ``start``. Raises :class:`DataError` if they are not what is declared."""
        chunk = self.chunks[start]
        content = read(chunk.offset, chunk.size)
        size = math.prod(self.shape) * self.item
        for place, name in reversed(list(enumerate(self.filters))):
            if not chunk.skipped >> place & 1:
                content = _UNDO[name](content, size, self.item)
        if len(content) != size:
            raise DataError(f"The chunk at {start} holds {len(content)} bytes, and {size} are declared: it is damaged.")
        return content


def read_chunk_table(
    read: Read, layout: ChunkedLayout, filters: tuple[Filter, ...], shape: tuple[int, ...], item: int
) -> ChunkTable:
    """Where the chunks of an array of ``shape`` lie. Raises :class:`DataError` if not each lies there exactly once."""
    if len(layout.shape) != len(shape) or layout.item != item:
        raise DataError(f"has chunks of {layout.shape} values of {layout.item} bytes, which do not fit {shape}")
    counts = [-(-extent // step) for extent, step in zip(shape, layout.shape, strict=True)]
    whole = math.prod(shape) * item
    if not 0 < math.prod(counts) <= MAX_CHUNKS:
        raise DataError(f"declares {math.prod(counts)} chunks; 1 to {MAX_CHUNKS} are allowed")
    chunks: dict[tuple[int, ...], Chunk] = {}
    for start, chunk in _walk(read, layout.index, len(shape), None):
        if start in chunks or len(chunks) > math.prod(counts):
            raise DataError(f"has the chunk at {start} twice, or too many")
        if chunk.skipped >> len(filters):
            raise DataError(f"has a chunk whose filter mask is {chunk.skipped:#x}")
        chunks[start] = chunk
    grid = itertools.product(*(range(0, extent, step) for extent, step in zip(shape, layout.shape, strict=True)))
    if len(chunks) != math.prod(counts) or any(start not in chunks for start in grid):
        raise DataError("lacks some of its chunks")
    stored = sum(chunk.size for chunk in chunks.values())
    if whole > max(SMALL, MAX_RATIO * stored) or (not filters and stored < whole):
        raise DataError(f"declares {whole} bytes and stores {stored}: it is no honest compression")
    return ChunkTable(layout.shape, item, filters, chunks)


def _walk(read: Read, address: int, rank: int, level: int | None) -> Iterator[tuple[tuple[int, ...], Chunk]]:
    if address == UNDEFINED:
        raise DataError("has no chunk")
    head = read(address, 24)
    kind, here, count = struct.unpack_from("<BBH", head, 4)
    if head[:4] != b"TREE" or kind != 1 or count == 0 or here > 4 or (level is not None and here != level - 1):
        raise DataError("has a damaged list of chunks")
    key = 8 + 8 * (rank + 1)
    body = read(address + 24, count * (key + 8) + key)
    for number in range(count):
        place = number * (key + 8)
        size, skipped, *start = struct.unpack_from(f"<II{rank + 1}Q", body, place)
        (child,) = struct.unpack_from("<Q", body, place + key)
        if here:
            yield from _walk(read, child, rank, here)
        else:
            yield tuple(start[:-1]), Chunk(child, size, skipped)


def _inflate(content: bytes, size: int, _item: int) -> bytes:
    stream = zlib.decompressobj()
    try:
        values = stream.decompress(content, size + 1)
    except zlib.error as error:
        raise DataError(f"A chunk does not decompress: {error}. It is damaged; fetch the file again.") from error
    if len(values) > size or not stream.eof:
        raise DataError(f"A chunk holds more than the {size} bytes that are declared: it is damaged or hostile.")
    return values


def _unshuffle(content: bytes, _size: int, item: int) -> bytes:
    count = len(content) // item
    planes = np.frombuffer(content, np.uint8, count * item).reshape(item, count)
    return planes.T.tobytes() + content[count * item :]


def _check_fletcher32(content: bytes, _size: int, _item: int) -> bytes:
    values, stored = content[:-4], content[-4:]
    if len(content) < 4 or fletcher32(values).to_bytes(4, "little") != stored:
        raise DataError("A chunk's checksum does not match: it is damaged. Fetch the file again.")
    return values


def fletcher32(content: bytes) -> int:
    """The checksum that HDF5 appends: over big-endian 16-bit words, an odd last byte as a word's upper half."""
    padded = content if len(content) % 2 == 0 else content + b"\0"
    words: NDArray[np.uint64] = np.frombuffer(padded, ">u2").astype(np.uint64)
    first = int(words.sum())
    weights = np.arange(len(words), 0, -1, dtype=np.uint64)
    second = sum(int((part * weight).sum()) for part, weight in _parts(words, weights))
    return _fold(second) << 16 | _fold(first)


def _parts(*arrays: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.uint64], ...]]:
    step = 2**20  # 2**16 * 2**26 * 2**20 is below 2**64
    for start in range(0, len(arrays[0]), step):
        yield tuple(array[start : start + step] for array in arrays)


def _fold(total: int) -> int:
    """Modulo 65535 as one's complement addition leaves it: 65535 in place of 0, unless all was zero."""
    return (total - 1) % 65535 + 1 if total else 0


_UNDO: dict[Filter, Callable[[bytes, int, int], bytes]] = {
    "deflate": _inflate,
    "shuffle": _unshuffle,
    "fletcher32": _check_fletcher32,
}
