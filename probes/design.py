"""The design matrix of one site and step, standardised and rotated for each set of training rows.

An L2-penalised linear model is unchanged by a rotation of its standardised features. In the eigenbasis of the training
covariance the loss has a near-diagonal curvature, and where there are more features than training rows the weights
need only as many coordinates as there are rows (the dual). The rotation sees no label: all properties share it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True)
class FoldDesigns:
    """One design per set of training rows, for batched products.

    ``coordinates`` (f, r + 1, n): coordinates of all n rows under each rotation, padded with zeros to the largest r,
    then a row of ones for the intercept. ``spectrum`` (f, r + 1), 1 for the intercept. ``rows`` (f, n): training rows.
    """

    coordinates: FloatArray
    spectrum: FloatArray
    rows: BoolArray

    def take(self, index: NDArray[np.intp]) -> "FoldDesigns":
        """Some of the designs."""
        return FoldDesigns(self.coordinates[index], self.spectrum[index], self.rows[index])


def fit_rotation(features: FloatArray, *, standardise: bool = True) -> Rotation:
    """Mean, scale and eigenbasis of the training rows ``features`` (n, d), in their dtype.

    With ``standardise`` false the features are only centred.
    """
    mean = features.mean(0, dtype=np.float64).astype(features.dtype)
    centred = features - mean
    inverse_scale = _inverse_scale(features, centred, standardise=standardise)
    scaled = centred * inverse_scale
    n, d = scaled.shape
    if d <= n:
        spectrum, basis = np.linalg.eigh(scaled.T @ scaled / n)
        return Rotation(mean, inverse_scale, basis, np.maximum(spectrum, 0))
    spectrum, vectors = np.linalg.eigh(scaled @ scaled.T / n)
    limits = np.finfo(features.dtype)
    keep = spectrum > NEGLIGIBLE * float(limits.eps) * max(float(spectrum[-1]), float(limits.tiny))
    spectrum, vectors = spectrum[keep], vectors[:, keep]
    return Rotation(mean, inverse_scale, scaled.T @ (vectors / np.sqrt(n * spectrum)), spectrum)


def stack_designs(features: FloatArray, rotations: list[Rotation], rows: BoolArray) -> FoldDesigns:
    """Coordinates of all rows of ``features`` (n, d) under each of ``rotations``, padded to one width."""
    width = max(len(rotation.spectrum) for rotation in rotations)
    coordinates = np.zeros((len(rows), width + 1, len(features)), dtype=features.dtype)
    spectrum = np.zeros((len(rows), width + 1), dtype=features.dtype)
    coordinates[:, -1], spectrum[:, -1] = 1, 1
    for f, rotation in enumerate(rotations):
        coordinates[f, : len(rotation.spectrum)] = rotation.coordinates(features)
        spectrum[f, : len(rotation.spectrum)] = rotation.spectrum
    return FoldDesigns(coordinates, spectrum, rows)


def _inverse_scale(features: FloatArray, centred: FloatArray, *, standardise: bool) -> FloatArray:
    """1 / standard deviation, 0 for a feature that varies by no more than rounding."""
    scale = np.sqrt((centred**2).mean(0, dtype=np.float64))
    rounding = NEGLIGIBLE * np.finfo(features.dtype).eps * np.abs(features).max(0)
    varies = scale > rounding
    inverse = np.where(varies, 1 / np.where(varies, scale, 1), 0) if standardise else varies.astype(np.float64)
    return inverse.astype(features.dtype)
