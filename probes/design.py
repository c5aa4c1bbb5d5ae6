"""The design matrix of one site and step, standardised and rotated for each set of training rows.

An L2-penalised linear model is unchanged by a rotation of its standardised features. In the eigenbasis of the training
covariance the loss has a near-diagonal curvature, and where there are more features than training rows the weights
need only as many coordinates as there are rows (the dual). The rotation sees no label: all properties share it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.floating]

ROWS = 256
"""Rows that are standardised at once: only a few of a large column are in memory a second time."""

NEGLIGIBLE = 10.0
"""A direction counts as empty below this many rounding errors of the largest one."""


@dataclass(frozen=True)
class Standards:
    """Standardised features = (x - ``mean``) * ``inverse_scale``, both (d,)."""

    mean: FloatArray
    inverse_scale: FloatArray

    def apply(self, features: FloatArray) -> FloatArray:
        """(n, d) to (n, d)."""
        result: FloatArray = features - self.mean
        result *= self.inverse_scale
        return result


@dataclass(frozen=True)
class Rotation:
    """Standardised features = (x - ``mean``) * ``inverse_scale``; coordinates = standardised features @ ``basis``.

    ``mean`` and ``inverse_scale`` (d,), ``basis`` (d, r) orthonormal, ``spectrum`` (r,) the variance of each
    coordinate over the training rows. A feature that is constant over the training rows has inverse scale 0.
    """

    mean: FloatArray
    inverse_scale: FloatArray
    basis: FloatArray
    spectrum: FloatArray

    def coordinates(self, features: FloatArray) -> FloatArray:
        """(n, d) features to (r, n) coordinates."""
        result: FloatArray = self.basis.T @ ((features - self.mean) * self.inverse_scale).T
        return result

    def raw_weights(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Weights (k, r + 1) in coordinates, intercept last, as ``coef`` (k, d) and intercepts (k,) of raw features."""
        coef = (weights[:, :-1] @ self.basis.T) * self.inverse_scale
        return coef, weights[:, -1] - coef @ self.mean

    def from_raw(self, coef: FloatArray, intercept: FloatArray) -> FloatArray:
        """Weights (k, r + 1) that score as ``coef`` (k, d) and ``intercept`` (k,) of raw features do, if any."""
        scaled = np.divide(coef, self.inverse_scale, out=np.zeros_like(coef), where=self.inverse_scale > 0)
        return np.concatenate([scaled @ self.basis, (intercept + coef @ self.mean)[:, None]], axis=1)


class Designs(Protocol):
    """Some rows of the features under one rotation each, for batched products.

    ``spectrum`` (f, r + 1): variances of the coordinates, 1 for the intercept. ``rows`` (f, m): index of each row among
    the samples, and ``used`` (f, m): false for rows that are none of the design's.
    """

    @property
    def spectrum(self) -> FloatArray: ...
    @property
    def rows(self) -> NDArray[np.intp]: ...
    @property
    def used(self) -> BoolArray: ...
    def take(self, index: NDArray[np.intp]) -> "Designs":
        """Some of the designs."""

    def scores(self, weights: FloatArray) -> FloatArray:
        """(f, c, m): the coordinates of the rows times ``weights`` (f, c, r + 1), intercept last."""

    def gather(self, values: FloatArray) -> FloatArray:
        """(f, c, r + 1): the sums over the rows of ``values`` (f, c, m), 0 where not used, times their coordinates."""

    def alone(self, f: int, tested: "Designs") -> tuple["Designs", "Designs"]:
        """Design ``f`` and its ``tested`` rows, in coordinates that have no covariance over the design's rows."""


class RowSource(Protocol):
    """Features (n, d) that no array holds, and that make their own designs: a column larger than the memory."""

    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def dtype(self) -> np.dtype[np.float32]: ...
    def __len__(self) -> int: ...
    def batch(self, *, tasks: int, columns: int) -> int:
        """How many designs can be worked on at once, for so many tasks with so many classes together."""

    def rotated_designs(self, rows: BoolArray) -> tuple[tuple[Rotation, ...], Designs]: ...
    def stack_designs(self, rotations: Sequence[Rotation], rows: BoolArray) -> Designs: ...


Features = FloatArray | RowSource


@dataclass(frozen=True)
class FoldDesigns:
    """:class:`Designs` in memory.

    ``coordinates`` (f, r + 1, m): coordinates of each design's own rows, padded with zeros to the largest r and to the
    most rows m, then a row of ones for the intercept.
    """

    coordinates: FloatArray
    spectrum: FloatArray
    rows: NDArray[np.intp]
    used: BoolArray

    def take(self, index: NDArray[np.intp]) -> "FoldDesigns":
        """Some of the designs; itself if all."""
        if len(index) == len(self.rows):
            return self
        return FoldDesigns(self.coordinates[index], self.spectrum[index], self.rows[index], self.used[index])

    def scores(self, weights: FloatArray) -> FloatArray:
        result: FloatArray = weights @ self.coordinates
        return result

    def gather(self, values: FloatArray) -> FloatArray:
        result: FloatArray = values @ self.coordinates.transpose(0, 2, 1)
        return result

    def alone(self, f: int, tested: Designs) -> tuple[Designs, Designs]:
        assert isinstance(tested, FoldDesigns), "rows of one matrix"
        return self._one(f), tested._one(f)

    def _one(self, f: int) -> "FoldDesigns":
        own = slice(f, f + 1)
        return FoldDesigns(self.coordinates[own], self.spectrum[own], self.rows[own], self.used[own])


def fit_rotation(features: FloatArray, *, standardise: bool = True) -> Rotation:
    """Mean, scale and eigenbasis of the training rows ``features`` (n, d), in their dtype.

    With ``standardise`` false the features are only centred.
    """
    return _decompose(features, np.arange(len(features)), standardise=standardise)[0]


def fit_standards(features: FloatArray) -> Standards:
    """Mean and scale of the training rows ``features`` (n, d)."""
    return Standards(*_standards(features, np.arange(len(features)), standardise=True))


def _decompose(
    features: FloatArray, index: NDArray[np.intp], *, standardise: bool = True
) -> tuple[Rotation, FloatArray | None]:
    """The rotation of the rows ``index`` of ``features``, and their coordinates where these are at hand."""
    mean, inverse_scale = _standards(features, index, standardise=standardise)
    n, d = len(index), features.shape[1]
    if d <= n:
        products = np.zeros((d, d), dtype=features.dtype)
        for _, part in _parts(features, index):
            standardised = (part - mean) * inverse_scale
            products += standardised.T @ standardised
        spectrum, basis = eigen(products, n)
        return Rotation(mean, inverse_scale, basis, np.maximum(spectrum, 0)), None
    scaled = features[index]
    scaled -= mean
    scaled *= inverse_scale
    spectrum, vectors = eigen(scaled @ scaled.T, n)
    keep = telling(spectrum)
    spectrum, vectors = spectrum[keep], vectors[:, keep]
    lengths = np.sqrt(n * spectrum)
    return Rotation(mean, inverse_scale, scaled.T @ (vectors / lengths), spectrum), (vectors * lengths).T


def _parts(features: FloatArray, index: NDArray[np.intp]) -> Iterator[tuple[slice, FloatArray]]:
    """Copies of the rows ``index`` of ``features``, ``ROWS`` at a time, and their places in ``index``."""
    for start in range(0, len(index), ROWS):
        own = slice(start, start + ROWS)
        yield own, features[index[own]]


def eigen(products: FloatArray, n: int) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues, rising, and eigenvectors of ``products`` / n, which is overwritten; by divide and conquer."""
    products /= n
    spectrum, vectors = eigh(products, driver="evd", overwrite_a=True, check_finite=False)
    return spectrum, vectors


def telling(spectrum: FloatArray) -> BoolArray:
    """Which eigenvalues, rising, are more than rounding."""
    limits = np.finfo(spectrum.dtype)
    kept: BoolArray = spectrum > NEGLIGIBLE * float(limits.eps) * max(float(spectrum[-1]), float(limits.tiny))
    return kept


def stack_designs(features: Features, rotations: Sequence[Rotation], rows: BoolArray) -> Designs:
    """Coordinates of each of ``rows`` (f, n) of ``features`` (n, d) under its own of f or more ``rotations``."""
    if not isinstance(features, np.ndarray):
        return features.stack_designs(rotations, rows)
    width = max(len(rotation.spectrum) for rotation in rotations)
    return _stack(features, rotations[: len(rows)], rows, width=width, known=[None] * len(rows))


def rotated_designs(features: Features, rows: BoolArray) -> tuple[tuple[Rotation, ...], Designs]:
    """Rotations fitted to each of ``rows`` (f, n) of ``features`` (n, d), and the designs of these rows."""
    if not isinstance(features, np.ndarray):
        return features.rotated_designs(rows)
    found = [_decompose(features, np.flatnonzero(own)) for own in rows]
    rotations, known = tuple(rotation for rotation, _ in found), [coordinates for _, coordinates in found]
    width = max(len(rotation.spectrum) for rotation in rotations)
    return rotations, _stack(features, rotations, rows, width=width, known=known)


def _stack(
    features: FloatArray,
    rotations: Sequence[Rotation],
    rows: BoolArray,
    *,
    width: int,
    known: Sequence[FloatArray | None],
) -> FoldDesigns:
    """The designs; ``known`` coordinates need not be worked out."""
    most, dtype = int(rows.sum(1).max()), rotations[0].spectrum.dtype
    coordinates = np.zeros((len(rows), width + 1, most), dtype=dtype)
    spectrum = np.zeros((len(rows), width + 1), dtype=dtype)
    index = np.zeros((len(rows), most), dtype=np.intp)
    coordinates[:, -1], spectrum[:, -1] = 1, 1
    for f, (rotation, at_hand) in enumerate(zip(rotations, known, strict=True)):
        own = np.flatnonzero(rows[f])
        index[f, : len(own)] = own
        target = coordinates[f, : len(rotation.spectrum), : len(own)]
        if at_hand is not None:
            target[:] = at_hand
        else:
            for places, part in _parts(features, own):
                target[:, places] = rotation.coordinates(part)
        spectrum[f, : len(rotation.spectrum)] = rotation.spectrum
    return FoldDesigns(coordinates, spectrum, index, np.arange(most) < rows.sum(1)[:, None])


def _standards(features: FloatArray, index: NDArray[np.intp], *, standardise: bool) -> tuple[FloatArray, FloatArray]:
    """Mean and 1 / standard deviation (d,) of rows; 0 for a feature that varies by no more than rounding."""
    n, d = len(index), features.shape[1]
    total, squares, largest = np.zeros(d), np.zeros(d), np.zeros(d)
    for _, part in _parts(features, index):
        total += part.sum(0, dtype=np.float64)
        largest = np.maximum(largest, np.maximum(part.max(0), -part.min(0)))
    mean = (total / n).astype(features.dtype)
    for _, part in _parts(features, index):
        centred = part - mean
        squares += np.einsum("nd,nd->d", centred, centred, dtype=np.float64)
    scale = np.sqrt(squares / n)
    varies = scale > NEGLIGIBLE * np.finfo(features.dtype).eps * largest
    inverse = np.where(varies, 1 / np.where(varies, scale, 1), 0) if standardise else varies.astype(np.float64)
    return mean, inverse.astype(features.dtype)
