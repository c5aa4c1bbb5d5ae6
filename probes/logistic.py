"""L2-penalised multinomial logistic regression for many tasks and training sets that share one matrix of features.

The objective is scikit-learn's: C x sum of losses + |w|^2 / 2 on features standardised over the training rows, with an
intercept that is not penalised, and one weight vector for two classes (``LogisticRegression`` behind
``StandardScaler``). It is solved as mean loss + |w|^2 / (2 C n).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcrop.probes.dependence import shared_variance
from outcrop.probes.design import Designs, Features, Rotation, rotated_designs, stack_designs
from outcrop.probes.lbfgs import Rule, minimise
from outcrop.probes.metrics import Metrics, measure
from outcrop.probes.online import code_lengths
from outcrop.probes.path import Path
from outcrop.probes.permutation import permutation_hits, permutation_p_value
from outcrop.probes.problems import Problems, Scalar, pose
from outcrop.probes.properties import IntArray, Target
from outcrop.probes.softmax import Float64Array, FloatArray, TaskStack, predict_codes, probabilities, share
from outcrop.probes.splits import Fold, Splits
from outcrop.probes.strengths import Choice, Raw, batch_of_designs, choose_strengths

FIT_RULE = Rule(1e-4)
CONTROL_RULE = Rule(1e-2)
"""Ten times tighter tolerances moved accuracies by 0.08 points on average and those of controls by 0.06, on 21 cells of
432 samples, of which one is 0.23 points; two draws of the control task differ by 1 to 3."""

EASINGS = (1e-2, 0.1, 1.0)
"""Controls get to their strength by way of these shares of it, in fewer steps than straight away."""


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
    sample, NaN without portions; ``shared`` (t,): variance of the number of hits that folds owe to each other
    (:mod:`outcrop.probes.dependence`).
    """

    predicted: IntArray
    controls: IntArray
    metrics: tuple[Metrics, ...]
    strengths: Float64Array
    weights: tuple[LinearWeights, ...]
    gap: Float64Array
    p_values: Float64Array
    code_lengths: Float64Array
    shared: Float64Array


def cross_validate(
    features: Features,
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
    batch = batch_of_designs(features, tasks)
    choice = choose_strengths(features, tasks, splits, strengths=strengths)
    draws = [TaskStack.of(drawn) for drawn in zip(*controls, strict=True)]
    tested = list(zip(targets, permuted, strict=True)) if permuted else []
    rows = _OutOfFold(features, tasks, choice, controls=draws, permuted=tested)
    gaps = [rows.test(splits.folds, slice(at, at + batch)) for at in range(0, len(splits.folds), batch)]
    weights, gap = _fit_all(features, tasks, choice)
    nothing = np.full(len(targets), np.nan)
    p_values = [permutation_p_value(found, codes) for found, codes in zip(rows.hits, permuted, strict=True)]
    lengths = nothing if portions is None else code_lengths(features, tasks, portions, strengths=strengths)
    shared = shared_variance(rows.predicted[0] == tasks.codes, splits, choice.apart)
    return CellFit(
        rows.predicted[0],
        rows.predicted[1:].transpose(1, 0, 2),
        measure_all(rows.shares, targets, tasks),
        choice.strengths,
        weights,
        np.concatenate([*gaps, gap]),
        np.array(p_values) if permuted else nothing,
        lengths,
        shared,
    )


class _OutOfFold:
    """What probes say of rows that they were not fitted on, filled in batch by batch of outer folds.

    ``shares`` (c, n): probabilities; ``predicted`` (1 + draws, t, n): codes of the tasks and of each draw of controls;
    ``hits``: for each of ``permuted`` (p,), rows that are right for each of its codes.
    """

    def __init__(
        self,
        features: Features,
        tasks: TaskStack,
        choice: Choice,
        *,
        controls: Sequence[TaskStack],
        permuted: Sequence[tuple[Target, IntArray]],
    ) -> None:
        self.features, self.tasks, self.choice, self.controls, self.permuted = (
            features,
            tasks,
            choice,
            controls,
            permuted,
        )
        self.shares = np.zeros((sum(tasks.sizes), len(features)), dtype=features.dtype)
        self.predicted = np.zeros((1 + len(controls), len(tasks.sizes), len(features)), dtype=np.int64)
        self.hits = [np.zeros(len(codes), dtype=np.int64) for _, codes in permuted]

    def test(self, folds: Sequence[Fold], batch: slice) -> Float64Array:
        """Fit a batch of ``folds`` and predict their test rows; bounds (f, t) on the excess of their objectives."""
        rotations, designs = rotated_designs(self.features, np.stack([fold.train for fold in folds[batch]]))
        tested = stack_designs(self.features, rotations, np.stack([fold.test for fold in folds[batch]]))
        strengths, near = self.choice.strengths[batch], self.choice.near[batch]
        problems = pose(designs, self.tasks, strengths=strengths)
        fitted = minimise(problems, _start(problems, rotations, near), rule=FIT_RULE)
        logits = _test_logits(problems, fitted.solution, tested)
        _by_sample(probabilities(logits, self.tasks), tested, result=self.shares)
        _by_sample(predict_codes(logits, self.tasks), tested, result=self.predicted[0])
        for draw, controls in enumerate(self.controls, start=1):
            _by_sample(_control_codes(designs, tested, controls, strengths), tested, result=self.predicted[draw])
        for number, (target, codes) in enumerate(self.permuted):
            self.hits[number] += permutation_hits(designs, tested, target, codes)
        return np.asarray(share(fitted.gap, fitted.objective))


def _fit_all(features: Features, tasks: TaskStack, choice: Choice) -> tuple[tuple[LinearWeights, ...], Float64Array]:
    """The probes of all rows at the median strengths, and their gaps (1, t) relative to the objective."""
    strengths = np.quantile(choice.strengths, 0.5, axis=0, method="lower")
    rotations, designs = rotated_designs(features, np.ones((1, len(features)), dtype=np.bool_))
    problems = pose(designs, tasks, strengths=strengths[None])
    fitted = minimise(problems, _start(problems, rotations, choice.near[:1]), rule=FIT_RULE)
    return _raw_weights(fitted.solution[0], rotations[0], tasks), share(fitted.gap, fitted.objective)


def _start(problems: Problems, rotations: Sequence[Rotation], near: Sequence[Raw]) -> FloatArray:
    """The weights ``near`` each design's own, in its coordinates."""
    start = problems.start_at_frequencies()
    for own, rotation, (coef, intercept) in zip(start, rotations, near, strict=True):
        moved = rotation.from_raw(coef, intercept)
        own[:, : moved.shape[1] - 1], own[:, -1] = moved[:, :-1], moved[:, -1]
    return start


def _control_codes(designs: Designs, tested: Designs, tasks: TaskStack, strengths: Float64Array) -> IntArray:
    """Codes (f, t, m) of the tested rows by control ``tasks`` at the ``strengths`` (f, t) of their properties."""
    problems = pose(designs, tasks, strengths=strengths)
    path = Path(problems)
    for easing in EASINGS:
        found = path.advance(problems.ridge / easing, rule=CONTROL_RULE)
    return predict_codes(_test_logits(problems, found.solution, tested), tasks)


def _test_logits(problems: Problems, solution: FloatArray, tested: Designs) -> FloatArray:
    """Logits (f, c, m) of the tested rows by the weights (f, c, r + 1) of their fold; ``solution`` may have more."""
    folds = len(tested.rows)
    logits: FloatArray = tested.scores(solution[:folds]) + problems.barrier[:folds, :, None]
    return logits


def _by_sample(values: NDArray[Scalar], tested: Designs, *, result: NDArray[Scalar]) -> None:
    """Write ``values`` (f, x, m) of the tested rows into ``result`` (x, n)."""
    for fold, index, used in zip(values, tested.rows, tested.used, strict=True):
        result[:, index[used]] = fold[:, used]


def measure_all(shares: FloatArray, targets: Sequence[Target], tasks: TaskStack) -> tuple[Metrics, ...]:
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
