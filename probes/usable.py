"""Usable information: how many bits of a property a linear probe gets out of features, and out of more features.

A cross-attention site may merely echo the prompt. What it *adds* is what the labels cost given the prompt, less what
they cost given the prompt and the site (conditional probing: Hewitt, Ethayarajh, Liang and Manning 2021,
arXiv:2109.09234; V-information: Xu et al. 2020, arXiv:2002.10689), both out of fold. It may be below 0: features that
tell nothing more still have to be fitted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from outcrop.probes.design import Designs, Features, Rotation, rotated_designs, stack_designs
from outcrop.probes.lbfgs import minimise
from outcrop.probes.logistic import FIT_RULE
from outcrop.probes.metrics import LEAST_PROBABILITY
from outcrop.probes.problems import Problems, pose
from outcrop.probes.properties import Target
from outcrop.probes.softmax import Float64Array, FloatArray, TaskStack, probabilities
from outcrop.probes.splits import Fold, Splits
from outcrop.probes.strengths import batch_of_designs, choose_strengths


def surprises(
    features: Features, targets: Sequence[Target], splits: Splits, *, strengths: Sequence[float]
) -> Float64Array:
    """Out-of-fold -log2 p of each label (t, n), 0 where there is none; features (n, d).

    Strengths are those of least validation loss inside the training folds: here the loss is what counts.
    """
    tasks = TaskStack.of(targets)
    losses = choose_strengths(features, tasks, splits, strengths=strengths).losses
    chosen = np.asarray(sorted(strengths))[losses.argmin(2)]
    result = np.zeros((len(targets), len(features)))
    for fitted in fit_folds(features, tasks, splits.folds, strengths=chosen):
        tested = fitted.tested(features)
        shares = probabilities(fitted.logits(tested), tasks)
        own = np.maximum(shares.reshape(-1)[tasks.label_index(tested.rows)].astype(np.float64), LEAST_PROBABILITY)
        counted = tasks.known(tested.rows) & tested.used[:, None]
        for bits, index, used in zip(np.where(counted, -np.log2(own), 0), tested.rows, tested.used, strict=True):
            result[:, index[used]] = bits[:, used]
    return result


@dataclass(frozen=True)
class FittedFolds:
    """Probes of some outer folds: what was solved, the weights (f, c, r + 1) and the rotation of each fold."""

    folds: Sequence[Fold]
    problems: Problems
    solution: FloatArray
    rotations: Sequence[Rotation]

    def tested(self, features: Features) -> Designs:
        """The test rows of ``features`` (n, d) in the coordinates of each fold."""
        return stack_designs(features, self.rotations, np.stack([fold.test for fold in self.folds]))

    def logits(self, tested: Designs) -> FloatArray:
        """(f, c, m), of rows as of :meth:`tested`."""
        return np.asarray(tested.scores(self.solution) + self.problems.barrier[:, :, None])


def fit_folds(
    features: Features, tasks: TaskStack, folds: Sequence[Fold], *, strengths: Float64Array
) -> Iterator[FittedFolds]:
    """Fit all tasks on each fold's training rows at ``strengths`` (f, t), as many folds at once as are small together.

    A batch is let go before the next is built, if the caller does so: large folds are in memory one by one.
    """
    batch = batch_of_designs(features, tasks)
    for first in range(0, len(folds), batch):
        own = folds[first : first + batch]
        rotations, designs = rotated_designs(features, np.stack([fold.train for fold in own]))
        problems = pose(designs, tasks, strengths=strengths[first : first + batch])
        del designs
        solution = minimise(problems, problems.start_at_frequencies(), rule=FIT_RULE).solution
        yield FittedFolds(own, problems, solution, rotations)
        del problems, solution, rotations


def frequency_surprises(targets: Sequence[Target], splits: Splits) -> Float64Array:
    """:func:`surprises` of someone who knows the class frequencies of the training rows alone, (t, n)."""
    result = np.zeros((len(targets), len(splits.dealt)))
    for number, target in enumerate(targets):
        for fold in splits.folds:
            counts = np.bincount(target.codes[fold.train & target.known], minlength=len(target.classes))
            shares = np.maximum(counts / counts.sum(), LEAST_PROBABILITY)
            tested = fold.test & target.known
            result[number, tested] = -np.log2(shares[target.codes[tested]])
    return result
