"""Links of a group with many members: HDF5 keeps them in a fractal heap, listed by a B-tree (version 2).

Source: the HDF5 File Format Specification, version 3.0, sections III.A.2 (B-trees) and III.G (fractal heap). Understood
is what a group of up to about ten thousand members needs; the rest is refused.
"""

import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from outcrop.data.errors import DataError

Read = Callable[[int, int], bytes]
NAME_INDEX = 5
RECORD = 11
MAX_DEPTH = 3
OVERHEAD = 10


@dataclass(frozen=True)
class LinkHeap:
    """Direct blocks, each with its place in the heap's own address space."""

    read: Read
    starts: list[int]
    sizes: list[int]
    addresses: list[int]
    offset_bytes: int

    def get(self, identifier: bytes) -> bytes:
        """The object of a heap ID."""
        if identifier[0] != 0:
            raise DataError("has a link that does not lie in its group's heap")
        place = int.from_bytes(identifier[1 : 1 + self.offset_bytes], "little")
        size = int.from_bytes(identifier[1 + self.offset_bytes :], "little")
        block = bisect_right(self.starts, place) - 1
        if block < 0 or place + size > self.starts[block] + self.sizes[block]:
            raise DataError("has a link outside of its group's heap")
        return self.read(self.addresses[block] + place - self.starts[block], size)


def read_dense_links(read: Read, heap_address: int, index_address: int) -> Iterator[bytes]:
    """The link messages of a group, in the order of its index. Raises :class:`DataError`."""
    heap = _read_heap(read, heap_address)
    for record in _read_index(read, index_address):
        yield heap.get(record[4:])


def _read_heap(read: Read, address: int) -> LinkHeap:
    body = read(address, 146)
    identifier, filters = struct.unpack_from("<HH", body, 5)
    width, start, largest, bits, _, root, rows = struct.unpack_from("<HQQHHQH", body, 110)
    direct_rows = (largest // start).bit_length() + 1 if start else 0
    if (
        (body[:5], identifier, filters) != (b"FRHP\0", 7, 0)
        or not 1 <= width <= 16
        or not 512 <= start <= largest <= 2**20
        or start & (start - 1)
        or largest & (largest - 1)
        or bits != 32
        or rows > direct_rows
    ):
        raise DataError("has a group whose links are kept in an unusual way")
    if rows == 0:
        return LinkHeap(read, [0], [start], [root], 4)
    count = rows * width
    block = read(root, 17 + 8 * count + 4)
    if block[:5] != b"FHIB\0":
        raise DataError("has a group whose links are damaged")
    starts, sizes, addresses, place = [], [], [], 0
    for number, child in enumerate(struct.unpack_from(f"<{count}Q", block, 17)):
        size = start << max(number // width - 1, 0)
        starts.append(place)
        sizes.append(size)
        addresses.append(child)
        place += size
    return LinkHeap(read, starts, sizes, addresses, 4)


def _read_index(read: Read, address: int) -> Iterator[bytes]:
    body = read(address, 38)
    kind, node, record, depth = struct.unpack_from("<BIHH", body, 5)
    root, count = struct.unpack_from("<QH", body, 16)
    if (body[:5], kind, record) != (b"BTHD\0", NAME_INDEX, RECORD) or depth > MAX_DEPTH or not 64 <= node <= 2**16:
        raise DataError("has a group whose index is of an unusual kind")
    yield from _Nodes(read, node, depth).walk(root, count, depth)


class _Nodes:
    """Nodes of the tree: how wide a child's record counts are depends on how much a level can hold."""

    def __init__(self, read: Read, node: int, depth: int) -> None:
        self._read, self._node = read, node
        most = (node - OVERHEAD) // RECORD
        self._most, self._total = [most], [0]
        self._count_bytes = _bytes_for(most)
        whole = most
        for _ in range(depth):
            pointer = 8 + self._count_bytes + self._total[-1]
            level = (node - OVERHEAD - pointer) // (RECORD + pointer)
            whole = (level + 1) * whole + level
            self._most.append(level)
            self._total.append(_bytes_for(whole))

    def walk(self, address: int, count: int, depth: int) -> Iterator[bytes]:
        if not 0 < count <= self._most[depth]:
            raise DataError(f"has a group index with {count} entries where 1 to {self._most[depth]} fit")
        body = self._read(address, self._node)
        if body[:6] != (b"BTIN\0" if depth else b"BTLF\0") + bytes([NAME_INDEX]):
            raise DataError("has a group whose index is damaged")
        for number in range(count):
            yield body[6 + RECORD * number : 6 + RECORD * (number + 1)]
        if depth:
            place = 6 + RECORD * count
            width = 8 + self._count_bytes + self._total[depth - 1]
            for number in range(count + 1):
                pointer = body[place + width * number : place + width * (number + 1)]
                records = int.from_bytes(pointer[8 : 8 + self._count_bytes], "little")
                yield from self.walk(int.from_bytes(pointer[:8], "little"), records, depth - 1)


def _bytes_for(limit: int) -> int:
    return (max(limit, 1).bit_length() - 1) // 8 + 1
