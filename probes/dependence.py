"""How much surer the folds of a cross-validation look than they are, because they learn from each other's labels.

Every two folds train on each other. Where there is little or nothing to find, a sample of one fold is named after its
neighbours in the other and these after it: both are right together, or wrong together. The hits of two folds then vary
together, and the variance between groups, which takes them for independent, misses it. Without any signal the true
variance is up to 1 + 2 / pi times as large for two classes (that of a quadratic form of the labels, in which each pair
counts twice), and 95 % intervals hold 88 %. With one split no estimate is free of this (Bengio and Grandvalet 2004);
what the inner folds leave out twice makes one possible.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from outcrop.probes.properties import IntArray
from outcrop.probes.softmax import BoolArray, Float64Array
from outcrop.probes.splits import Splits


def shared_variance(right: BoolArray, splits: Splits, apart: IntArray) -> Float64Array:
    """The variance (t,) of each task's number of hits that folds owe to each other, an estimate that may be negative.

    ``right`` (t, n): tested rows that are right out of fold; ``apart`` (p, 2, t): for each inner fold the hits in what
    its two outer folds validate, without either of the two in training, as of
    :class:`outcrop.probes.strengths.Choice`.

    What a fold of labels adds to the hits of another, and that one to its own, multiplied and summed over the pairs of
    folds. Training rows help, too: the product of the helps of two pairs that have no fold in common is the part that
    is no dependence, and is taken off. Pairs of which there is no inner fold count like those of which there is one.
    """
    pairs = [(number, inner.validate) for number, inner in enumerate(splits.inner) if len(inner.validate) == 2]
    if not pairs:
        return np.zeros(len(right))
    gains = np.array(
        [[right[:, rows].sum(1) - apart[p, side] for side, (_, rows) in enumerate(sides)] for p, sides in pairs]
    )
    products, both = gains.prod(1), gains.sum(1)
    folds = np.array([[own for own, _ in sides] for _, sides in pairs])
    strangers = ~(folds[:, None, :, None] == folds[None, :, None, :]).any((2, 3))
    if strangers.any():
        products = products - np.einsum("pt,pq,qt->t", both, strangers, both) / (4 * strangers.sum())
    return np.asarray(2 * products.mean(0) * _pairs_that_train_each_other(splits))


def steadied(estimate: Float64Array, right: BoolArray, units: Sequence[IntArray], *, classes: int) -> Float64Array:
    """The variances (t,) of :func:`shared_variance`, drawn half-way towards what theory expects.

    One data set's ``estimate`` (t,) is right on average, yet scatters as much as it measures; cut off at 0 alone it
    leaves too many intervals too narrow. Without a signal folds owe each other k E^2 / (k - 1)^2 times the variance
    between groups, where E is the expected largest of k standard normals (2 / pi for two classes); with one it fades as
    the square of the misses. ``right`` (t, n) with a code of each row in every one of ``units``.
    """
    missed = 1 - right.mean(1)
    expected = _owed_without_signal(classes) * np.minimum(missed / (1 - 1 / classes), 1) ** 2
    between = np.max([_between(right, codes) for codes in units], axis=0)
    return np.asarray((np.maximum(estimate, 0) + expected * between) / 2)


def _between(right: BoolArray, codes: IntArray) -> Float64Array:
    """The variance (t,) of the number of hits, from that between groups."""
    number = np.unique(codes, return_inverse=True)[1]
    groups = int(number.max()) + 1
    totals = (right - right.mean(1, keepdims=True)) @ np.eye(groups)[number]
    return np.asarray((totals**2).sum(1) * groups / max(groups - 1, 1))


@lru_cache
def _owed_without_signal(classes: int) -> float:
    from scipy.integrate import quad
    from scipy.stats import norm

    largest = quad(lambda z: classes * z * norm.pdf(z) * norm.cdf(z) ** (classes - 1), -9, 9)[0]
    return float(classes * largest**2 / (classes - 1) ** 2)


def _pairs_that_train_each_other(splits: Splits) -> int:
    train = np.stack([fold.train for fold in splits.folds]).astype(np.float32)
    test = np.stack([fold.test for fold in splits.folds]).astype(np.float32)
    reached = train @ test.T > 0
    return int((reached & reached.T).sum()) // 2
