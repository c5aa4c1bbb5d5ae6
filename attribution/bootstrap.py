"""Intervals for means and ratios of means over pairs: bias-corrected and accelerated bootstrap (BCa).

Efron 1987, doi:10.1080/01621459.1987.10478410; Efron and Tibshirani 1993, section 14.3. All rows are resampled with the
same draws, so that the interval of a difference of two rows is a paired one. ``scipy.stats.bootstrap`` gives the same
intervals row by row (the tests compare them); here the resamples of a whole table are two matrix products.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

FloatArray = NDArray[np.float64]

BATCH = 500
ROUNDING = 1e-9


@dataclass(frozen=True)
class Resampling:
    """``confidence`` of the intervals, number of ``resamples``, and the ``seed`` of the draws."""

    confidence: float = 0.95
    resamples: int = 2000
    seed: int = 0


DEFAULT = Resampling()


def draw_counts(n: int, resampling: Resampling) -> FloatArray:
    """How often each of ``n`` pairs is drawn in each resample: (resamples, n)."""
    drawn = np.random.default_rng(resampling.seed).integers(0, n, (resampling.resamples, n))
    flat = np.bincount((drawn + n * np.arange(len(drawn))[:, None]).ravel(), minlength=n * len(drawn))
    return flat.reshape(len(drawn), n).astype(np.float64)


def ratio_intervals(
    numerators: FloatArray, denominators: FloatArray, *, resampling: Resampling = DEFAULT
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Sum of ``numerators`` over sum of ``denominators`` (m, n) of each row, with the ends of its interval: three (m,).

    A pair that does not count in a row is NaN there. A row with fewer than two pairs has no estimate (NaN); where all
    resamples agree, the interval is that point.
    """
    known = ~(np.isnan(numerators) | np.isnan(denominators))
    over, under = np.where(known, numerators, 0.0), np.where(known, denominators, 0.0)
    estimate = divide(over.sum(1), under.sum(1))
    resampled = np.empty((resampling.resamples, len(over)))
    counts = draw_counts(over.shape[1], resampling)
    for start in range(0, len(counts), BATCH):
        part = counts[start : start + BATCH]
        resampled[start : start + BATCH] = divide(part @ over.T, part @ under.T)
    left_out = divide(over.sum(1, keepdims=True) - over, under.sum(1, keepdims=True) - under)
    low, high = bca_ends(estimate, resampled, np.where(known, left_out, np.nan), confidence=resampling.confidence)
    few = known.sum(1) < 2
    return tuple(np.where(few, np.nan, values) for values in (estimate, low, high))  # type: ignore[return-value]


def bca_ends(
    estimate: FloatArray, resampled: FloatArray, left_out: FloatArray, *, confidence: float
) -> tuple[FloatArray, FloatArray]:
    """Ends (m,) of the BCa interval of ``estimate`` (m,).

    ``resampled`` (r, m): the bootstrap's estimates, NaN where a resample has none; ``left_out`` (m, n): those of the
    jackknife, NaN for a pair that does not count.
    """
    tails = norm.ppf([(1 - confidence) / 2, (1 + confidence) / 2])
    usable = (~np.isnan(resampled)).sum(0)
    # Ties are told with a tolerance: rounding must not decide on which side of the estimate a resample lies.
    below = ((resampled < estimate - ROUNDING).sum(0) + (resampled <= estimate + ROUNDING).sum(0)) / (
        2 * np.maximum(usable, 1)
    )
    bias = norm.ppf(below)
    shifts = mean_known(left_out)[:, None] - left_out
    spread = np.nansum(shifts**2, axis=1)
    skew = divide(np.nansum(shifts**3, axis=1), 6 * spread**1.5)
    ends = np.full((2, len(estimate)), np.nan)
    for m in np.flatnonzero(usable):
        values = resampled[:, m][~np.isnan(resampled[:, m])]
        if not np.isfinite(bias[m]) or spread[m] == 0:
            ends[:, m] = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
            continue
        moved = bias[m] + tails
        ends[:, m] = np.quantile(values, norm.cdf(bias[m] + moved / (1 - np.nan_to_num(skew[m]) * moved)))
    return ends[0], ends[1]


def mean_known(values: FloatArray) -> FloatArray:
    """Mean over the last axis of what is not NaN; NaN where all is."""
    known = ~np.isnan(values)
    return divide(np.where(known, values, 0.0).sum(-1), known.sum(-1).astype(np.float64))


def divide(over: FloatArray, under: FloatArray) -> FloatArray:
    """``over / under``, NaN where ``under`` is 0."""
    ratio: FloatArray = np.full(np.broadcast_shapes(over.shape, under.shape), np.nan)
    np.divide(over, under, out=ratio, where=under != 0)
    return ratio
