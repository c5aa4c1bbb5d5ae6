"""The best combination of a few solutions: where a path over penalties goes on.

From one penalty to the next the weights move almost in a line of their last moves. Logits are linear in the weights, so
that the objective of any combination of past solutions needs no product with the features: Newton's method in two or
three coefficients finds where the next search should start, for about the cost of a step of that search.
"""

import numpy as np

from outcrop.probes.compiled import compiled, exponential, log_one_plus
from outcrop.probes.kernels import BLOCK, BoolArray, CodeArray, Float64Array, FloatArray, IndexArray

STEPS = 5
HALVINGS = 4
ENOUGH = 1e-6
"""Newton's method ends where a step promises less than this share of the objective."""


@compiled
def combine(
    logits: FloatArray,
    norms: Float64Array,
    active: BoolArray,
    bounds: IndexArray,
    codes: CodeArray,
    weights: FloatArray,
    coefficients: Float64Array,
) -> None:
    """Minimise the objective of sum_i coefficient_i x solution_i over the coefficients (f, t, b), in place.

    ``logits`` (b, f, c, m) of the solutions, ``norms`` (f, t, b, b) their ridge-weighted inner products; the rest as in
    :mod:`outcrop.probes.kernels`. Newton steps are halved until they descend; without any the coefficients stay.
    """
    b = logits.shape[0]
    for f in range(active.shape[0]):
        for t in range(active.shape[1]):
            if not active[f, t]:
                continue
            stack, norm = logits[:, f, bounds[t] : bounds[t + 1]], norms[f, t]
            now, then = np.empty(b), np.empty(b)
            for i in range(b):
                now[i] = coefficients[f, t, i]
            slope, bend, slope_then, bend_then = np.zeros(b), np.zeros((b, b)), np.zeros(b), np.zeros((b, b))
            value = _moments(stack, norm, codes[f, t], weights[f, t], now, slope, bend)
            for _ in range(STEPS):
                step = _newton_step(slope, bend)
                promised = 0.0
                for i in range(b):
                    promised -= step[i] * slope[i]
                if promised <= ENOUGH * value:
                    break
                better = False
                for halving in range(HALVINGS):
                    for i in range(b):
                        then[i] = now[i] + step[i] * 0.4**halving
                    value_then = _moments(stack, norm, codes[f, t], weights[f, t], then, slope_then, bend_then)
                    if value_then < value and then[0] > 0:
                        better = True
                        break
                if not better:
                    break
                now, then, value = then, now, value_then
                slope, slope_then, bend, bend_then = slope_then, slope, bend_then, bend
            for i in range(b):
                coefficients[f, t, i] = now[i]


@compiled
def _moments(
    stack: FloatArray,
    norm: Float64Array,
    code: CodeArray,
    weight: FloatArray,
    at: Float64Array,
    slope: Float64Array,
    bend: Float64Array,
) -> float:
    """Objective at ``at`` (b,), its ``slope`` (b,) and curvature ``bend`` (b, b), of one problem's ``stack`` (b, k, m).

    All logits are taken relative to the row's own class: what cancels in rows that are fitted then cancels exactly.
    """
    b, k, m = stack.shape
    real = stack.dtype.type
    own, apart = np.empty((b, BLOCK), stack.dtype), np.empty((b, BLOCK), stack.dtype)
    power, top, rest = np.empty((k, BLOCK), stack.dtype), np.empty(BLOCK, stack.dtype), np.empty(BLOCK, stack.dtype)
    mean, square = np.empty((b, BLOCK), stack.dtype), np.empty((b, b, BLOCK), stack.dtype)
    total = np.zeros(BLOCK, np.float64)
    for i in range(b):
        slope[i] = 0
        for h in range(b):
            bend[i, h] = 0
    for start in range(0, m, BLOCK):
        n = min(BLOCK, m - start)
        for j in range(n):
            top[j], rest[j] = 0, 0
        for i in range(b):
            for j in range(n):
                mean[i, j] = 0
            for h in range(i + 1):
                for j in range(n):
                    square[i, h, j] = 0
        for i in range(b):
            for j in range(n):
                own[i, j] = stack[i, code[start + j], start + j]
        for c in range(k):
            row = power[c]
            for j in range(n):
                row[j] = 0
            for i in range(b):
                z, mine, factor = stack[i, c, start : start + n], own[i], real(at[i])
                for j in range(n):
                    row[j] += factor * (z[j] - mine[j])
            for j in range(n):
                top[j] = max(row[j], top[j])
        for c in range(k):
            row = power[c]
            for j in range(n):
                value = exponential(row[j] - top[j])
                value = real(0) if code[start + j] == c else value
                row[j] = value
                rest[j] += value
        for j in range(n):
            share = exponential(-top[j])
            total[j] += weight[start + j] * (log_one_plus(rest[j] + (share - real(1))) + top[j])
            rest[j] = 1 / (rest[j] + share)
        for c in range(k):
            row = power[c]
            for i in range(b):
                z, mine, difference, average = stack[i, c, start : start + n], own[i], apart[i], mean[i]
                for j in range(n):
                    difference[j] = z[j] - mine[j]
                    average[j] += row[j] * difference[j]
                for h in range(i + 1):
                    other, product = apart[h], square[i, h]
                    for j in range(n):
                        product[j] += row[j] * difference[j] * other[j]
        for i in range(b):
            for j in range(n):
                mean[i, j] *= rest[j]
                slope[i] += weight[start + j] * mean[i, j]
            for h in range(i + 1):
                for j in range(n):
                    bend[i, h] += weight[start + j] * (square[i, h, j] * rest[j] - mean[i, j] * mean[h, j])
    reached = 0.0
    for j in range(BLOCK):
        reached += total[j]
    for i in range(b):
        for h in range(b):
            if h > i:
                bend[i, h] = bend[h, i]
    for i in range(b):
        for h in range(b):
            bend[i, h] += norm[i, h]
            slope[i] += norm[i, h] * at[h]
            reached += 0.5 * norm[i, h] * at[i] * at[h]
    return reached


@compiled
def _newton_step(slope: Float64Array, bend: Float64Array) -> Float64Array:
    """Minus ``slope`` (b,) by ``bend`` (b, b): Gaussian elimination, with a trace of damping against rounding."""
    b = len(slope)
    left, right = np.empty((b, b)), np.empty(b)
    for i in range(b):
        right[i] = -slope[i]
        for h in range(b):
            left[i, h] = bend[i, h]
        left[i, i] = left[i, i] * (1 + 1e-6) + 1e-300
    for i in range(b):
        for h in range(i + 1, b):
            factor = left[h, i] / left[i, i]
            for j in range(b):
                left[h, j] -= factor * left[i, j]
            right[h] -= factor * right[i]
    for i in range(b - 1, -1, -1):
        for h in range(i + 1, b):
            right[i] -= left[i, h] * right[h]
        right[i] /= left[i, i]
    return right
