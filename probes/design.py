"""The design matrix of one site and step, standardised and rotated for each set of training rows.

An L2-penalised linear model is unchanged by a rotation of its standardised features. In the eigenbasis of the training
covariance the loss has a near-diagonal curvature, and where there are more features than training rows the weights
need only as many coordinates as there are rows (the dual). The rotation sees no label: all properties share it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class FoldDesigns:
    """Some rows of the features under one rotation each, for batched products.

    ``coordinates`` (f, r + 1, m): coordinates of each design's own rows, padded with zeros to the largest r and to the
    most rows m, then a row of ones for the intercept. ``spectrum`` (f, r + 1), 1 for the intercept. ``rows`` (f, m):
    index of each row among the samples, and ``used`` (f, m): false for padding.
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
        spectrum, basis = _eigen(products, n)
        return Rotation(mean, inverse_scale, basis, np.maximum(spectrum, 0)), None
    scaled = features[index]
    scaled -= mean
    scaled *= inverse_scale
    spectrum, vectors = _eigen(scaled @ scaled.T, n)
    limits = np.finfo(features.dtype)
    keep = spectrum > NEGLIGIBLE * float(limits.eps) * max(float(spectrum[-1]), float(limits.tiny))
    spectrum, vectors = spectrum[keep], vectors[:, keep]
    lengths = np.sqrt(n * spectrum)
    return Rotation(mean, inverse_scale, scaled.T @ (vectors / lengths), spectrum), (vectors * lengths).T


def _parts(features: FloatArray, index: NDArray[np.intp]) -> Iterator[tuple[slice, FloatArray]]:
    """Copies of the rows ``index`` of ``features``, ``ROWS`` at a time, and their places in ``index``."""
    for start in range(0, len(index), ROWS):
        own = slice(start, start + ROWS)
        yield own, features[index[own]]


def _eigen(products: FloatArray, n: int) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues, rising, and eigenvectors of ``products`` / n, which is overwritten; by divide and conquer."""
    products /= n
    spectrum, vectors = eigh(products, driver="evd", overwrite_a=True, check_finite=False)
    return spectrum, vectors


def stack_designs(features: FloatArray, rotations: Sequence[Rotation], rows: BoolArray) -> FoldDesigns:
    """Coordinates of each of ``rows`` (f, n) of ``features`` (n, d) under its own of f or more ``rotations``."""
    width = max(len(rotation.spectrum) for rotation in rotations)
    return _stack(features, rotations[: len(rows)], rows, width=width, known=[None] * len(rows))


def rotated_designs(features: FloatArray, rows: BoolArray) -> tuple[tuple[Rotation, ...], FoldDesigns]:
    """Rotations fitted to each of ``rows`` (f, n) of ``features`` (n, d), and the designs of these rows."""
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
