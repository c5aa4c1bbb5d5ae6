"""The choice of each outer fold's strength, on folds inside its training rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from outcrop.probes.design import Features, rotated_designs, stack_designs
from outcrop.probes.lbfgs import Rule
from outcrop.probes.path import Path
from outcrop.probes.problems import pose
from outcrop.probes.properties import IntArray
from outcrop.probes.softmax import BoolArray, Float64Array, FloatArray, TaskStack, exponentials, predict_codes, share
from outcrop.probes.splits import InnerFold, Splits

Raw = tuple[FloatArray, FloatArray]
"""Weights (c, d) and intercepts (c,) of raw features."""

Lent = list[Raw]
"""Of each strength that was tried."""

SCORED_LOSS = 20.0
"""Validation losses of a row are cut off here: a class that the inner training rows lack must not count infinitely."""

PATH_RULE = Rule(1e-2)
"""How closely problems are solved while strengths are compared (see ``minimise``).

On ten synthetic cells of three properties, a hundred times tighter chose the same strength in 99 % of the folds, with
accuracies within one sample of 432; ten times looser moved an accuracy by 5 points. On ten cells of the demo (432
samples), drawn by lot, it chose the same in 79 % of the folds, and accuracies were 2.2 samples apart on average, 17 at
most.
"""

SATURATED = 0.1
"""A path ends at a strength that is no better than those before, on training rows that are fitted as good as perfectly:
the objective is below this share of the entropy of the classes.

Without the second condition a path would end too early. In a balanced design the weights of a strong penalty find a
nuisance first, which predicts the contrary of the truth on rows held out; they find the property once that is fitted.
"""

DESIGN_BYTES = 8 * 2**20
"""Designs are built and solved in batches of at most this size, or one by one."""

BASIS_BYTES = 64 * 2**20
"""The same of their bases, which are larger than the designs where there are many more features than samples."""


@dataclass(frozen=True)
class Choice:
    """What validation inside the training rows of f outer folds says.

    ``hits`` and ``losses`` (f, t, s): validated rows that are right, and their summed loss, for each task and strength,
    rising; -1 and inf past a path's end. ``strengths`` (f, t): those of most hits, the least loss deciding between
    equals. ``near``: for each outer fold, weights that are optimal for rows inside its training rows at
    these strengths. ``apart`` (p, 2, t): for each inner fold that two outer folds validate on, the hits in the rows
    that the first and the second validate, each at the strength of the fold that these rows test.
    """

    hits: IntArray
    losses: Float64Array
    strengths: Float64Array
    near: tuple[Raw, ...]
    apart: IntArray


def choose_strengths(features: Features, tasks: TaskStack, splits: Splits, *, strengths: Sequence[float]) -> Choice:
    """Follow ``strengths`` from strong penalty to weak on every inner fold of ``features`` (n, d).

    Accuracy decides, as it is what the sweep reports. In a balanced design the loss would ask for a stronger penalty:
    on 42 cells of a small image generator it cost 2 points of accuracy on average, and 12 at most. Batches of inner
    folds are worked through one by one; only the last knows all sums, and can end early.
    """
    rising = np.asarray(sorted(strengths))
    found = Validation.empty(len(rising), splits, tasks=len(tasks.sizes))
    batches = _batches(features, tasks, splits)
    lent: dict[int, Lent] = {}
    for number, (inner, lenders) in enumerate(batches):
        path = _Path(features, tasks, splits.inner[inner], lenders, first=inner.start)
        lent |= path.follow(rising, found, last=number == len(batches) - 1)
        del path  # before the next is built
    best, _, tried = found.standing(len(rising))
    near = tuple(_chosen(lent[own], best[own, tasks.owner]) for own in range(len(splits.folds)))
    hits, losses = np.where(tried, found.hits, -1), np.where(tried, found.losses, np.inf)
    apart = hits_apart(found.parts, splits, best)
    return Choice(hits.transpose(1, 2, 0), losses.transpose(1, 2, 0), rising[best], near, apart)


def batch_of_designs(features: Features, tasks: TaskStack) -> int:
    """How many designs of ``features`` (n, d) are worked on at once: small ones together, large ones one by one.

    Of features that are read by rows as many as can be: ``tasks`` tell how much each holds.
    """
    if not isinstance(features, np.ndarray):
        return features.batch(tasks=len(tasks.sizes), columns=sum(tasks.sizes))
    n, d = features.shape
    rank = min(n, d)
    item = int(features.itemsize)
    batch: int = min(DESIGN_BYTES // (item * n * (rank + 1)), BASIS_BYTES // (item * d * rank))
    return max(1, batch)


@dataclass(frozen=True)
class Validation:
    """Sums over inner folds for strengths, outer folds and tasks (s, f, t); ``unfitted`` is the largest share of the
    entropy that an objective is at. ``parts`` (s, p, 2, t): the hits of each inner fold for each that validates on it.
    """

    hits: IntArray
    losses: Float64Array
    unfitted: Float64Array
    parts: IntArray

    @classmethod
    def empty(cls, strengths: int, splits: Splits, *, tasks: int) -> "Validation":
        shape, parts = (strengths, len(splits.folds), tasks), (strengths, len(splits.inner), 2, tasks)
        return cls(np.zeros(shape, np.int64), np.zeros(shape), np.zeros(shape), np.zeros(parts, np.int64))

    def at(self, s: int) -> "Validation":
        """A view of one strength."""
        return Validation(self.hits[s], self.losses[s], self.unfitted[s], self.parts[s])

    def standing(self, count: int) -> tuple[IntArray, BoolArray, BoolArray]:
        """After ``count`` strengths: the best of them (f, t), which paths go on, which strengths (s, f, t) count."""
        best = np.zeros(self.hits.shape[1:], dtype=np.int64)
        going, tried = np.ones(best.shape, dtype=np.bool_), np.zeros(self.hits.shape, dtype=np.bool_)
        for s in range(count):
            most, least = (np.take_along_axis(values, best[None], 0)[0] for values in (self.hits, self.losses))
            won = (self.hits[s] > most) | ((self.hits[s] == most) & (self.losses[s] < least))
            better, tried[s] = going & (won | (s == 0)), going
            best[better] = s
            going = going & (better | (self.unfitted[s] >= SATURATED))
        return best, going, tried


def hits_apart(parts: IntArray, splits: Splits, best: IntArray) -> IntArray:
    """Of the hits ``parts`` (s, p, 2, t) those (p, 2, t) at the strengths ``best`` (f, t) of the folds that test."""
    result = np.zeros(parts.shape[1:], dtype=np.int64)
    for number, inner in enumerate(splits.inner):
        for side, (tester, _) in enumerate(reversed(inner.validate)):
            result[number, side] = np.take_along_axis(parts[:, number, side], best[tester][None], 0)[0]
    return result


def _batches(features: Features, tasks: TaskStack, splits: Splits) -> list[tuple[slice, dict[int, int]]]:
    """Batches of inner folds, and of each those whose weights an outer fold takes: from the first that it uses."""
    batch = batch_of_designs(features, tasks)
    served: set[int] = set()
    found = []
    for first in range(0, len(splits.inner), batch):
        inner = splits.inner[first : first + batch]
        lenders: dict[int, int] = {}
        for number, fold in enumerate(inner):
            for own, _ in fold.validate:
                if own not in served:
                    served.add(own)
                    lenders[own] = number
        found.append((slice(first, first + len(inner)), lenders))
    return found


def _chosen(lent: Lent, best: IntArray) -> Raw:
    """Of the weights of each strength those of the strengths ``best`` (c,) of each column."""
    coefs, intercepts = (np.stack(values) for values in zip(*lent, strict=True))
    columns = np.arange(len(best))
    return coefs[best, columns], intercepts[best, columns]


class _Path:
    """A batch of inner problems, solved for one strength after the other from the last solution.

    ``lenders``: the inner fold of this batch whose weights each of some outer folds wants kept; ``first``: the number
    of the batch's first inner fold.
    """

    def __init__(
        self,
        features: Features,
        tasks: TaskStack,
        inner: Sequence[InnerFold],
        lenders: dict[int, int],
        *,
        first: int,
    ) -> None:
        rows = np.stack([fold.train for fold in inner])
        held = np.stack([np.logical_or.reduce([validated for _, validated in fold.validate]) for fold in inner])
        rotations, designs = rotated_designs(features, rows)
        self.problems = pose(designs, tasks, strengths=np.ones((len(inner), len(tasks.sizes))))
        self.path = Path(self.problems)
        self.held = stack_designs(features, rotations, held)
        self.labels, self.known = tasks.label_index(self.held.rows), tasks.known(self.held.rows)
        self.codes = tasks.codes[:, self.held.rows].transpose(1, 0, 2)
        self.entropy = self.problems.entropy()
        self.users = [
            [(own, validated[self.held.rows[f]] & self.held.used[f]) for own, validated in fold.validate]
            for f, fold in enumerate(inner)
        ]
        self.lenders, self.first = lenders, first
        self.rotations = rotations
        self.kept: dict[int, Lent] = {own: [] for own in lenders}

    def follow(self, rising: Float64Array, found: Validation, *, last: bool) -> dict[int, Lent]:
        """Add each strength's sums to ``found``; the ``last`` batch ends early where nothing is left to find.

        For each outer fold that this batch lends to: the weights of each strength that was tried.
        """
        going = np.ones(found.hits.shape[1:], dtype=np.bool_)
        for s, strength in enumerate(rising):
            self.advance(float(strength), going, found.at(s))
            if last:
                going = found.standing(s + 1)[1]
            if not going.any():
                break
        return self.kept

    def advance(self, strength: float, going: BoolArray, found: Validation) -> None:
        """Go on to ``strength`` for outer folds and tasks (f, t) still ``going``, and add to ``found``."""
        wanted = np.stack([going[[own for own, _ in users]].any(0) for users in self.users])
        problems = self.problems
        solved = self.path.advance(problems.ridge / strength, rule=PATH_RULE, wanted=wanted)
        logits = self.held.scores(solved.solution) + problems.barrier[:, :, None]
        right = (predict_codes(logits, problems.tasks) == self.codes) & self.known
        losses = np.minimum(exponentials(logits, problems.tasks, self.labels)[2], SCORED_LOSS) * self.known
        unfitted = share(solved.objective, self.entropy)
        for f, users in enumerate(self.users):
            for side, (own, validated) in enumerate(users):
                found.parts[self.first + f, side] = right[f][:, validated].sum(1)
                found.hits[own] += found.parts[self.first + f, side]
                found.losses[own] += losses[f][:, validated].sum(1, dtype=np.float64)
                found.unfitted[own] = np.maximum(found.unfitted[own], unfitted[f])
        for own, number in self.lenders.items():
            width, weights = len(self.rotations[number].spectrum), self.path.solution[number]
            unpadded = np.concatenate([weights[:, :width], weights[:, -1:]], axis=1)
            self.kept[own].append(self.rotations[number].raw_weights(unpadded))
