"""The choice of each outer fold's strength, on folds inside its training rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from outcrop.probes.design import Rotation, fit_rotation, stack_designs
from outcrop.probes.lbfgs import minimise
from outcrop.probes.problems import pose
from outcrop.probes.softmax import BoolArray, Float64Array, FloatArray, TaskStack, exponentials
from outcrop.probes.splits import InnerFold, Splits

SCORED_LOSS = 20.0
"""Validation losses of a row are cut off here: a class that the inner training rows lack must not count infinitely."""

PATH_TOLERANCE = 1e-2
"""How closely problems are solved while strengths are compared (see ``minimise``).

On ten synthetic cells of three properties, a hundred times tighter chose the same strength in 99 % of the folds, with
accuracies within one sample of 432; ten times looser moved an accuracy by 5 points.
"""

PATIENCE = 2
WORSE = 1.2
"""A path ends after ``PATIENCE`` strengths in a row whose validation loss is this many times the least so far.

In a balanced design the loss may rise by some per cent before it falls: without a margin the path would end there.
"""

DESIGN_BYTES = 256 * 2**20
"""Inner designs are built and solved in batches of at most this size."""


@dataclass(frozen=True)
class Choice:
    """What validation inside the training rows of f outer folds says.

    ``losses`` (f, t, s): summed over rows, for each task and strength, rising; inf past a path's end. ``strengths``
    (f, t): those of least loss, the strongest penalty of equals. ``near``: for each outer fold, a rotation fitted
    inside its training rows and weights (c, r + 1) in its coordinates that are optimal there at these strengths.
    """

    losses: Float64Array
    strengths: Float64Array
    near: tuple[tuple[Rotation, FloatArray], ...]


def choose_strengths(features: FloatArray, tasks: TaskStack, splits: Splits, *, strengths: Sequence[float]) -> Choice:
    """Follow ``strengths`` from strong penalty to weak on every inner fold of ``features`` (n, d)."""
    rising = sorted(strengths)
    paths = list(_paths(features, tasks, splits))
    losses = np.full((len(splits.folds), len(tasks.sizes), len(rising)), np.inf)
    waited = np.zeros(losses.shape[:2], dtype=np.int64)
    for s, strength in enumerate(rising):
        going = waited < PATIENCE
        if not going.any():
            break
        sums = np.zeros(going.shape)
        for path in paths:
            path.advance(strength, going, sums)
        least = losses[:, :, :s].min(2, initial=np.inf)
        losses[going, s] = sums[going]
        waited = np.where(going, np.where(sums > WORSE * least, waited + 1, 0), waited)
        better = going & (sums < least)
        for path in paths:
            path.keep(better)
    near = {own: kept for path in paths for own, kept in path.near().items()}
    chosen = np.asarray(rising)[losses.argmin(2)]
    return Choice(losses, chosen, tuple(near[own] for own in range(len(splits.folds))))


def _paths(features: FloatArray, tasks: TaskStack, splits: Splits) -> Iterator["_Path"]:
    """Batches of inner folds; each outer fold takes the weights near its own from the first inner fold it uses."""
    batch = max(1, DESIGN_BYTES // (features.itemsize * len(features) * (min(features.shape) + 1)))
    served: set[int] = set()
    for first in range(0, len(splits.inner), batch):
        inner = splits.inner[first : first + batch]
        lenders: dict[int, int] = {}
        for number, fold in enumerate(inner):
            for own, _ in fold.validate:
                if own not in served:
                    served.add(own)
                    lenders[own] = number
        yield _Path(features, tasks, inner, lenders)


class _Path:
    """A batch of inner problems, solved for one strength after the other from the last solution.

    ``lenders``: the inner fold of this batch whose weights each of some outer folds wants kept.
    """

    def __init__(
        self, features: FloatArray, tasks: TaskStack, inner: Sequence[InnerFold], lenders: dict[int, int]
    ) -> None:
        rows = np.stack([fold.train for fold in inner])
        held = np.stack([np.logical_or.reduce([validated for _, validated in fold.validate]) for fold in inner])
        rotations = [fit_rotation(features[train]) for train in rows]
        designs = stack_designs(features, rotations, rows)
        self.problems = pose(designs, tasks, strengths=np.ones((len(inner), len(tasks.sizes))))
        self.solution = self.problems.start_at_frequencies()
        self.held = stack_designs(features, rotations, held)
        self.labels, self.known = tasks.label_index(self.held.rows), tasks.known(self.held.rows)
        self.users = [
            [(own, validated[self.held.rows[f]] & self.held.used[f]) for own, validated in fold.validate]
            for f, fold in enumerate(inner)
        ]
        self.lenders = lenders
        self.rotations = {number: rotations[number] for number in lenders.values()}
        self.kept = {own: self.solution[number].copy() for own, number in lenders.items()}

    def advance(self, strength: float, going: BoolArray, sums: Float64Array) -> None:
        """Go on to ``strength`` for outer folds and tasks (f, t) still ``going``; add validation losses to ``sums``."""
        wanted = np.stack([going[[own for own, _ in users]].any(0) for users in self.users])
        problems = self.problems.with_ridge(self.problems.ridge / strength)
        found = minimise(problems, self.solution, tolerance=PATH_TOLERANCE, open_problems=wanted)
        self.solution = found.solution
        logits = self.solution @ self.held.coordinates + problems.barrier[:, :, None]
        losses = np.minimum(exponentials(logits, problems.tasks, self.labels)[2], SCORED_LOSS) * self.known
        for loss, users in zip(losses, self.users, strict=True):
            for own, validated in users:
                sums[own] += loss[:, validated].sum(1, dtype=np.float64)

    def keep(self, better: BoolArray) -> None:
        """Keep the present weights for the outer folds and tasks (f, t) that are ``better`` off with them."""
        for own, number in self.lenders.items():
            columns = better[own, self.problems.tasks.owner]
            self.kept[own][columns] = self.solution[number, columns]

    def near(self) -> dict[int, tuple[Rotation, FloatArray]]:
        """For each outer fold that this batch lends to: rotation, and weights (c, r + 1) in its coordinates."""
        return {own: (self.rotations[number], self.kept[own]) for own, number in self.lenders.items()}
