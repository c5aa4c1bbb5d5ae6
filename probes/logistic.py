"""L2-penalised multinomial logistic regression for many tasks and training sets that share one matrix of features.

The objective is scikit-learn's: C x sum of losses + |w|^2 / 2 on features standardised over the training rows, with an
intercept that is not penalised, and one weight vector for two classes (``LogisticRegression`` behind
``StandardScaler``). It is solved as mean loss + |w|^2 / (2 C n).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from outcrop.probes.design import FoldDesigns, Rotation, fit_rotation, stack_designs
from outcrop.probes.lbfgs import Minimum, minimise
from outcrop.probes.problems import Problems, pose
from outcrop.probes.properties import IntArray, Target
from outcrop.probes.softmax import Float64Array, FloatArray, TaskStack, predict_codes, row_losses
from outcrop.probes.splits import BoolArray, Splits

SCORED_LOSS = 20.0
"""Validation losses of a row are cut off here: a class that the inner training rows lack must not count infinitely."""

PATH_TOLERANCE = 1e-3
FIT_TOLERANCE = 1e-4
APPROACH = (512.0, 64.0, 8.0)
APPROACH_TOLERANCE = 1e-2
PATIENCE = 2
"""A problem's path ends after this many strengths in a row that did not lower its validation loss."""

DESIGN_BYTES = 256 * 2**20
"""Inner designs are built and solved in batches of at most this size."""


@dataclass(frozen=True)
class LinearWeights:
    """A linear classifier of the raw features: scores = x @ ``coef``.T + ``intercept``; (k, d) and (k,)."""

    coef: FloatArray
    intercept: FloatArray


@dataclass(frozen=True)
class CellFit:
    """Probes of one matrix of features.

    ``predicted`` (t, n): out-of-fold class codes; ``strengths`` (f, t): C chosen for each outer fold; ``weights``: per
    task the probe of all rows at its median strength; ``gap`` (f + 1, t): bound on the excess over the optimum,
    relative to the objective.
    """

    predicted: IntArray
    strengths: Float64Array
    weights: tuple[LinearWeights, ...]
    gap: Float64Array


def cross_validate(
    features: FloatArray, targets: Sequence[Target], splits: Splits, *, strengths: Sequence[float]
) -> CellFit:
    """Choose strengths inside each outer training fold, fit, and predict every row out of fold.

    ``features`` (n, d) finite, float32 or float64; the strength of least mean validation loss is chosen, the strongest
    penalty of equals.
    """
    tasks = TaskStack.of(targets)
    scores = validation_losses(features, tasks, splits, strengths=sorted(strengths))
    chosen = np.asarray(sorted(strengths))[scores.argmin(2)]
    median = np.quantile(chosen, 0.5, axis=0, method="lower")
    rows = np.stack([*(fold.train for fold in splits.folds), np.ones(len(features), dtype=np.bool_)])
    rotations = [fit_rotation(features[train]) for train in rows]
    problems = pose(stack_designs(features, rotations, rows), tasks, strengths=np.concatenate([chosen, median[None]]))
    fitted = minimise(problems, approach(problems), tolerance=FIT_TOLERANCE)
    tested = np.stack([fold.test for fold in splits.folds])
    predicted = predict_codes(fitted.logits[:-1], tasks)[tested.argmax(0), :, np.arange(len(features))].T
    return CellFit(predicted, chosen, _raw_weights(fitted, rotations[-1], tasks), fitted.gap / fitted.objective)


def validation_losses(
    features: FloatArray, tasks: TaskStack, splits: Splits, *, strengths: Sequence[float]
) -> Float64Array:
    """Mean validation loss (f, t, s) of each outer fold, task and strength, strengths rising; inf past a path's end."""
    total = np.full((len(splits.folds), len(tasks.sizes), len(strengths)), np.inf)
    batch = max(1, DESIGN_BYTES // (features.itemsize * len(features) * (min(features.shape) + 1)))
    users = [[own for own, _ in fold.validate] for fold in splits.inner]
    sums = np.zeros_like(total)
    paths = []
    for first in range(0, len(splits.inner), batch):
        rows = np.stack([fold.train for fold in splits.inner[first : first + batch]])
        designs = stack_designs(features, [fit_rotation(features[train]) for train in rows], rows)
        paths.append(_Path(designs, tasks))
    held = [len(path.problems.ridge) for path in paths]
    owners = np.repeat(np.arange(len(paths)), held)
    waited = np.zeros(total.shape[:2], dtype=np.int64)
    for s, strength in enumerate(strengths):
        going = waited < PATIENCE
        if not going.any():
            break
        wanted = np.stack([going[own].any(0) for own in users])
        for p, path in enumerate(paths):
            losses = path.advance(strength, wanted[owners == p])
            for fold, loss in zip(np.asarray(splits.inner, dtype=object)[owners == p], losses, strict=True):
                for own, validated in fold.validate:
                    sums[own, :, s] += (loss * (tasks.known & validated)).sum(1, dtype=np.float64)
        before = total[:, :, :s].min(2) if s else np.full(going.shape, np.inf)
        total[going, s] = sums[going, s]
        waited = np.where(sums[:, :, s] < before, 0, waited + 1)
    return total


class _Path:
    """A batch of inner problems, solved for one strength after the other from the last solution."""

    def __init__(self, designs: FoldDesigns, tasks: TaskStack) -> None:
        self.problems = pose(designs, tasks, strengths=np.ones((len(designs.rows), len(tasks.sizes))))
        self.solution = self.problems.start_at_frequencies()

    def advance(self, strength: float, wanted: BoolArray) -> FloatArray:
        """Losses (f, t, n) of all rows at ``strength``; problems (f, t) that are not ``wanted`` stay as they were."""
        problems = self.problems.with_ridge(self.problems.ridge / strength)
        found = minimise(problems, self.solution, tolerance=PATH_TOLERANCE, open_problems=wanted)
        self.solution = found.solution
        return np.minimum(row_losses(found.logits, problems.tasks), SCORED_LOSS)


def approach(problems: Problems) -> FloatArray:
    """A start for ``problems``: loose solutions under ridges that fall to theirs, the first from class frequencies."""
    start = problems.start_at_frequencies()
    for factor in APPROACH:
        start = minimise(problems.with_ridge(problems.ridge * factor), start, tolerance=APPROACH_TOLERANCE).solution
    return start


def _raw_weights(fitted: Minimum, rotation: Rotation, tasks: TaskStack) -> tuple[LinearWeights, ...]:
    """The last design's weights, in the units of the raw features."""
    width = len(rotation.spectrum)
    result = []
    for _, columns, _ in tasks.columns():
        own = fitted.solution[-1, columns]
        coef, intercept = rotation.raw_weights(np.concatenate([own[:, :width], own[:, -1:]], axis=1))
        result.append(LinearWeights(coef, intercept - intercept.mean()))
    return tuple(result)
