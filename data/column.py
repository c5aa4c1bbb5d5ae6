"""Reading activations by their offsets, without HDF5: whole columns (one site, one step) or some of their rows.

A column's checksum is verified when this process first reads from it, and again when its file has changed.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from outcrop.data.errors import DataError
from outcrop.data.folder import check_stored
from outcrop.data.int8 import decode
from outcrop.data.safe_paths import safe_path
from outcrop.data.schema import STORED_DTYPE, ColumnRecord, DatasetRecord, DType, SiteRecord
from outcrop.data.store import LocalStore, Piece, Store
from outcrop.data.stored import SCALES

Rows = NDArray[np.int64]
Array = NDArray[np.generic]


@dataclass(frozen=True)
class StoredShard:
    """A shard's file with ``count`` samples of ``info``, and where its columns lie in it."""

    store: Store
    file: str
    info: DatasetRecord
    count: int
    columns: Mapping[str, ColumnRecord]

    @cached_property
    def name(self) -> str:
        return f"{self.store.location}/{self.file}"


@dataclass(frozen=True)
class _Plane:
    """One column of one shard: ``size`` bytes from ``offset`` on; ``version``: the file's, before it is read."""

    shard: StoredShard
    site: str
    step: int
    offset: int
    size: int
    crc32: int | None
    version: object

    @property
    def row_bytes(self) -> int:
        return self.size // self.shard.count

    @property
    def key(self) -> tuple[str, str, int]:
        return self.shard.name, self.site, self.step


class ColumnReader:
    """Reads the columns of ``shards``, whose rows follow one another.

    Raises :class:`DataError` for a shard that is missing, cut short, altered, or no shard at all.
    """

    def __init__(self, shards: Sequence[StoredShard], *, dtype: DType, verify: bool = True) -> None:
        self.shards, self.dtype, self.verify = tuple(shards), dtype, verify
        self.starts = np.cumsum([0, *(shard.count for shard in self.shards)])
        self._inspected: dict[str, object] = {}
        self._verified: dict[tuple[str, str, int], object] = {}

    def read(self, site: SiteRecord, step: int, rows: Rows | None = None) -> Array:
        """(sample, *feature) of ``site`` at the ``step``-th stored step; ``rows`` in the order in which they are given.

        float16 or float32 as stored; bfloat16 and int8 come as float32.
        """
        values = self._read_all(site.name, step) if rows is None else self._read_rows(site.name, step, rows)
        kind = np.dtype(STORED_DTYPE[self.dtype])
        shaped: Array = values.reshape(-1).view(kind).reshape(len(values), *site.shape)
        if self.dtype == "int8":
            return self._decode(shaped, site, step, rows)
        return widen_bfloat16(shaped) if self.dtype == "bfloat16" else shaped

    def _plane(self, shard: StoredShard, key: str, step: int) -> _Plane:
        version = shard.store.version(shard.file)
        self._inspect(shard, version)
        column = shard.columns[key]
        size = prod(column.shape[1:]) * np.dtype(column.dtype).itemsize
        crc32 = column.crc32[step] if column.crc32 else None
        return _Plane(shard, key, step, column.offset + step * size, size, crc32, version)

    def _decode(self, codes: Array, site: SiteRecord, step: int, rows: Rows | None) -> NDArray[np.float32]:
        """Values of ``codes``, each row by the scales of its own shard."""
        owners = np.searchsorted(self.starts, np.arange(len(codes)) if rows is None else rows, "right") - 1
        needed = np.unique(owners)
        planes = [self._plane(self.shards[number], SCALES + site.name, step) for number in needed]
        out = np.empty(codes.shape, "<f4")
        for number, scales in zip(needed, self._fetch_scales(planes), strict=True):
            own = owners == number
            out[own] = decode(codes[own], scales)
        return out

    def _fetch_scales(self, planes: Sequence[_Plane]) -> NDArray[Any]:
        """(shard, 2, *channels): all of them at once, for from afar each request takes its time."""
        out = np.empty((len(planes), planes[0].size if planes else 0), np.uint8)
        self._fill(planes, list(out))
        shape = planes[0].shard.columns[planes[0].site].shape[1:] if planes else (0,)
        return out.view("<f4").reshape(len(planes), *shape)

    def _inspect(self, shard: StoredShard, version: object) -> None:
        """Look at the structure of a file of this machine before anything is read from it. From afar, bytes are fetched
        by offset and checksum, and no file is ever opened as HDF5.
        """
        if isinstance(shard.store, LocalStore) and self._inspected.get(shard.name) != version:
            check_stored(safe_path(shard.store.folder, shard.file), shard.info, shard.columns)
            self._inspected[shard.name] = version

    def _read_all(self, key: str, step: int) -> NDArray[np.uint8]:
        planes = [self._plane(shard, key, step) for shard in self.shards]
        out = np.empty((int(self.starts[-1]), planes[0].row_bytes), np.uint8)
        self._fill(planes, [out[a:b].reshape(-1) for a, b in zip(self.starts[:-1], self.starts[1:], strict=True)])
        return out

    def _fill(self, planes: Sequence[_Plane], parts: Sequence[NDArray[np.uint8]]) -> None:
        """Read whole ``planes`` into ``parts``, and check them."""
        for store, chosen in _by_store(planes):
            pieces = [Piece(planes[k].shard.file, planes[k].offset, parts[k]) for k in chosen]
            store.fill(pieces)
        for plane, part in zip(planes, parts, strict=True):
            self._check(plane, part)

    def _read_rows(self, key: str, step: int, rows: Rows) -> NDArray[np.uint8]:
        order = np.argsort(rows, kind="stable")
        wanted = rows[order]
        bounds = np.searchsorted(wanted, self.starts)
        needed = np.flatnonzero(np.diff(bounds)) if len(rows) else np.zeros(1, np.int64)
        planes = [self._plane(self.shards[number], key, step) for number in needed]
        out = np.empty((len(rows), planes[0].row_bytes), np.uint8)
        pieces: list[list[Piece]] = [[] for _ in planes]
        for place, (plane, number) in enumerate(zip(planes, needed, strict=True)):
            a, b = bounds[number], bounds[number + 1]
            if a == b:  # no rows at all
                continue
            local = wanted[a:b] - self.starts[number]
            if 2 * (b - a) > plane.shard.count or not self._is_verified(plane):
                out[a:b] = self._whole(plane)[local]
            else:
                pieces[place] = list(_runs(plane, local, out[a:b]))
        for store, chosen in _by_store(planes):
            store.fill([piece for number in chosen for piece in pieces[number]])
        if np.array_equal(order, np.arange(len(order))):
            return out
        back = np.empty_like(out)
        back[order] = out
        return back

    def _whole(self, plane: _Plane) -> NDArray[np.uint8]:
        values = np.empty(plane.size, np.uint8)
        plane.shard.store.fill([Piece(plane.shard.file, plane.offset, values)])
        self._check(plane, values)
        return values.reshape(plane.shard.count, plane.row_bytes)

    def _is_verified(self, plane: _Plane) -> bool:
        if not self.verify or plane.crc32 is None:
            return True
        return plane.key in self._verified and self._verified[plane.key] == plane.version

    def _check(self, plane: _Plane, content: NDArray[np.uint8]) -> None:
        if self._is_verified(plane):
            return
        if zlib.crc32(content.data) != plane.crc32:
            raise DataError(
                f"Shard {plane.shard.name} is damaged at site {plane.site!r}, step {plane.step}: the checksum in the "
                "journal does not match. Fetch the file again, or delete it and its journal line and capture again."
            )
        self._verified[plane.key] = plane.version


def widen_bfloat16(values: Array) -> NDArray[np.float32]:
    """bfloat16 stored as ``<u2``, as float32 (exact)."""
    return (values.astype("<u4") << 16).view("<f4")


def _by_store(planes: Sequence[_Plane]) -> Iterator[tuple[Store, list[int]]]:
    """Which planes lie in which store: each is asked once."""
    groups: dict[int, list[int]] = {}
    for number, plane in enumerate(planes):
        groups.setdefault(id(plane.shard.store), []).append(number)
    for chosen in groups.values():
        yield planes[chosen[0]].shard.store, chosen


def _runs(plane: _Plane, local: Rows, out: NDArray[np.uint8]) -> Iterator[Piece]:
    """Rows in ascending order, those that follow one another in one piece."""
    breaks = np.flatnonzero(np.diff(local) != 1) + 1
    for a, b in zip([0, *breaks.tolist()], [*breaks.tolist(), len(local)], strict=True):
        yield Piece(plane.shard.file, plane.offset + int(local[a]) * plane.row_bytes, out[a:b].reshape(-1))
