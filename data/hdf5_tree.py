"""What an HDF5 file holds, read without HDF5: nothing of it is trusted, and nothing but its structure is read.

HDF5's C library follows links into other files, runs plug-ins and crashes on crafted bytes. A shard needs a small part
of the format (docs/format.md), which these modules read with bounds, budgets and no recursion into what was seen. What
lies outside of that part is refused by name. Source: the HDF5 File Format Specification, version 3.0.
"""

import itertools
import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from outcrop.data.errors import DataError
from outcrop.data.hdf5_chunks import ChunkTable, read_chunk_table
from outcrop.data.hdf5_groups import read_dense_links
from outcrop.data.hdf5_messages import (
    UNDEFINED,
    ChunkedLayout,
    ContiguousLayout,
    Filter,
    check_attribute,
    parse_dataspace,
    parse_dtype,
    parse_filters,
    parse_layout,
)
from outcrop.data.hdf5_source import ByteSource

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_OBJECTS = 20_000
MAX_STRUCTURE_BYTES = 2**25
MAX_MESSAGES = 2**18
MAX_DEPTH = 4
FIRST_READ = 512
NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f/\u2028\u2029\u202a-\u202e\u2066-\u2069]{1,200}")
REFUSED = {7: "values in another file (external storage)", 0x11: "links of the old kind", 0x14: "a driver of its own"}
IGNORED = {0, 4, 5, 0x0A, 0x0E, 0x12}
"""NIL, fill values (every value is stored), group info, modification times."""


@dataclass(frozen=True)
class StoredArray:
    """An array of the file: a run of bytes at ``offset``, or ``chunks``."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    offset: int | None = None
    chunks: ChunkTable | None = None

    @property
    def size(self) -> int:
        """Bytes of its values."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class Hdf5Tree:
    """All groups and arrays of a file, by their paths without a leading slash."""

    groups: frozenset[str]
    arrays: dict[str, StoredArray]


@dataclass
class _Parts:
    """What an object header says."""

    links: list[bytes] = field(default_factory=list)
    link_info: bytes | None = None
    shape: tuple[int, ...] | None = None
    dtype: np.dtype[np.generic] | None = None
    layout: ContiguousLayout | ChunkedLayout | None = None
    filters: tuple[Filter, ...] = ()


def read_tree(source: ByteSource) -> Hdf5Tree:
    """The structure of the file. Raises :class:`DataError` for everything that a shard must not hold."""
    return _Walk(source).run()


class _Walk:
    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._budget, self._messages_left = MAX_STRUCTURE_BYTES, MAX_MESSAGES
        self._seen: set[int] = set()
        self._groups: list[str] = []
        self._arrays: dict[str, StoredArray] = {}

    def run(self) -> Hdf5Tree:
        try:
            todo = [("", _root_address(self._source, self._read(0, min(48, self._source.size))))]
            while todo:
                todo += self._visit(*todo.pop())
        except (struct.error, IndexError) as error:
            raise DataError(f"{self._source.name} is not a sound HDF5 file: a structure is cut short.") from error
        _check_apart(self._source, self._arrays)
        return Hdf5Tree(frozenset(self._groups), self._arrays)

    def _visit(self, path: str, address: int) -> list[tuple[str, int]]:
        if address in self._seen or len(self._seen) > MAX_OBJECTS:
            raise self._error(path, "is linked twice (a cycle or an alias), or one of too many objects")
        self._seen.add(address)
        try:
            parts = self._parse_object(address)
            if parts.layout is None:
                self._groups.append(path)
                return [self._follow(path, body) for body in itertools.islice(self._links(parts), MAX_OBJECTS + 1)]
            self._arrays[path] = self._array(path, parts)
        except DataError as error:
            if str(error).startswith(self._source.name):
                raise
            raise self._error(path, str(error)) from error
        return []

    def _parse_object(self, address: int) -> _Parts:
        parts = _Parts()
        for kind, flags, body in self._messages(address):
            if flags & 2:
                raise DataError("has a shared message (a type that is stored elsewhere)")
            _note_message(parts, kind, body)
        return parts

    def _messages(self, address: int) -> Iterator[tuple[int, int, bytes]]:
        head = self._read(address, min(FIRST_READ, self._source.size - address) if address < self._source.size else 7)
        if head[:5] != b"OHDR\x02":
            raise DataError("has no object header of version 2, which HDF5 1.8 and later write")
        flags = head[5]
        start = 6 + 16 * bool(flags & 0x20) + 4 * bool(flags & 0x10)
        width = 1 << (flags & 3)
        size = int.from_bytes(head[start : start + width], "little")
        start += width
        body = head[start : start + size] if start + size <= len(head) else self._read(address + start, size)
        todo = [body]
        while todo:
            for kind, message_flags, message in _split(todo.pop(0), ordered=bool(flags & 4)):
                self._messages_left -= 1
                if self._messages_left < 0:
                    raise DataError(f"{self._source.name} has more than {MAX_MESSAGES} messages in its headers.")
                if kind == 0x10:
                    todo.append(self._continuation(message))
                else:
                    yield kind, message_flags, message

    def _continuation(self, message: bytes) -> bytes:
        address, size = struct.unpack_from("<QQ", message)
        if address in self._seen or size < 8:
            raise DataError("has a header that goes on in itself")
        self._seen.add(address)
        block = self._read(address, size)
        if block[:4] != b"OCHK":
            raise DataError("has a header that does not go on where it says")
        return block[4:-4]

    def _links(self, parts: _Parts) -> Iterator[bytes]:
        yield from parts.links
        if parts.link_info is None:
            raise DataError("is neither a group nor an array")
        flags = parts.link_info[1]
        heap, index = struct.unpack_from("<QQ", parts.link_info, 10 if flags & 1 else 2)
        if heap != UNDEFINED:
            yield from read_dense_links(self._read, heap, index)

    def _follow(self, path: str, body: bytes) -> tuple[str, int]:
        name, address = parse_link(body)
        child = f"{path}/{name}" if path else name
        if child.count("/") >= MAX_DEPTH:
            raise DataError(f"has groups more than {MAX_DEPTH} deep")
        return child, address

    def _array(self, path: str, parts: _Parts) -> StoredArray:
        if parts.shape is None or parts.dtype is None:
            raise DataError("is an array without a shape or a type")
        array = StoredArray(path, parts.shape, parts.dtype)
        if isinstance(parts.layout, ChunkedLayout):
            table = read_chunk_table(self._read, parts.layout, parts.filters, parts.shape, parts.dtype.itemsize)
            return StoredArray(path, parts.shape, parts.dtype, chunks=table)
        if parts.filters or not isinstance(parts.layout, ContiguousLayout):
            raise DataError("has filters on values that are not chunked")
        offset, size = parts.layout.offset, parts.layout.size
        if size != array.size or size == 0 or offset > self._source.size - size:
            raise DataError(
                f"declares {parts.shape} values of {parts.dtype.str}, {array.size} bytes, and stores {size} bytes at "
                f"{offset} of a file of {self._source.size}"
            )
        return StoredArray(path, parts.shape, parts.dtype, offset=offset)

    def _read(self, offset: int, count: int) -> bytes:
        self._budget -= count
        if self._budget < 0:
            raise DataError(f"{self._source.name} has more than {MAX_STRUCTURE_BYTES} bytes of structure.")
        return self._source.read(offset, count)

    def _error(self, path: str, what: str) -> DataError:
        return DataError(
            f"{self._source.name} is not a shard of format 1: {('/' + path)[:300]!r} {what}. Nothing of it was read; "
            "ask for the data set as Outcrop wrote it."
        )


def parse_link(body: bytes) -> tuple[str, int]:
    """Name and address of a hard link. Raises :class:`DataError` for every other link and for an unsafe name."""
    version, flags = body[0], body[1]
    if version != 1 or flags & ~0x1F:
        raise DataError(f"has an unusual link (version {version}, flags {flags})")
    place, kind = 2, 0
    if flags & 8:
        kind, place = body[place], place + 1
    place += 8 * bool(flags & 4) + bool(flags & 16)
    width = 1 << (flags & 3)
    length = int.from_bytes(body[place : place + width], "little")
    place += width
    if place + length > len(body):
        raise DataError("has a link that is cut short")
    try:
        name = body[place : place + length].decode()
    except UnicodeDecodeError as error:
        raise DataError("has a member whose name is no UTF-8") from error
    if kind != 0:
        names = {1: "a soft link", 64: "an external link"}
        raise DataError(f"has {names.get(kind, f'a link of kind {kind}')} {name[:100]!r}; only hard links are allowed")
    if not NAME.fullmatch(name) or name in {".", ".."}:
        raise DataError(f"has a member with the unsafe name {name[:100]!r}")
    (address,) = struct.unpack_from("<Q", body, place + length)
    return name, address


def _note_message(parts: _Parts, kind: int, body: bytes) -> None:
    if kind == 1:
        parts.shape = parse_dataspace(body)
    elif kind == 2:
        parts.link_info = body
    elif kind == 3:
        parts.dtype = parse_dtype(body)
    elif kind == 6:
        parts.links.append(body)
    elif kind == 8:
        parts.layout = parse_layout(body)
    elif kind == 0x0B:
        parts.filters = parse_filters(body)
    elif kind == 0x0C:
        check_attribute(body)
    elif kind == 0x15:
        if struct.unpack_from("<Q", body, 4 if body[1] & 1 else 2) != (UNDEFINED,):
            raise DataError("has more attributes than a shard needs")
    elif kind not in IGNORED:
        raise DataError(f"has {REFUSED.get(kind, f'a message of type {kind:#x}, which a shard does not need')}")


def _split(block: bytes, *, ordered: bool) -> Iterator[tuple[int, int, bytes]]:
    head, place = 6 if ordered else 4, 0
    while place + head <= len(block):
        kind, size, flags = struct.unpack_from("<BHB", block, place)
        place += head
        if place + size > len(block):
            raise DataError("has a header message that is cut short")
        yield kind, flags, block[place : place + size]
        place += size


def _root_address(source: ByteSource, head: bytes) -> int:
    if head[:8] != SIGNATURE:
        raise DataError(f"{source.name} is not an Outcrop shard: it does not begin as an HDF5 file.")
    if len(head) < 48 or head[8] not in {2, 3} or head[9:12] != b"\x08\x08\0":
        raise DataError(
            f"{source.name} is HDF5 with superblock version {head[8:9].hex()}, and a shard of format 1 has version 2 "
            "or 3 (libver='v108' or later), offsets and lengths of 8 bytes, and no writer at work."
        )
    base, extension, end, root = struct.unpack_from("<QQQQ", head, 12)
    if end != source.size:
        raise DataError(
            f"{source.name} should have {end} bytes and has {source.size}: it is cut short or damaged. Fetch it again."
        )
    if base != 0 or extension != UNDEFINED:
        raise DataError(f"{source.name} has a user block or an extended superblock, which a shard does not.")
    return int(root)


def _check_apart(source: ByteSource, arrays: dict[str, StoredArray]) -> None:
    """Values that lie in each other are no honest data: a small file could pretend to be a large one."""
    runs = [(array.offset, array.offset + array.size) for array in arrays.values() if array.offset is not None]
    for array in arrays.values():
        if array.chunks is not None:
            runs += array.chunks.runs()
    runs.sort()
    if any(first[1] > second[0] for first, second in itertools.pairwise(runs)):
        raise DataError(f"{source.name} is not a shard of format 1: its arrays lie in each other.")
