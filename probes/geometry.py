"""Where properties stand in a site: directions of class means, and angles between the subspaces of two properties."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import orth

from outcrop.data.errors import InputError
from outcrop.probes.checks import check_codes, check_whole
from outcrop.probes.logistic import LinearWeights
from outcrop.probes.properties import IntArray
from outcrop.probes.table import ProbeTable, weights_key

Float64Array = NDArray[np.float64]

RANDOM_DRAWS = 200
NEGATIVE = 1e-6
"""Variances below 0 by at most this share of the largest are rounding errors."""

RANK_TOLERANCE = 1e-3
"""Directions of a probe below this share of its largest one are not counted."""


@dataclass(frozen=True)
class Angles:
    """``cosines`` (r,) of the principal angles of two subspaces, falling; ``by_chance``: the 95 % quantile of the
    largest one between random subspaces of the same dimensions; ``dimensions`` of the two.
    """

    cosines: Float64Array
    by_chance: float
    dimensions: tuple[int, int]

    @property
    def degrees(self) -> Float64Array:
        return np.asarray(np.degrees(np.arccos(np.clip(self.cosines, -1, 1))))

    @property
    def shared(self) -> int:
        """In how many directions the subspaces lie closer than random ones."""
        return int((self.cosines > self.by_chance).sum())


def mean_directions(features: NDArray[np.floating], codes: IntArray, *, classes: int) -> LinearWeights:
    """Difference of means as a classifier of raw features (n, d) with ``codes`` (n,) from 0: the nearest class mean.

    Row k of ``coef`` (k, d) is the mean of class k less the mean of the class means; scores x @ coef.T + intercept
    are highest for the nearest mean (nearest centroid; mass-mean direction of Marks and Tegmark 2023,
    arXiv:2310.06824). It ignores how features vary within classes, and cannot overfit in their correlations.
    Raises :class:`InputError` for a class without rows, and for values that are not finite.
    """
    check_whole("classes", classes, least=1)
    check_codes(codes)
    if not np.isfinite(features).all():
        raise InputError("Features hold values that are NaN or infinite. Leave their rows out.")
    counts = np.bincount(codes, minlength=classes)
    if (counts == 0).any():
        raise InputError(f"Class {int(np.argmin(counts))} has no rows: it has no mean. Leave it out.")
    sums = np.zeros((classes, features.shape[1]))
    np.add.at(sums, codes, features.astype(np.float64))
    means = sums / counts[:, None]
    middle = means.mean(0)
    coef = means - middle
    intercept = -((means - middle) ** 2).sum(1) / 2 - coef @ middle
    return LinearWeights(coef, intercept - intercept.mean())


def subspace_angles(
    first: NDArray[np.floating], second: NDArray[np.floating], *, covariance: Float64Array | None = None, seed: int = 0
) -> Angles:
    """Principal angles between the spans of directions (k, d) and (m, d), each less its mean over classes.

    With ``covariance`` (d, d) of the features, the cosines are the correlations of the scores along the directions
    (canonical correlations): features on different scales then do not distort them. (Björck and Golub 1973.) Raises
    :class:`InputError` for a ``covariance`` that is none of these features.
    """
    if covariance is not None:
        covariance = _checked_covariance(covariance, width=first.shape[1])
    spans = [_span(rows, covariance) for rows in (first, second)]
    cosines = np.linalg.svd(spans[0].T @ spans[1], compute_uv=False)
    rng, sizes = np.random.default_rng(seed), (spans[0].shape[1], spans[1].shape[1])
    largest = [
        np.linalg.norm(np.linalg.qr(rng.standard_normal((len(spans[0]), sizes[0])))[0].T @ spans[1], 2)
        for _ in range(RANDOM_DRAWS)
    ]
    return Angles(np.minimum(cosines, 1), float(np.quantile(largest, 0.95)), sizes)


def property_angles(table: ProbeTable, *, site: str, step: int, covariance: Float64Array | None = None) -> pd.DataFrame:
    """Angles between the probes of every two properties at a cell.

    Rows: ``first``, ``second``; ``smallest_angle``, ``mean_angle`` in degrees; ``shared``: in how many directions the
    subspaces lie closer than random ones do; ``dimensions``: the smaller one of the two; ``chance_angle``: what the
    smallest angle between random subspaces falls below in 5 % of the cases. Raises :class:`InputError` for a cell that
    is not in the table, for one with a single property, and for a ``covariance`` that is none of its features.
    """
    found = _weights_at(table.weights, [str(name) for name in table.frame["property"].unique()], site, step)
    if len(found) == 1:
        raise InputError(
            f"Angles are between two properties. The table has only {next(iter(found))!r} there: probe another besides."
        )
    rows = []
    for first, second in itertools.combinations(found, 2):
        angles = subspace_angles(found[first].coef, found[second].coef, covariance=covariance)
        rows.append(
            {
                "first": first,
                "second": second,
                "smallest_angle": float(angles.degrees.min()),
                "mean_angle": float(angles.degrees.mean()),
                "shared": angles.shared,
                "dimensions": min(angles.dimensions),
                "chance_angle": float(np.degrees(np.arccos(angles.by_chance))),
            }
        )
    return pd.DataFrame(rows)


def _weights_at(
    weights: Mapping[str, LinearWeights], names: list[str], site: str, step: int
) -> dict[str, LinearWeights]:
    found = {name: weights[key] for name in names if (key := weights_key(name, site, step)) in weights}
    if not found:
        raise InputError(f"The table has no probe at site {site!r}, step {step}: see the columns site and step.")
    return found


def _checked_covariance(given: object, *, width: int) -> Float64Array:
    covariance = np.asarray(given)
    expected = f"covariance must be that of the features, ({width}, {width}): numpy.cov(features, rowvar=False)"
    if covariance.shape != (width, width):
        raise InputError(f"{expected}. Got the shape {covariance.shape}.")
    if not np.isfinite(covariance).all():
        raise InputError(f"{expected}. Got one with values that are NaN or infinite.")
    variances = np.linalg.eigvalsh(covariance)
    if not np.allclose(covariance, covariance.T) or variances[0] < -NEGATIVE * np.abs(variances).max():
        raise InputError(f"{expected}. Got a matrix that is none: not symmetric, or with negative variances.")
    if variances[-1] <= 0:
        raise InputError(f"{expected}. Got one of features that do not vary.")
    return covariance


def _span(rows: NDArray[np.floating], covariance: Float64Array | None) -> Float64Array:
    """Orthonormal basis (d, r) of the rows less their mean, in the metric of the features."""
    centred = rows.astype(np.float64) - rows.mean(0, dtype=np.float64)
    if covariance is not None:
        variances, basis = np.linalg.eigh(covariance)
        centred = centred @ (basis * np.sqrt(np.maximum(variances, 0)))
    spanned: Float64Array = orth(centred.T, rcond=RANK_TOLERANCE)
    if spanned.shape[1] == 0:
        raise InputError("A probe without any direction (all weights are 0) has no angle with another.")
    return spanned
