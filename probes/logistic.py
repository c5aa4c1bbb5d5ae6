"""L2-penalised multinomial logistic regression for many tasks and training sets that share one matrix of features.

The objective is scikit-learn's: C x sum of losses + |w|^2 / 2 on features standardised over the training rows, with an
intercept that is not penalised, and one weight vector for two classes (``LogisticRegression`` behind
``StandardScaler``). It is solved as mean loss + |w|^2 / (2 C n).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcrop.probes.design import FoldDesigns, Rotation, fit_rotation, stack_designs
from outcrop.probes.lbfgs import minimise
from outcrop.probes.metrics import Metrics, measure
from outcrop.probes.online import code_lengths
from outcrop.probes.permutation import permutation_p_values
from outcrop.probes.problems import Problems, Scalar, pose
from outcrop.probes.properties import IntArray, Target
from outcrop.probes.softmax import Float64Array, FloatArray, TaskStack, predict_codes, probabilities
from outcrop.probes.splits import Splits
from outcrop.probes.strengths import Choice, choose_strengths

FIT_TOLERANCE = 1e-3
CONTROL_TOLERANCE = 1e-2
"""Ten times tighter tolerances moved accuracies by 0.08 points on average and those of controls by 0.06, on 21 cells of
432 samples, of which one is 0.23 points; two draws of the control task differ by 1 to 3."""


@dataclass(frozen=True)
class LinearWeights:
    """A linear classifier of the raw features: scores = x @ ``coef``.T + ``intercept``; (k, d) and (k,)."""

    coef: FloatArray
    intercept: FloatArray


@dataclass(frozen=True)
class CellFit:
    """Probes of one matrix of features.

    ``predicted`` (t, n): out-of-fold class codes; ``controls`` (t, draws, n): the same of the control tasks;
    ``metrics``: per task, of the out-of-fold probabilities; ``strengths`` (f, t): C chosen for each outer fold;
    ``weights``: per task the probe of all rows at its median strength; ``gap`` (f + 1, t): bound on the excess over
    the optimum, relative to the objective; ``p_values`` (t,), NaN without permutations; ``code_lengths`` (t,), bits per
    sample, NaN without portions.
    """

    predicted: IntArray
    controls: IntArray
    metrics: tuple[Metrics, ...]
    strengths: Float64Array
    weights: tuple[LinearWeights, ...]
    gap: Float64Array
    p_values: Float64Array
    code_lengths: Float64Array


def cross_validate(
    features: FloatArray,
    targets: Sequence[Target],
    splits: Splits,
    *,
    strengths: Sequence[float],
    controls: Sequence[Sequence[Target]] = (),
    permuted: Sequence[IntArray] = (),
    portions: IntArray | None = None,
) -> CellFit:
    """Choose strengths inside each outer training fold, fit, and predict every row out of fold.

    ``features`` (n, d) finite, float32 or float64. ``controls``: the same number of control tasks for each target.
    They are fitted at the strengths chosen for it: what counts is how far the *same* probe gets without the property.
    ``permuted``: codes of each target as of :func:`outcrop.probes.permutation.permuted_codes`, for p-values.
    ``portions`` (n,) as of :func:`outcrop.probes.online.deal_portions`, for code lengths.
    """
    tasks = TaskStack.of(targets)
    choice = choose_strengths(features, tasks, splits, strengths=strengths)
    median = np.quantile(choice.strengths, 0.5, axis=0, method="lower")
    rows = np.stack([*(fold.train for fold in splits.folds), np.ones(len(features), dtype=np.bool_)])
    rotations = [fit_rotation(features[train]) for train in rows]
    designs = stack_designs(features, rotations, rows)
    tested = stack_designs(features, rotations, np.stack([fold.test for fold in splits.folds]))
    problems = pose(designs, tasks, strengths=np.concatenate([choice.strengths, median[None]]))
    fitted = minimise(problems, _start(problems, rotations, choice), tolerance=FIT_TOLERANCE)
    logits = _test_logits(problems, fitted.solution, tested)
    weights = _raw_weights(fitted.solution[-1], rotations[-1], tasks)
    nothing = np.full(len(targets), np.nan)
    p_values = permutation_p_values(designs, tested, targets, permuted) if permuted else nothing
    lengths = nothing if portions is None else code_lengths(features, tasks, portions, strengths=strengths)
    return CellFit(
        _by_sample(predict_codes(logits, tasks), tested, rows=len(features)),
        _control_predictions(designs, tested, controls, strengths=choice.strengths, rows=len(features)),
        _measure(_by_sample(probabilities(logits, tasks), tested, rows=len(features)), targets, tasks),
        choice.strengths,
        weights,
        fitted.gap / fitted.objective,
        p_values,
        lengths,
    )


def _start(problems: Problems, rotations: Sequence[Rotation], choice: Choice) -> FloatArray:
    """The weights of inner folds at the chosen strengths; the probe of all rows starts from the first of them."""
    start = problems.start_at_frequencies()
    for own, rotation, (other, weights) in zip(start, rotations, (*choice.near, choice.near[0]), strict=True):
        lent = np.concatenate([weights[:, : len(other.spectrum)], weights[:, -1:]], axis=1)
        moved = rotation.moved_from(other, lent)
        own[:, : moved.shape[1] - 1], own[:, -1] = moved[:, :-1], moved[:, -1]
    return start


def _control_predictions(
    designs: FoldDesigns,
    tested: FoldDesigns,
    controls: Sequence[Sequence[Target]],
    *,
    strengths: Float64Array,
    rows: int,
) -> IntArray:
    """Out-of-fold codes (t, draws, n) of control tasks at ``strengths`` (f, t) on all but the last of ``designs``."""
    draws = len(controls[0]) if controls else 0
    if not draws:
        return np.zeros((strengths.shape[1], 0, rows), dtype=np.int64)
    tasks = TaskStack.of([control for own in controls for control in own])
    outer = designs.take(np.arange(len(strengths)))
    problems = pose(outer, tasks, strengths=np.repeat(strengths, draws, axis=1))
    fitted = minimise(problems, problems.start_at_frequencies(), tolerance=CONTROL_TOLERANCE)
    predicted = predict_codes(_test_logits(problems, fitted.solution, tested), tasks)
    return _by_sample(predicted, tested, rows=rows).reshape(len(controls), draws, rows)


def _test_logits(problems: Problems, solution: FloatArray, tested: FoldDesigns) -> FloatArray:
    """Logits (f, c, m) of the tested rows by the weights (f, c, r + 1) of their fold; ``solution`` may have more."""
    folds = len(tested.rows)
    logits: FloatArray = solution[:folds] @ tested.coordinates + problems.barrier[:folds, :, None]
    return logits


def _by_sample(values: NDArray[Scalar], tested: FoldDesigns, *, rows: int) -> NDArray[Scalar]:
    """(x, n) of ``values`` (f, x, m) of the tested rows."""
    result = np.zeros((values.shape[1], rows), dtype=values.dtype)
    for fold, index, used in zip(values, tested.rows, tested.used, strict=True):
        result[:, index[used]] = fold[:, used]
    return result


def _measure(shares: FloatArray, targets: Sequence[Target], tasks: TaskStack) -> tuple[Metrics, ...]:
    """Metrics of each task from probabilities (c, n)."""
    bounds = zip(tasks.bounds[:-1], tasks.bounds[1:], strict=True)
    return tuple(
        measure(shares[first:end, target.known].T, target.codes[target.known])
        for (first, end), target in zip(bounds, targets, strict=True)
    )


def _raw_weights(solution: FloatArray, rotation: Rotation, tasks: TaskStack) -> tuple[LinearWeights, ...]:
    """Weights (c, r + 1) in the units of the raw features."""
    width = len(rotation.spectrum)
    result = []
    for start, size in zip(tasks.starts, tasks.sizes, strict=True):
        own = solution[start : start + size]
        coef, intercept = rotation.raw_weights(np.concatenate([own[:, :width], own[:, -1:]], axis=1))
        result.append(LinearWeights(coef, intercept - intercept.mean()))
    return tuple(result)
