"""How many groups a probe's interval needs to be as narrow as one wants, before anything is recorded.

Samples of one group (a wording, a seed) are right or wrong together to some degree, so that n of them tell as much as
n / D independent ones: D is the design effect (Kish 1965, Survey Sampling, section 5.4; for unequal groups Kish 1987),

    D = 1 + (m - 1) r,      m = sum of squared group sizes / n,      r = intraclass correlation of being right.

The width of an interval of accuracy p from g groups is then 2 t sqrt(p (1 - p) D / n), t the quantile of Student's
distribution with g - 1 degrees of freedom, as the intervals of a sweep use it (:mod:`outcrop.probes.intervals`).
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from outcrop.data.errors import InputError
from outcrop.probes.properties import IntArray

Float64Array = NDArray[np.float64]

MOST_GROUPS = 10**7


def design_effect(sizes: Sequence[int] | IntArray, *, correlation: float) -> float:
    """How many times as many samples groups of ``sizes`` take as independent samples would; at least 1.

    >>> design_effect([4, 4, 4], correlation=0.5)
    2.5
    """
    counts = np.asarray(sizes, dtype=np.float64)
    if len(counts) == 0 or (counts < 1).any() or not 0 <= correlation <= 1:
        raise InputError(
            f"A design effect needs groups of at least one sample, and a correlation from 0 to 1. Got {len(counts)} "
            f"groups and {correlation}."
        )
    return float(1 + ((counts**2).sum() / counts.sum() - 1) * correlation)


def interval_width(
    sizes: Sequence[int] | IntArray, *, correlation: float, accuracy: float = 0.5, confidence: float = 0.95
) -> float:
    """The width that the interval of ``accuracy`` will have with groups of ``sizes``; infinite for a single group.

    An accuracy of .5 gives the widest: what holds for it holds for all.
    """
    if len(sizes) < 2:
        return math.inf
    effect, samples = design_effect(sizes, correlation=correlation), float(np.sum(sizes))
    quantile = float(student.ppf((1 + confidence) / 2, len(sizes) - 1))
    return 2 * quantile * math.sqrt(accuracy * (1 - accuracy) * effect / samples)


def groups_needed(
    width: float, *, size: int, correlation: float, accuracy: float = 0.5, confidence: float = 0.95
) -> int:
    """The least number of groups of ``size`` samples whose interval is at most ``width``.

    Raises :class:`InputError` for a width that is not between 0 and 1, or that would take more than ten million groups.

    >>> groups_needed(0.1, size=1, correlation=0.0)
    387
    """
    if not 0 < width < 1:
        raise InputError(f"The width of an interval must lie between 0 and 1, such as 0.1. Got {width}.")
    low, high = 1, 2
    while _equal_width(high, size, correlation, accuracy, confidence) > width:
        low, high = high, 2 * high
        if high > MOST_GROUPS:
            raise InputError(
                f"An interval of width {width} takes more than {MOST_GROUPS:,} groups. Ask for a wider one."
            )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (
            (low, middle) if _equal_width(middle, size, correlation, accuracy, confidence) <= width else (middle, high)
        )
    return high


def _equal_width(groups: int, size: int, correlation: float, accuracy: float, confidence: float) -> float:
    effect = design_effect([size], correlation=correlation)
    quantile = float(student.ppf((1 + confidence) / 2, groups - 1))
    return 2 * quantile * math.sqrt(accuracy * (1 - accuracy) * effect / (groups * size))


def intraclass_correlation(right: NDArray[np.bool_] | IntArray, codes: IntArray) -> float:
    """Of being ``right`` (n,) within the groups ``codes`` (n,), the estimate of one-way analysis of variance.

    (Ms between - Ms within) / (Ms between + (k - 1) Ms within), k the mean size less what the sizes' variance takes
    (Donner and Klar 2000, Design and Analysis of Cluster Randomization Trials, chapter 1; Fleiss 1981). It may be below
    0, which says that there is none; NaN where all are right, all are wrong, or no group has two samples.
    """
    hits, groups = np.asarray(right, dtype=np.float64), np.unique(codes, return_inverse=True)[1]
    sizes = np.bincount(groups).astype(np.float64)
    count, total = len(sizes), len(hits)
    if count < 2 or total == count or hits.min() == hits.max():
        return math.nan
    means = np.bincount(groups, weights=hits) / sizes
    between = (sizes * (means - hits.mean()) ** 2).sum() / (count - 1)
    within = ((hits - means[groups]) ** 2).sum() / (total - count)
    size = (total - (sizes**2).sum() / total) / (count - 1)
    return float((between - within) / (between + (size - 1) * within))
