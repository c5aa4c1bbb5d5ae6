"""p-values from permuted labels, with a probe refitted for each permutation.

The null hypothesis: within a group, labels are independent of the activations. Labels are permuted between the prompts
of a group (all rows of a prompt keep one label where they have one), so that what groups differ in cannot count as
evidence; a property that is constant within groups cannot be tested this way and gets no p-value. The statistic is the
out-of-fold accuracy of a ridge classifier (least squares on class indicators), which costs little enough to be refitted
for real and permuted labels alike; the probe's own accuracy is not the statistic. Permuting the labels against
predictions that stay as they are would be invalid: predictions out of fold depend on the labels of the other folds
(Golland and Fischl 2003; Ojala and Garriga 2010, test 1, which refits; Winkler et al. 2014 on exchangeability blocks).

The test is conservative where the property is balanced against others that the activations carry (a full grid): a
permuted labelling is not, and its accuracy varies more. It takes the assignment of labels to a group's prompts as
exchangeable; that the activations of a group differ in what goes with the label is what it detects, not why.
"""

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from outcrop.probes.design import Designs
from outcrop.probes.grouping import GroupColumn
from outcrop.probes.properties import MISSING, IntArray, Target
from outcrop.probes.softmax import Float64Array
from outcrop.probes.streaming import StreamedDesigns

RIDGE = 0.1
"""Penalty of the ridge classifier, relative to the mean variance of the coordinates."""


class UntestedWarning(UserWarning):
    """p-values were asked for that the samples' groups do not allow."""


BATCH, BATCH_BYTES = 64, 2**20
"""Permutations fitted at once: at most so many, and such that their indicators fill no more than this."""

STREAMED_SHARE = 16
"""Of a column that is read by rows: no more than one over this of the memory."""


def permuted_codes(target: Target, groups: IntArray, prompts: IntArray, *, permutations: int, seed: int) -> IntArray:
    """``target``'s codes and then ``permutations`` of them between prompts of a group: (1 + permutations, n).

    ``groups``, ``prompts`` (n,) codes. A missing label stays where it is. Where a prompt's rows do not all have one
    label, each row is a prompt of its own.
    """
    rng = np.random.default_rng([seed, 1])
    known = np.flatnonzero(target.known)
    carriers = _carriers(target.codes[known], prompts[known])
    first = np.unique(carriers, return_index=True)[1]
    labels, blocks = target.codes[known][first], groups[known][first]
    result = np.full((1 + permutations, len(target.codes)), MISSING, dtype=np.int64)
    result[0] = target.codes
    order = np.argsort(blocks, kind="stable")
    for permuted in result[1:]:
        shuffled = np.empty_like(labels)
        shuffled[order] = labels[np.lexsort((rng.random(len(labels)), blocks))]
        permuted[known] = shuffled[carriers]
    return result


def _carriers(codes: IntArray, prompts: IntArray) -> IntArray:
    """The unit (n,) from 0 that carries each row's label: its prompt, or the row where a prompt has several labels."""
    units = np.unique(prompts, return_inverse=True)[1]
    pairs = np.unique(np.stack([units, codes]), axis=1).shape[1]
    return units if pairs == units.max() + 1 else np.arange(len(codes))


def warn_if_untested(
    targets: Sequence[Target], permuted: Sequence[IntArray], prompts: IntArray, unit: GroupColumn
) -> None:
    """Warn, before anything is fitted, of ``targets`` whose labels every permutation gives back: they get no p-value.

    ``prompts`` (n,) codes; ``unit``: the groups within which labels were permuted.
    """
    constant = [target.name for target, codes in zip(targets, permuted, strict=True) if (codes == codes[0]).all()]
    if not constant:
        return
    names = ", ".join(map(repr, constant))
    pairs = np.unique(np.stack([unit.codes, prompts]), axis=1).shape[1]
    why = (
        f"each {unit.name} has one prompt alone"
        if pairs == unit.count
        else f"all prompts of a {unit.name} have the same label"
    )
    warnings.warn(
        f"{names} will have no p-values: labels are permuted between the prompts of a group, and {why}. Group by a "
        f"column of which prompts with different labels share a value (--group-by, group_by): a column 'template' of "
        f"the prompts' file, which says how each is worded, or a label that `outcrop label` adds.",
        UntestedWarning,
        stacklevel=5,
    )


def permutation_hits(designs: Designs, tested: Designs, target: Target, permuted: IntArray) -> IntArray:
    """Tested rows that are right for each labelling of ``permuted`` (p, n), as of :func:`permuted_codes`; (p,).

    ``designs`` are training rows of outer folds, ``tested`` their test rows in the same coordinates.
    """
    classes, most = len(target.classes), BATCH_BYTES
    if isinstance(designs, StreamedDesigns):  # each batch is two passes over all rows
        most = designs.features.memory // STREAMED_SHARE
    batch = max(1, min(BATCH, most // (classes * designs.spectrum.itemsize * designs.rows.shape[1])))
    hits = np.zeros(len(permuted), dtype=np.int64)
    for f in range(len(tested.rows)):
        alone = designs.alone(f, tested)
        batches = [permuted[at : at + batch] for at in range(0, len(permuted), batch)]
        hits += np.concatenate([_hits(*alone, codes, classes) for codes in batches])
    return hits


def permutation_p_value(hits: IntArray, permuted: IntArray) -> float:
    """The share of labellings, the real one first among them, whose ``hits`` (p,) are at least the real one's.

    NaN where every permutation of ``permuted`` (p, n) gives the real labels back.
    """
    return float("nan") if (permuted == permuted[0]).all() else float((hits >= hits[0]).mean())


def _hits(design: Designs, tested: Designs, codes: IntArray, classes: int) -> IntArray:
    """Rows that a ridge classifier of one fold's training rows gets right, for each of ``codes`` (p, n)."""
    rows, spectrum = design.rows[0], design.spectrum[0, :-1]
    own = np.where(design.used[0], codes[:, rows], MISSING)
    indicators = (own[:, None] == np.arange(classes)[:, None]).astype(spectrum.dtype)
    count = int((own[0] != MISSING).sum())
    shares = indicators.sum(2, keepdims=True) / count
    indicators -= shares * (own != MISSING)[:, None]
    scale = count * (spectrum + RIDGE * max(float(spectrum.mean()), float(np.finfo(spectrum.dtype).tiny)))
    weights = design.gather(indicators.reshape(1, -1, len(rows)))
    weights[:, :, :-1] /= scale
    weights[:, :, -1] = shares.reshape(-1)
    scores = tested.scores(weights).reshape(*shares.shape[:2], -1)
    truth = np.where(tested.used[0], codes[:, tested.rows[0]], MISSING)
    hits: IntArray = (scores.argmax(1) == truth).sum(1)
    return hits


def adjusted(p_values: NDArray[np.float64], *, dependent: bool = False) -> Float64Array:
    """q-values of ``p_values`` (m,), NaN where they are (Benjamini and Hochberg 1995, step-up).

    Cells with q <= 0.05 hold at most 5 % false discoveries on average where the p-values are independent or positively
    dependent, as neighbouring sites and steps are. ``dependent`` allows for any dependence, at the price of a factor
    1 + 1/2 + ... + 1/m (Benjamini and Yekutieli 2001, theorem 1.3).
    """
    result = np.full(len(p_values), np.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested])[::-1]]
    ranks = np.arange(len(order), 0, -1)
    factor = (1 / ranks).sum() if dependent else 1.0
    result[order] = np.minimum(1, np.minimum.accumulate(factor * p_values[order] * len(order) / ranks))
    return result
