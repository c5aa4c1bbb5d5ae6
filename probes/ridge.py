"""Ridge regression and ridge classifiers in closed form: every outcome and every penalty from one decomposition.

The weights of a penalty are B Q (T + penalty I)^-1 Q'B'y, where Q T Q' are the products of the standardised features
(B = I, y = Z'outcomes), or of the rows where these are fewer (B = Z', y = outcomes), brought to tridiagonal form once
(Hastie, Tibshirani and Friedman 2009, equations 3.44 and 18.15; Elden 1977). Outcomes are numbers; a class is an
indicator, -1 or 1, and the class of the highest score is the prediction, as in scikit-learn's ``RidgeClassifier``. A
screening pass: a probe's accuracy is 2 points below to 3 above the best of its scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcrop.data.errors import InputError
from outcrop.probes.design import Standards, fit_standards
from outcrop.probes.properties import IntArray
from outcrop.probes.softmax import BoolArray, FloatArray
from outcrop.probes.tridiagonal import Tridiagonal


@dataclass(frozen=True)
class RidgeFit:
    """Ridge regressions of q outcomes on the same rows, for any penalty.

    ``standards``: of the features; ``rows`` (n, d): those fitted, standardised, where they are fewer than the features;
    ``products`` (k, q): Q'B'y of the module's formula; ``means`` (q,) of the outcomes.
    """

    standards: Standards
    rows: FloatArray | None
    system: Tridiagonal
    products: FloatArray
    means: FloatArray

    def weights(self, penalty: float) -> tuple[FloatArray, FloatArray]:
        """``coef`` (q, d) and intercepts (q,) for raw features, minimising ``|y - Xw - b|^2 + penalty |w|^2``."""
        own = self.system.back(self.system.solve(self.products, penalty))
        coef = (own if self.rows is None else self.rows.T @ own).T * self.standards.inverse_scale
        return coef, self.means - coef @ self.standards.mean

    def scores(self, features: FloatArray, penalties: Sequence[float]) -> FloatArray:
        """(s, n, q) for raw ``features`` (n, d) and each of ``penalties``."""
        own = self.standards.apply(features)
        coordinates = self.system.forth(own.T if self.rows is None else self.rows @ own.T)
        solved = [self.system.solve(self.products, penalty) for penalty in penalties]
        scores = (coordinates.T @ np.concatenate(solved, axis=1)).reshape(len(features), len(penalties), -1)
        return np.asarray((scores + self.means).transpose(1, 0, 2))


def fit_ridge(features: FloatArray, outcomes: FloatArray) -> RidgeFit:
    """Decompose ``features`` (n, d), standardised, for ``outcomes`` (n, q).

    Raises :class:`InputError` for outcomes that do not fit the rows or are not finite.
    """
    if outcomes.ndim != 2 or len(outcomes) != len(features):
        raise InputError(f"outcomes must be ({len(features)}, q), one row per sample. Got {outcomes.shape}.")
    if not np.isfinite(outcomes).all():
        raise InputError(f"outcomes must be finite. {int((~np.isfinite(outcomes)).sum())} are NaN or infinite.")
    means = outcomes.mean(0).astype(features.dtype)
    centred, standards = (outcomes - means).astype(features.dtype), fit_standards(features)
    scaled = standards.apply(features)
    if len(scaled) < scaled.shape[1]:
        system, sums = Tridiagonal.of(scaled @ scaled.T), centred
        return RidgeFit(standards, scaled, system, system.forth(sums), means)
    system, sums = Tridiagonal.of(scaled.T @ scaled), scaled.T @ centred
    return RidgeFit(standards, None, system, system.forth(sums), means)


def ridge_scores(
    features: FloatArray, outcomes: FloatArray, train: BoolArray, *, penalties: Sequence[float]
) -> FloatArray:
    """Scores (s, m, q) of the m rows that are not in ``train`` (n,), by ridge regressions of those that are."""
    return fit_ridge(features[train], outcomes[train]).scores(features[~train], penalties)


def indicators(codes: IntArray, classes: int, *, dtype: type = np.float32) -> NDArray[np.floating]:
    """(n, classes): 1 for the class of each of ``codes`` (n,), -1 for the others."""
    return np.where(codes[:, None] == np.arange(classes), 1, -1).astype(dtype)
