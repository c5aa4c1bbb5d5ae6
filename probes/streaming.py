"""Probes of a column that is larger than the memory: each product with the features is a pass over its rows.

An L2-penalised model is unchanged by *any* rotation of its standardised features. So all folds share the eigenbasis of
all rows: means and scales are each fold's own, only its curvature is a little less diagonal than in its own basis, and
one matrix of d x d is held, from one pass, instead of one a fold. Weights are rotated, not rows: a pass multiplies the
rows with a few vectors for each fold, all folds at once. Logits (folds x classes x samples) are held in memory.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray

from outcrop.data.errors import InputError
from outcrop.data.summary import size_text
from outcrop.probes.design import BoolArray, Designs, FloatArray, Rotation, Standards, eigen, telling
from outcrop.probes.features import Recording, feature_matrix
from outcrop.probes.room import ITEM, TIMES, TIMES_WIDE, WAYS
from outcrop.probes.row_stream import RowRecording, RowStream

SQUARES = 5
"""Matrices of d x d that are in memory at once while eigenvectors are found."""

PART_BYTES = 16 * 2**20
"""Rows whose covariance is found at once: the more, the fewer sums of d x d."""

A_LOGIT, A_LABEL, A_WEIGHT = 48, 40, 80
"""Bytes that a batch holds for each design: a sample and class, a sample and task, a feature and class."""


@dataclass(frozen=True, eq=False)
class StreamedFeatures(RowStream):
    """A column that makes its own designs: an :class:`outcrop.probes.design.RowSource`."""

    @cached_property
    def basis(self) -> tuple[FloatArray, FloatArray]:
        """Eigenvalues (d,) and eigenvectors (d, d) of the covariance of all rows, standardised."""
        every = np.ones((1, len(self)), np.bool_)
        spectrum, vectors = eigen(self.covariance(self.standards(every)[0], every[0]), 1)
        return np.maximum(spectrum, 0), vectors

    @property
    def copies(self) -> int:
        """Bytes that work on the column would take if it were in memory."""
        n, d = self.shape
        return TIMES * ITEM * n * d

    def covariance(self, standards: Standards, rows: BoolArray) -> NDArray[np.float32]:
        """(d, d), of those of ``rows`` (n,), standardised."""
        products = np.zeros((self.shape[1],) * 2, np.float32)
        offset = standards.mean - self.survey.mean
        for places, part in self.parts(PART_BYTES):
            own = part if rows[places].all() else part[rows[places]]
            own -= offset
            own *= standards.inverse_scale
            products += own.T @ own
        products /= max(int(rows.sum()), 1)
        return products

    def rotated_designs(self, rows: BoolArray) -> tuple[tuple[Rotation, ...], "StreamedDesigns"]:
        """Rotations for each of ``rows`` (f, n), all with one basis, and the designs of these rows."""
        spectrum, basis = self.basis
        rotations = tuple(Rotation(own.mean, own.inverse_scale, basis, spectrum) for own in self.standards(rows))
        return rotations, self.stack_designs(rotations, rows)

    def stack_designs(self, rotations: Sequence[Rotation], rows: BoolArray) -> "StreamedDesigns":
        """Of the first rotations as many as there are ``rows`` (f, n)."""
        return StreamedDesigns(self, tuple(rotations[: len(rows)]), rows)

    def batch(self, *, tasks: int, columns: int) -> int:
        """How many designs fit beside the basis. Raises :class:`InputError` where not even one does."""
        n, d = self.shape
        held = n * (A_LOGIT * columns + A_LABEL * tasks) + d * A_WEIGHT * columns
        room = self.memory - self.memory // 4 - SQUARES * 4 * d * d
        if n <= d or room < held:
            raise self._refusal(least=(SQUARES * 4 * d * d + held) * 4 // 3)
        return room // held

    def _refusal(self, *, least: int) -> InputError:
        n, d = self.shape
        name = " + ".join(repr(piece) if isinstance(piece, str) else "what is given" for piece in self.pieces)
        what = (
            f"Work on the column of site {name} at step {self.step}, {n:,} samples x {d:,} features, takes more than "
            f"{size_text(self.memory)} of memory"
        )
        if n <= d:
            most = size_text(TIMES_WIDE * ITEM * n * d)
            return InputError(f"{what}: up to {most}. It is read by rows only where samples outnumber features. {WAYS}")
        return InputError(
            f"{what} even if it is read by rows, for the covariance of its features and the logits of a fold. Give it "
            f"{math.ceil(least / 1e6)} MB or more. {WAYS}"
        )


Read = NDArray[np.float32] | StreamedFeatures
"""A column (n, d), in memory or not."""


def read_column(recording: Recording, site: str, *, step: int, memory: int | None, together: int = 1) -> Read:
    """The features of ``site`` at ``step``: in memory, or read by rows if work on them took more than ``memory`` there.

    ``together``: how many columns are to be held side by side. Raises :class:`~outcrop.data.errors.DataError` as
    :func:`outcrop.probes.features.feature_matrix` does.
    """
    if memory is not None:
        column = stream(recording, [site], step=step, memory=memory)
        if column.copies > memory // together:
            return column
    return feature_matrix(recording, site, step=step)


def stream(recording: Recording, sites: Sequence[str], *, step: int, memory: int) -> StreamedFeatures:
    """The features of ``sites`` side by side, read by rows."""
    return StreamedFeatures(cast(RowRecording, recording), tuple(sites), step, memory)


def side_by_side(first: Read, second: Read) -> Read:
    """The features of both, (n, d + e)."""
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return np.concatenate([first, second], axis=1)
    streamed = second if isinstance(first, np.ndarray) else first
    assert isinstance(streamed, StreamedFeatures), "one of the two is"
    pieces = [own for read in (first, second) for own in ([read] if isinstance(read, np.ndarray) else read.pieces)]
    return StreamedFeatures(streamed.recording, tuple(pieces), streamed.step, streamed.memory)


@dataclass(frozen=True)
class StreamedDesigns:
    """:class:`outcrop.probes.design.Designs` whose rows are read anew for every product: all samples, of which each
    design uses some.
    """

    features: StreamedFeatures
    rotations: tuple[Rotation, ...]
    used: BoolArray

    @property
    def rows(self) -> NDArray[np.intp]:
        return np.broadcast_to(np.arange(self.used.shape[1]), self.used.shape)

    @cached_property
    def spectrum(self) -> FloatArray:
        one = np.ones((len(self.rotations), 1), self.features.dtype)
        return np.concatenate([np.stack([rotation.spectrum for rotation in self.rotations]), one], axis=1)

    def take(self, index: NDArray[np.intp]) -> "StreamedDesigns":
        return StreamedDesigns(self.features, tuple(self.rotations[f] for f in index), self.used[index])

    def scores(self, weights: FloatArray) -> FloatArray:
        """One pass, with the weights (f, c, r + 1) in the units of the features; none for weights of 0."""
        n, d = self.features.shape
        result = np.repeat(weights[:, :, -1:], n, axis=2)
        if not weights[:, :, :-1].any():
            return result
        raw = np.empty((*weights.shape[:2], d), weights.dtype)
        for f, rotation in enumerate(self.rotations):
            np.matmul(weights[f, :, :-1], rotation.basis.T, out=raw[f])
            raw[f] *= rotation.inverse_scale
            result[f] -= (raw[f] @ self._offset(rotation))[:, None]
        flat, lines = raw.reshape(-1, d), result.reshape(-1, n)
        for places, part in self.features.parts():
            lines[:, places] += flat @ part.T
        return result

    def gather(self, values: FloatArray) -> FloatArray:
        """One pass, with the sums rotated at its end."""
        n, d = self.features.shape
        sums, lines = np.zeros((values.shape[0] * values.shape[1], d), values.dtype), values.reshape(-1, n)
        for places, part in self.features.parts():
            sums += lines[:, places] @ part
        raw, totals = sums.reshape(*values.shape[:2], d), values.sum(2)
        result = np.empty((*totals.shape, self.spectrum.shape[1]), values.dtype)
        result[:, :, -1] = totals
        for f, rotation in enumerate(self.rotations):
            raw[f] -= np.outer(totals[f], self._offset(rotation))
            raw[f] *= rotation.inverse_scale
            np.matmul(raw[f], rotation.basis, out=result[f, :, :-1])
        return result

    def alone(self, f: int, tested: Designs) -> tuple[Designs, Designs]:
        """In an eigenbasis of its own, from a pass."""
        assert isinstance(tested, StreamedDesigns), "rows of one column"
        shared, rows = self.rotations[f], self.used[f]
        products = self.features.covariance(Standards(shared.mean, shared.inverse_scale), rows)
        spectrum, basis = eigen(products, 1)
        if rows.sum() < len(spectrum):
            keep = telling(spectrum)
            spectrum, basis = spectrum[keep], basis[:, keep]
        rotation = Rotation(shared.mean, shared.inverse_scale, basis, np.maximum(spectrum, 0))
        own, at = self.used[f : f + 1], tested.used[f : f + 1]
        return StreamedDesigns(self.features, (rotation,), own), StreamedDesigns(self.features, (rotation,), at)

    def _offset(self, rotation: Rotation) -> FloatArray:
        """(d,): where the mean of a design's rows lies in the features as they are read, which are less all rows'."""
        return np.asarray(rotation.mean - self.features.survey.mean)
