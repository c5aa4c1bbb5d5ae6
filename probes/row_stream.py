"""A column that is larger than the memory, read by rows as often as it takes."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from outcrop.probes.compiled import compiled
from outcrop.probes.design import NEGLIGIBLE, BoolArray, Standards
from outcrop.probes.features import Recording, misshapen, not_finite

PART_BYTES = 4 * 2**20
"""Rows that are read at once, in float32: what fits the cache, and no fresh pages are asked for. At most a sixteenth of
the memory.
"""

Piece = str | NDArray[np.float32]
"""A site, or features (n, d) that are in memory."""


class RowRecording(Recording, Protocol):
    """A recording of which some rows can be read; :class:`outcrop.data.dataset.Dataset` is one."""

    def rows(self, site: str, step: int, rows: NDArray[np.int64] | None) -> NDArray[np.generic]: ...


@dataclass(frozen=True)
class Survey:
    """What a first pass finds: the mean (d,) of each feature, which features are the same for all samples (d,), and a
    digest of all values.
    """

    mean: NDArray[np.float32]
    constant: BoolArray
    digest: bytes


@dataclass(frozen=True, eq=False)
class RowStream:
    """Features (n, d) of ``pieces`` side by side at a step, float32, for work within ``memory`` bytes.

    Raises :class:`DataError` as :func:`outcrop.probes.features.feature_matrix` does, in its first pass.
    """

    recording: RowRecording
    pieces: tuple[Piece, ...]
    step: int
    memory: int
    dtype = np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self.recording.samples)

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Features of each piece."""
        return tuple(self._read(piece, slice(0, 1)).shape[1] for piece in self.pieces)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), sum(self.widths)

    @cached_property
    def survey(self) -> Survey:
        """Read all once. Raises :class:`DataError` for NaN and infinite values."""
        n, d = self.shape
        first, total, same, digest = np.empty(0, np.float32), np.zeros(d), np.ones(d, np.bool_), hashlib.sha256()
        finite, sound = np.ones(n, np.bool_), np.ones(d, np.bool_)
        for places, part in self.stored():
            good = np.isfinite(part)
            finite[places], sound = good.all(1), sound & good.all(0)
            first = first if first.size else part[0].copy()
            same &= (part == first).all(0)
            total += part.sum(0, dtype=np.float64)
            digest.update(part.data)
        if not finite.all():
            names = [piece for piece in self.pieces if isinstance(piece, str)]
            raise not_finite(self.recording, " + ".join(names), self.step, rows=finite, features=sound)
        return Survey((total / n).astype(np.float32), same, digest.digest())

    def stored(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """:meth:`parts` as they are, of which nothing is taken off."""
        return self._parts(None, PART_BYTES)

    def parts(self, most: int = PART_BYTES) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Some rows after the other, ``most`` bytes at once, less the survey's means, and their places.

        Each part is gone with the next, and may be written over.
        """
        return self._parts(self.survey.mean, most)

    def standards(self, rows: BoolArray) -> list[Standards]:
        """Mean and scale over each of ``rows`` (f, n), in one pass: sums over rows that the same sets share."""
        atoms, owner = np.unique(rows, axis=1, return_inverse=True)
        owner, d = owner.reshape(-1), self.shape[1]
        counts = np.bincount(owner, minlength=atoms.shape[1])
        total, squares, largest = (np.zeros((atoms.shape[1], d)) for _ in range(3))
        for places, part in self.parts():
            for atom in np.unique(owner[places]):
                own = part[owner[places] == atom].astype(np.float64)
                total[atom] += own.sum(0)
                squares[atom] += np.einsum("nd,nd->d", own, own)
                np.maximum(largest[atom], np.abs(own).max(0), out=largest[atom])
        centre = self.survey.mean.astype(np.float64)
        found = []
        for chosen in atoms:
            n = counts[chosen].sum()
            mean = total[chosen].sum(0) / n
            scale = np.sqrt(np.maximum(squares[chosen].sum(0) / n - mean**2, 0))
            most = largest[chosen].max(0) + np.abs(centre)
            varies = scale > NEGLIGIBLE * np.finfo(np.float32).eps * most
            inverse = np.where(varies, 1 / np.where(varies, scale, 1), 0)
            found.append(Standards((centre + mean).astype(np.float32), inverse.astype(np.float32)))
        return found

    def _parts(self, mean: NDArray[np.float32] | None, most: int) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        n, d = self.shape
        count = min(n, max(1, min(most, self.memory // 16) // (4 * d)))
        ends = np.cumsum([0, *self.widths])
        buffer = np.empty((count, d), np.float32)
        for start in range(0, n, count):
            places = slice(start, min(n, start + count))
            part = buffer[: places.stop - start]
            for piece, first, end in zip(self.pieces, ends[:-1], ends[1:], strict=True):
                values, own = self._read(piece, places), part[:, first:end]
                if mean is not None and values.dtype == np.float16:
                    widen(values.view(np.uint16), mean[first:end], own)
                else:
                    own[:] = values
                    own -= 0 if mean is None else mean[first:end]
            yield places, part

    def _read(self, piece: Piece, places: slice) -> NDArray[np.generic]:
        """Rows of a piece, (m, features) as stored."""
        if not isinstance(piece, str):
            return piece[places]
        index = np.arange(places.start, places.stop)
        values = np.asarray(self.recording.rows(piece, self.step, index))
        if values.ndim < 2 or len(values) != len(index) or values.size == 0:
            raise misshapen(piece, self.step, values.shape, expected=len(index))
        return values.reshape(len(index), -1)


@compiled
def widen(bits: NDArray[np.uint16], mean: NDArray[np.float32], result: NDArray[np.float32]) -> None:
    """Finite float16 numbers, given as their ``bits`` (n, d), in float32 and less ``mean`` (d,).

    NumPy takes twenty times as long, and half of each pass.
    """
    for i in range(bits.shape[0]):
        row, to = bits[i], result[i]
        for j in range(row.shape[0]):
            code = np.int32(row[j])
            size = np.int32((code & np.int32(0x7FFF)) << np.int32(13)).view(np.float32) * np.float32(2.0**112)
            to[j] = (-size if code > np.int32(0x7FFF) else size) - mean[j]
