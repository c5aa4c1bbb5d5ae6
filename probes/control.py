"""Control tasks: what a probe reaches by memorising groups (Hewitt and Liang 2019, arXiv:1909.03368)."""

import zlib

import numpy as np

from outcrop.probes.properties import MISSING, IntArray, Target


def control_task(target: Target, groups: IntArray, *, folds: IntArray, seed: int, draw: int = 0) -> Target:
    """Random labels for ``target``: one per group, with the class frequencies of the real ones on average.

    ``groups`` (n,) codes from 0, ``folds`` (n,) the fold of each sample's group. All rows of a group have one label;
    rows without a real label have none. Each fold draws on its own (systematic sampling, so that its classes are as
    even as its groups allow): a quota over all groups would make the labels of a fold the contrary of those of its
    training rows, and push the control below chance. A control above chance points at a leak or at groups that
    resemble each other. One draw is as uncertain as its groups are few; ``draw`` numbers independent ones.
    """
    rng = np.random.default_rng([seed, zlib.crc32(target.name.encode()), draw])
    counts = np.bincount(target.codes[target.known], minlength=len(target.classes))
    ends = np.cumsum(counts / counts.sum())
    drawn = np.zeros(int(groups.max()) + 1, dtype=np.int64)
    for fold in np.unique(folds):
        own = rng.permutation(np.unique(groups[folds == fold]))
        marks = (np.arange(len(own)) + rng.random()) / len(own)
        drawn[own] = np.minimum(np.searchsorted(ends, marks, side="right"), len(ends) - 1)
    return Target(target.name, np.where(target.known, drawn[groups], MISSING), target.classes)
