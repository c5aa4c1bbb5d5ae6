"""The compiled loops against the formulas they stand for."""

import numpy as np
import pandas as pd
import pytest

from outcrop.probes import kernels
from outcrop.probes.combination import combine
from outcrop.probes.compiled import compiled, exponential, log_one_plus
from outcrop.probes.kernels import curvatures, evaluate
from outcrop.probes.logistic import cross_validate
from outcrop.probes.properties import encode
from outcrop.probes.softmax import TaskStack
from outcrop.probes.spec import STRENGTHS
from outcrop.probes.splits import make_splits

SIZES, ROWS = (2, 5), 300


def softmax_of(logits: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Losses (m,) and residuals (k, m) in float64."""
    z = logits.astype(np.float64)
    logs = z - np.logaddexp.reduce(z, axis=0)
    residuals = np.exp(logs)
    own, others = np.arange(len(codes)), np.arange(len(z))[:, None] != codes
    residuals[codes, own] = -np.where(others, residuals, 0).sum(0)
    return np.log1p(np.where(others, np.exp(z - z[codes, own]), 0).sum(0)), residuals


def draw(dtype: type, *, certainty: float) -> tuple[TaskStack, np.ndarray, np.ndarray, np.ndarray]:
    """Tasks, logits (1, c, m) that favour each row's class by ``certainty``, codes and weights (1, t, m)."""
    rng = np.random.default_rng(0)
    codes = np.stack([rng.integers(size, size=ROWS) for size in SIZES]).astype(np.int64)
    tasks = TaskStack(codes, SIZES)
    logits = rng.standard_normal((1, sum(SIZES), ROWS))
    for start, row in zip(tasks.starts, codes, strict=True):
        logits[0, start + row, np.arange(ROWS)] += certainty
    weights = np.where(rng.random((1, 2, ROWS)) < 0.2, 0, 1 / ROWS)
    return tasks, logits.astype(dtype), codes[None].astype(np.int32), weights.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("certainty", [0.0, 8.0, 14.0])
def test_loss_and_residuals_keep_their_digits_where_rows_are_fitted(dtype: type, certainty: float) -> None:
    tasks, logits, codes, weights = draw(dtype, certainty=certainty)
    change = (0.1 * logits).astype(dtype)
    lengths, active = np.array([[0.0, 0.5]]), np.ones((1, 2), dtype=bool)
    residuals, losses = np.zeros_like(logits), np.zeros((1, 2))
    evaluate(logits, change, lengths, active, tasks.bounds, codes, weights, residuals, losses)
    curvature = np.zeros(logits.shape[:2], dtype=dtype)
    curvatures(residuals, active, tasks.bounds, weights, curvature)
    for t, (first, end) in enumerate(zip(tasks.bounds[:-1], tasks.bounds[1:], strict=True)):
        at = (logits + dtype(lengths[0, t]) * change)[0, first:end]
        expected, derivative = softmax_of(at, codes[0, t])
        relative = 2e-5 if dtype is np.float32 else 1e-10
        assert losses[0, t] == pytest.approx((expected * weights[0, t]).sum(), rel=relative)
        np.testing.assert_allclose(residuals[0, first:end], derivative * weights[0, t], rtol=relative, atol=1e-30)
        bends = np.abs(derivative) * (1 - np.abs(derivative))
        np.testing.assert_allclose(curvature[0, first:end], (bends * weights[0, t]).sum(1), rtol=1e-4)


def test_a_problem_that_is_not_active_is_left_alone() -> None:
    tasks, logits, codes, weights = draw(np.float32, certainty=1.0)
    residuals, losses = np.full_like(logits, 7), np.full((1, 2), 7.0)
    active = np.array([[False, True]])
    evaluate(logits, logits, np.zeros((1, 2)), active, tasks.bounds, codes, weights, residuals, losses)
    assert (residuals[0, : SIZES[0]] == 7).all()
    assert losses[0, 0] == 7
    assert losses[0, 1] != 7


@compiled
def _powers_and_logs(x: np.ndarray, powers: np.ndarray, logs: np.ndarray) -> None:
    for i in range(len(x)):
        powers[i] = exponential(-x[i])
        logs[i] = log_one_plus(x[i])


def test_powers_and_logs_in_float32_are_within_rounding() -> None:
    x = (10.0 ** np.random.default_rng(0).uniform(-30, 1.9, size=10_000)).astype(np.float32)
    powers, logs = np.empty_like(x), np.empty_like(x)
    _powers_and_logs(x, powers, logs)
    np.testing.assert_allclose(powers, np.exp(-x.astype(np.float64)), rtol=4e-7)
    np.testing.assert_allclose(logs, np.log1p(x.astype(np.float64)), rtol=4e-7)


@pytest.mark.parametrize("count", [2, 3])
def test_the_combination_is_where_the_objective_is_flat(count: int) -> None:
    tasks, first, codes, weights = draw(np.float32, certainty=1.0)
    rng = np.random.default_rng(1)
    stack = np.concatenate([first[None], 0.3 * rng.standard_normal((count - 1, *first.shape)).astype(np.float32)])
    roots = rng.standard_normal((1, 2, count, count))
    norms = 0.01 * roots @ roots.transpose(0, 1, 3, 2)
    found = np.zeros((1, 2, count))
    found[:, :, 0] = 1
    combine(stack, norms, np.ones((1, 2), dtype=bool), tasks.bounds, codes, weights, found)
    for t, (start, end) in enumerate(zip(tasks.bounds[:-1], tasks.bounds[1:], strict=True)):
        at = np.tensordot(found[0, t], stack[:, 0, start:end].astype(np.float64), axes=1)
        residuals = softmax_of(at, codes[0, t])[1] * weights[0, t]
        slope = np.array([(residuals * part).sum() for part in stack[:, 0, start:end]]) + norms[0, t] @ found[0, t]
        assert np.abs(slope).max() < 1e-3


def test_a_sweep_compiles_each_loop_for_one_order_of_memory() -> None:
    """Another order would cost seconds of compilation, and loops that step over memory: also as the batch shrinks."""
    rng, groups = np.random.default_rng(2), np.arange(120) % 12
    targets = [encode(pd.Series(rng.integers(k, size=120)), name=str(k)) for k in (2, 3)]
    splits = make_splits(pd.DataFrame({"template": groups}), targets, group_by=("template",), folds=4, seed=0)
    x = rng.standard_normal((120, 10)).astype(np.float32)
    x[:, 0] += 20 * targets[0].codes  # one property is settled long before the other
    cross_validate(x, targets, splits, strengths=STRENGTHS)
    loops = [kernels.evaluate, kernels.curvatures, kernels.settle, kernels.directions, kernels.remember, combine]
    arrays = {
        (loop.__name__, place, kind.layout)
        for loop in loops
        for signature in loop.signatures
        for place, kind in enumerate(signature)
        if hasattr(kind, "layout")
    }
    assert {name for name, _, _ in arrays} >= {"evaluate", "directions", "combine"}
    assert {found for found in arrays if found[2] != "C"} == set()
