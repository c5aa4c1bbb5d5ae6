"""The design matrix of one site and step, standardised and rotated for each set of training rows.

An L2-penalised linear model is unchanged by a rotation of its standardised features. In the eigenbasis of the training
covariance the loss has a near-diagonal curvature, and where there are more features than training rows the weights
need only as many coordinates as there are rows (the dual). The rotation sees no label: all properties share it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.floating]

NEGLIGIBLE = 10.0
"""A direction counts as empty below this many rounding errors of the largest one."""


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

    def moved_from(self, other: "Rotation", weights: FloatArray) -> FloatArray:
        """Weights (k, r + 1) that score as ``weights`` in the coordinates of ``other`` do, as far as this basis can."""
        coef, intercept = other.raw_weights(weights)
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
    return _decompose(features, standardise=standardise)[0]


def rotate(features: FloatArray, *, standardise: bool = True) -> tuple[Rotation, FloatArray]:
    """The rotation of the training rows ``features`` (n, d), and their coordinates (r, n).

    With more features than rows the coordinates are the scaled eigenvectors of the rows' inner products, and cost no
    product of their own.
    """
    rotation, standardised, coordinates = _decompose(features, standardise=standardise)
    return rotation, rotation.basis.T @ standardised.T if coordinates is None else coordinates


def _decompose(features: FloatArray, *, standardise: bool) -> tuple[Rotation, FloatArray, FloatArray | None]:
    """The rotation, the standardised rows (n, d), and their coordinates where these are at hand."""
    mean = features.mean(0, dtype=np.float64).astype(features.dtype)
    scaled = features - mean
    inverse_scale = _inverse_scale(features, scaled, standardise=standardise)
    scaled *= inverse_scale
    n, d = scaled.shape
    if d <= n:
        spectrum, basis = _eigen(scaled.T @ scaled, n)
        return Rotation(mean, inverse_scale, basis, np.maximum(spectrum, 0)), scaled, None
    spectrum, vectors = _eigen(scaled @ scaled.T, n)
    limits = np.finfo(features.dtype)
    keep = spectrum > NEGLIGIBLE * float(limits.eps) * max(float(spectrum[-1]), float(limits.tiny))
    spectrum, vectors = spectrum[keep], vectors[:, keep]
    lengths = np.sqrt(n * spectrum)
    basis = scaled.T @ (vectors / lengths)
    return Rotation(mean, inverse_scale, basis, spectrum), scaled, (vectors * lengths).T


def _eigen(products: FloatArray, n: int) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues, rising, and eigenvectors of ``products`` / n, which is overwritten; by divide and conquer."""
    products /= n
    spectrum, vectors = eigh(products, driver="evd", overwrite_a=True, check_finite=False)
    return spectrum, vectors


def stack_designs(features: FloatArray, rotations: Sequence[Rotation], rows: BoolArray) -> FoldDesigns:
    """Coordinates of each of ``rows`` (f, n) of ``features`` (n, d) under its own of f or more ``rotations``."""
    width = max(len(rotation.spectrum) for rotation in rotations)
    parts = (rotation.coordinates(features[own]) for rotation, own in zip(rotations[: len(rows)], rows, strict=True))
    return _stack(parts, rotations[: len(rows)], rows, width=width)


def rotated_designs(features: FloatArray, rows: BoolArray) -> tuple[tuple[Rotation, ...], FoldDesigns]:
    """Rotations fitted to each of ``rows`` (f, n) of ``features`` (n, d), and the designs of these rows."""
    found = [rotate(features[own]) for own in rows]
    rotations = tuple(rotation for rotation, _ in found)
    width = max(len(rotation.spectrum) for rotation in rotations)
    return rotations, _stack((coordinates for _, coordinates in found), rotations, rows, width=width)


def _stack(parts: Iterable[FloatArray], rotations: Sequence[Rotation], rows: BoolArray, *, width: int) -> FoldDesigns:
    most, dtype = int(rows.sum(1).max()), rotations[0].spectrum.dtype
    coordinates = np.zeros((len(rows), width + 1, most), dtype=dtype)
    spectrum = np.zeros((len(rows), width + 1), dtype=dtype)
    index = np.zeros((len(rows), most), dtype=np.intp)
    coordinates[:, -1], spectrum[:, -1] = 1, 1
    for f, (part, rotation) in enumerate(zip(parts, rotations, strict=True)):
        own = np.flatnonzero(rows[f])
        index[f, : len(own)] = own
        coordinates[f, : len(part), : len(own)] = part
        spectrum[f, : len(part)] = rotation.spectrum
    return FoldDesigns(coordinates, spectrum, index, np.arange(most) < rows.sum(1)[:, None])


def _inverse_scale(features: FloatArray, centred: FloatArray, *, standardise: bool) -> FloatArray:
    """1 / standard deviation, 0 for a feature that varies by no more than rounding."""
    scale = np.sqrt(np.einsum("nd,nd->d", centred, centred, dtype=np.float64) / len(centred))
    rounding = NEGLIGIBLE * np.finfo(features.dtype).eps * np.abs(features).max(0)
    varies = scale > rounding
    inverse = np.where(varies, 1 / np.where(varies, scale, 1), 0) if standardise else varies.astype(np.float64)
    return inverse.astype(features.dtype)
