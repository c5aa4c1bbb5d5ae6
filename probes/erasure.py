"""Erasing a property: the smallest change of the features after which no linear classifier can read it."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from outcrop.data.errors import InputError
from outcrop.probes.checks import check_codes, check_whole
from outcrop.probes.properties import IntArray

Float64Array = NDArray[np.float64]

NEGLIGIBLE = 1e-10
"""Directions of less variance than this share of the largest count as empty."""


@dataclass(frozen=True)
class Eraser:
    """Takes the property out of features: x - ``away`` @ ``into`` @ (x - ``mean``).

    ``mean`` (d,); ``into`` (r, d) reads the r directions in which the property stands, at most classes - 1; ``away``
    (d, r) is what each is worth in features.
    """

    mean: Float64Array
    into: Float64Array
    away: Float64Array

    @property
    def rank(self) -> int:
        return len(self.into)

    def __call__(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        """Features (n, d) less the property, in their dtype."""
        read = (features - self.mean) @ self.into.T
        return np.asarray(features - read @ self.away.T).astype(features.dtype)


class EraserFitter:
    """LEACE (Belrose et al. 2023, arXiv:2306.03819, theorem 4.3) from batches of rows.

    Of all affine maps after which class means are equal, and so no linear classifier with a convex loss beats the class
    frequencies on these rows, it changes the features least in mean square. Fit it on training rows: on others some of
    the property may be left.

    >>> x, y = np.random.default_rng(0).standard_normal((60, 5)), np.arange(60) % 3
    >>> erased = EraserFitter(5, classes=3).update(x, y).result()(x)
    >>> bool(np.allclose([erased[y == k].mean(0) for k in range(3)], erased.mean(0)))
    True
    """

    def __init__(self, width: int, *, classes: int) -> None:
        """For features of ``width`` d and codes from 0 to ``classes`` - 1, two classes or more.

        Raises :class:`InputError` for other numbers.
        """
        check_whole("width", width, least=1)
        check_whole("classes", classes, least=2)
        self._sums = np.zeros((classes, width))
        self._products = np.zeros((width, width))
        self._counts = np.zeros(classes)
        self._origin: Float64Array | None = None

    def update(self, features: NDArray[np.floating], codes: IntArray) -> Self:
        """Add features (n, d) with codes (n,).

        Raises :class:`InputError` for shapes or codes that do not fit, and values that are not finite.
        """
        classes, width = self._sums.shape
        features, codes = np.asarray(features), np.asarray(codes)
        if codes.ndim != 1 or features.shape != (len(codes), width) or not len(codes):
            raise InputError(
                f"Expected features (n, {width}) and n codes. Got the shapes {features.shape} and {codes.shape}."
            )
        check_codes(codes)
        if codes.min() < 0 or codes.max() >= classes:
            raise InputError(f"Codes must lie between 0 and {classes - 1}. Got {codes.min()} to {codes.max()}.")
        if not np.isfinite(features).all():
            raise InputError("Features hold values that are NaN or infinite. Leave their rows out.")
        if self._origin is None:
            self._origin = features.mean(0, dtype=np.float64)
        values = features - self._origin
        np.add.at(self._sums, codes, values)
        self._products += values.T @ values
        self._counts += np.bincount(codes, minlength=classes)
        return self

    def result(self) -> Eraser:
        """The eraser of all rows so far. Raises :class:`InputError` before the first."""
        if self._origin is None:
            raise InputError("There is nothing to erase yet: call update with features and codes first.")
        n = self._counts.sum()
        mean = self._sums.sum(0) / n
        spread = self._products / n - np.outer(mean, mean)
        means = self._sums / np.maximum(self._counts, 1)[:, None] - mean
        shared = (means * (self._counts / n)[:, None]).T
        variances, basis = np.linalg.eigh(spread)
        kept = variances > NEGLIGIBLE * max(float(variances[-1]), np.finfo(np.float64).tiny)
        scales, basis = np.sqrt(variances[kept]), basis[:, kept]
        whitened = (basis.T @ shared) / scales[:, None]
        directions, sizes, _ = np.linalg.svd(whitened, full_matrices=False)
        held = directions[:, sizes > np.sqrt(NEGLIGIBLE) * max(float(sizes.max(initial=0)), np.finfo(np.float64).tiny)]
        into = (held / scales[:, None]).T @ basis.T
        return Eraser(self._origin + mean, into, basis @ (held * scales[:, None]))
