"""What spoils a shard, and how it must be refused."""

import resource
import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
from h5py import h5d, h5p, h5s, h5t

from outcrop.data.errors import DataError
from outcrop.data.folder import read_meta, read_shard_table

SITE = "activations/mid_block"
Spoil = Callable[[Path, Path], None]


class Corpus(dict[str, tuple[Spoil, str]]):
    """Functions of (shard, canary) that spoil the shard, by name, with what the refusal says."""

    def case(self, message: str) -> Callable[[Spoil], Spoil]:
        """Register the decorated function."""

        def register(spoil: Spoil) -> Spoil:
            self[spoil.__name__] = (spoil, message)
            return spoil

        return register

    def refusal(self, name: str, shard: Path, canary) -> str:
        """Spoil ``shard``; what the refusal says. It must name the fault, and take little memory."""
        spoil, message = self[name]
        spoil(shard, canary.path)
        canary.opened()
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(DataError, match=message) as refusal:
            read_shard_table(shard, read_meta(shard))
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used < 2**18, "KiB"
        return str(refusal.value)


def fits_a_line(text: str) -> bool:
    """One line of a bearable length that does nothing to a terminal."""
    return "\x1b" not in text and "\n" not in text and len(text) < 2000


def edit(path: Path, **options: object) -> h5py.File:
    return h5py.File(path, "r+", libver=("v108", "v108"), **options)


def replace(path: Path, name: str, **options: object) -> None:
    with edit(path) as file:
        del file[name]
        file.create_dataset(name, **options)


def low_level(path: Path, kind: h5t.TypeID, shape: tuple[int, ...], prepare: Callable | None = None) -> None:
    with edit(path) as file:
        del file[SITE]
        properties = h5p.create(h5p.DATASET_CREATE)
        if prepare:
            prepare(properties)
        h5d.create(file.id, SITE.encode(), kind, h5s.create_simple(shape), properties)


def patch(path: Path, old: bytes, new: bytes, *, after: bytes = b"") -> None:
    content = path.read_bytes()
    start = content.index(old, content.index(after))
    path.write_bytes(content[:start] + new + content[start + len(new) :])


def message(kind: int, body: bytes) -> bytes:
    return struct.pack("<BHB", kind, len(body), 0) + body


def crafted(path: Path, body: Callable[[int], bytes], *, tail: bytes = b"") -> None:
    """A file whose root is one header with the messages of ``body``, and ``tail`` at byte 448."""
    messages = body(48)
    header = (b"OHDR\x02\x01" + struct.pack("<H", len(messages)) + messages).ljust(400, b"\0")
    end = 48 + len(header) + len(tail)
    head = b"\x89HDF\r\n\x1a\n\x02\x08\x08\0" + struct.pack("<QQQQ", 0, 2**64 - 1, end, 48) + b"\0" * 4
    path.write_bytes(head + header + tail)
