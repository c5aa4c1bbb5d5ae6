"""Percentile intervals of out-of-fold accuracy from a bootstrap over groups."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

from outcrop.probes.properties import IntArray

Float64Array = NDArray[np.float64]

BATCH = 100
"""Draws at once, at most."""
CELLS = 2**21
"""Draws x samples at once, where one draw has not more by itself."""


def group_intervals(
    scores: NDArray[np.floating] | NDArray[np.bool_],
    units: Sequence[IntArray],
    *,
    confidence: float,
    bootstraps: int,
    seed: int,
    shared: Float64Array | None = None,
) -> tuple[Float64Array, Float64Array]:
    """Lower and upper ends (m,) of the interval of each row mean of ``scores`` (m, n).

    ``units`` are group codes (n,), one or more. Whole groups are drawn with replacement (cluster bootstrap); with
    several partitions a sample weighs as often as all its groups were drawn (Owen 2007, doi:10.1214/07-AOAS122), which
    is wide rather than narrow. The same draws serve all m rows, so that the mean of a difference is a paired interval.
    Percentiles of few groups are too narrow; they are taken further out, as far as Student's t lies from the normal
    (Hesterberg 2015, doi:10.1080/00031305.2015.1089789, the expanded percentile interval). In simulations of 8 to 60
    groups, 95 % intervals held the truth in 93 to 96 % of the trials (88 to 95 % without it).

    Fits are not repeated: what the interval is meant to hold is the mean accuracy of these fitted probes, one a fold,
    on new groups in which the classes are as frequent as here. ``shared`` (m,): variance of the mean that the groups
    owe to each other (:mod:`outcrop.probes.dependence`); where it is above 0, the interval is wider by as much as it
    enlarges the standard deviation of the draws, within the least and the largest score of a sample.
    """
    values = np.asarray(scores, dtype=np.float64).T
    means = [
        weights @ values / weights.sum(1, keepdims=True) for weights in _draws(units, bootstraps=bootstraps, seed=seed)
    ]
    drawn = np.concatenate(means)
    ends = _ends(drawn, units, confidence=confidence)
    return ends if shared is None else _widened(ends, values, drawn.var(0), shared)


def ratio_intervals(
    above: Float64Array,
    below: Float64Array,
    units: Sequence[IntArray],
    *,
    confidence: float,
    bootstraps: int,
    seed: int,
) -> tuple[float, float]:
    """Lower and upper end of the interval of sum(``above``) / sum(``below``), (n,) each, as of
    :func:`group_intervals`.
    """
    ratios = []
    for weights in _draws(units, bootstraps=bootstraps, seed=seed):
        under = weights @ below
        ratios.append((weights @ above)[under > 0] / under[under > 0])
    low, high = _ends(np.concatenate(ratios), units, confidence=confidence)
    return float(low), float(high)


def _draws(units: Sequence[IntArray], *, bootstraps: int, seed: int) -> Iterator[Float64Array]:
    """Batches of how often each sample is drawn (b, n), without draws in which none is."""
    rng = np.random.default_rng(seed)
    n = len(units[0])
    partitions = [np.unique(codes, return_inverse=True)[1] for codes in units]
    size = max(1, min(BATCH, CELLS // n))
    for first in range(0, bootstraps, size):
        weights = np.ones((min(size, bootstraps - first), n))
        for groups in partitions:
            count = int(groups.max()) + 1
            weights *= rng.multinomial(count, np.full(count, 1 / count), size=len(weights))[:, groups]
        yield weights[weights.sum(1) > 0]


def _ends(drawn: Float64Array, units: Sequence[IntArray], *, confidence: float) -> tuple[Float64Array, Float64Array]:
    tail = _expanded((1 - confidence) / 2, groups=min(len(np.unique(codes)) for codes in units))
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    return low, high


def _expanded(tail: float, *, groups: int) -> float:
    """The tail of the bootstrap distribution that stands for ``tail`` with few groups."""
    if groups < 2:
        return tail
    return float(norm.cdf(np.sqrt(groups / (groups - 1)) * student.ppf(tail, groups - 1)))


def _widened(
    ends: tuple[Float64Array, Float64Array], values: Float64Array, variance: Float64Array, shared: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Intervals of the means of ``values`` (n, m) for what has ``shared`` besides the ``variance`` of the draws."""
    ratio = np.maximum(shared, 0) / np.maximum(variance, np.finfo(np.float64).tiny)
    factor = np.where(variance > 0, np.sqrt(1 + ratio), 1)
    middle, least, most = values.mean(0), values.min(0), values.max(0)
    low, high = (np.clip(middle + factor * (end - middle), least, most) for end in ends)
    return low, high
