"""The solver's loops: softmax, L-BFGS recursion and search in a subspace, for all designs and tasks of a batch.

Arrays are of f designs, t tasks with their classes side by side as c columns, m rows, and r coordinates and an
intercept. ``bounds`` (t + 1,): columns of each task; ``codes`` (f, t, m): class of each row; ``weights`` (f, t, m): its
weight, 0 where it does not count; ``active`` (f, t): problems to work on, the others stay as they are.

The probability that a row's own class lacks is summed over the other classes. One minus its probability would be noise
in float32 once the rows are fitted, and so would loss and gradient under a weak penalty.
"""

import numpy as np
from numpy.typing import NDArray

from outcrop.probes.compiled import compiled, compiled_sum, exponential, log_one_plus

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.floating]
Float64Array = NDArray[np.float64]
CodeArray = NDArray[np.int32]
IndexArray = NDArray[np.int64]

BLOCK = 256
"""Rows worked on at once: what one task needs of them stays in the first-level cache."""


@compiled
def evaluate(
    logits: FloatArray,
    change: FloatArray,
    lengths: Float64Array,
    active: BoolArray,
    bounds: IndexArray,
    codes: CodeArray,
    weights: FloatArray,
    residuals: FloatArray,
    losses: Float64Array,
) -> None:
    """Weighted losses (f, t) at ``logits`` + ``lengths`` x ``change`` (f, c, m); ``residuals``: their derivative."""
    m = logits.shape[2]
    real = logits.dtype.type
    top, rest, own = np.empty(BLOCK, logits.dtype), np.empty(BLOCK, logits.dtype), np.empty(BLOCK, logits.dtype)
    total = np.empty(BLOCK, np.float64)
    for f in range(active.shape[0]):
        for t in range(active.shape[1]):
            if not active[f, t]:
                continue
            first, end, length = bounds[t], bounds[t + 1], real(lengths[f, t])
            for j in range(BLOCK):
                total[j] = 0
            for start in range(0, m, BLOCK):
                b = min(BLOCK, m - start)
                code, weight = codes[f, t, start : start + b], weights[f, t, start : start + b]
                for j in range(b):
                    top[j] = real(-3e38)
                    rest[j] = real(0)
                for c in range(first, end):
                    z, by, out = (
                        logits[f, c, start : start + b],
                        change[f, c, start : start + b],
                        residuals[f, c, start : start + b],
                    )
                    for j in range(b):
                        value = z[j] + length * by[j]
                        out[j] = value
                        top[j] = max(value, top[j])
                for j in range(b):
                    own[j] = residuals[f, first + code[j], start + j] - top[j]
                for c in range(first, end):
                    out = residuals[f, c, start : start + b]
                    for j in range(b):
                        power = exponential(out[j] - top[j])
                        power = real(0) if code[j] == c - first else power
                        out[j] = power
                        rest[j] += power
                for j in range(b):
                    share = exponential(own[j])
                    total[j] += weight[j] * (log_one_plus(rest[j] + (share - real(1))) - own[j])
                    top[j] = weight[j] / (rest[j] + share)
                    rest[j] = -rest[j] * top[j]
                for c in range(first, end):
                    out = residuals[f, c, start : start + b]
                    for j in range(b):
                        out[j] = rest[j] if code[j] == c - first else out[j] * top[j]
            loss = 0.0
            for j in range(BLOCK):
                loss += total[j]
            losses[f, t] = loss


@compiled_sum
def curvatures(
    residuals: FloatArray, active: BoolArray, bounds: IndexArray, weights: FloatArray, result: FloatArray
) -> None:
    """Weighted mean of p (1 - p) of each column, into (f, c): the residual over the weight is p, or 1 - p, in size."""
    for f in range(active.shape[0]):
        for t in range(active.shape[1]):
            if not active[f, t]:
                continue
            heaviest = weights[f, t, 0]
            for j in range(weights.shape[2]):
                heaviest = max(heaviest, weights[f, t, j])
            inverse = 1 / heaviest if heaviest > 0 else heaviest * 0
            for c in range(bounds[t], bounds[t + 1]):
                out = residuals[f, c]
                total = residuals.dtype.type(0)
                for j in range(out.shape[0]):
                    size = abs(out[j])
                    total += size * (1 - size * inverse)
                result[f, c] = max(total, residuals.dtype.type(1e-30))


@compiled_sum
def settle(
    gradient: FloatArray,
    solution: FloatArray,
    ridges: Float64Array,
    active: BoolArray,
    bounds: IndexArray,
    curvature: FloatArray,
    gaps: Float64Array,
) -> None:
    """Add the penalty's part to ``gradient`` (f, c, r + 1); ``gaps`` (f, t): bounds on the excess of the objectives.

    |gradient|^2 / (2 ridge) for the weights; for the intercepts, which bear no penalty, an estimate by the curvature.
    """
    r = gradient.shape[2] - 1
    for f in range(active.shape[0]):
        for t in range(active.shape[1]):
            if not active[f, t]:
                continue
            ridge, gap = gradient.dtype.type(ridges[f, t]), np.float64(0)
            for c in range(bounds[t], bounds[t + 1]):
                own, at = gradient[f, c], solution[f, c]
                total = gradient.dtype.type(0)
                for j in range(r):
                    value = own[j] + ridge * at[j]
                    own[j] = value
                    total += value * value
                gap += total / ridges[f, t] + own[r] * own[r] / np.float64(curvature[f, c])
            gaps[f, t] = gap / 2


@compiled_sum
def _dot(first: FloatArray, second: FloatArray) -> float:
    total: float = 0.0
    for c in range(first.shape[0]):
        one, two = first[c], second[c]
        part = first.dtype.type(0)
        for j in range(one.shape[0]):
            part += one[j] * two[j]
        total += float(part)
    return total


@compiled_sum
def _add(target: FloatArray, factor: float, other: FloatArray) -> None:
    scale = target.dtype.type(factor)
    for c in range(target.shape[0]):
        own, by = target[c], other[c]
        for j in range(own.shape[0]):
            own[j] += scale * by[j]


@compiled_sum
def _guess(target: FloatArray, scale: float, curvature: FloatArray, spectrum: FloatArray, ridge: float) -> None:
    """Multiply by scale / (curvature_c spectrum_j + ridge), without ridge for the intercept."""
    real, r = target.dtype.type, target.shape[1] - 1
    factor, penalty = real(scale), real(ridge)
    for c in range(target.shape[0]):
        own, bend = target[c], curvature[c]
        for j in range(r):
            own[j] = own[j] * factor / (bend * spectrum[j] + penalty)
        own[r] = own[r] * factor / bend


@compiled_sum
def directions(
    gradient: FloatArray,
    moves: FloatArray,
    turns: FloatArray,
    inverses: Float64Array,
    order: IndexArray,
    scale: Float64Array,
    curvature: FloatArray,
    spectrum: FloatArray,
    ridges: Float64Array,
    active: BoolArray,
    bounds: IndexArray,
    result: FloatArray,
    slopes: Float64Array,
) -> None:
    """Minus the inverse curvature of L-BFGS times ``gradient``, 0 where not active; its ``slopes`` (f, t)."""
    shares = np.zeros(moves.shape[0])
    for f in range(active.shape[0]):
        for t in range(active.shape[1]):
            first, end = bounds[t], bounds[t + 1]
            own = result[f, first:end]
            for c in range(own.shape[0]):
                for j in range(own.shape[1]):
                    own[c, j] = gradient[f, first + c, j] if active[f, t] else 0
            if not active[f, t]:
                continue
            for i in range(order.shape[0] - 1, -1, -1):
                at = order[i]
                if inverses[at, f, t] > 0:
                    shares[at] = inverses[at, f, t] * _dot(moves[at, f, first:end], own)
                    _add(own, -shares[at], turns[at, f, first:end])
            _guess(own, -scale[f, t], curvature[f, first:end], spectrum[f], ridges[f, t])
            for i in range(order.shape[0]):
                at = order[i]
                if inverses[at, f, t] > 0:
                    left = -shares[at] - inverses[at, f, t] * _dot(turns[at, f, first:end], own)
                    _add(own, left, moves[at, f, first:end])
            _level(own, gradient[f, first:end])
            slopes[f, t] = _dot(gradient[f, first:end], own)


@compiled
def _level(own: FloatArray, gradient: FloatArray) -> None:
    """Take off what the intercepts (k, r + 1)[:, -1] of the classes that are there, those with a gradient, share.

    It tells no class from another, and no penalty holds it: in a few rows that are fitted it would grow until the
    logits had no digit left for what tells them apart.
    """
    shared, there, last = 0.0, 0, own.shape[1] - 1
    for c in range(own.shape[0]):
        if gradient[c, last] != 0:
            shared += own[c, last]
            there += 1
    for c in range(own.shape[0]):
        if gradient[c, last] != 0:
            own[c, last] -= own.dtype.type(shared / there)


@compiled_sum
def remember(
    lengths: Float64Array,
    direction: FloatArray,
    before: FloatArray,
    after: FloatArray,
    curvature: FloatArray,
    spectrum: FloatArray,
    ridges: Float64Array,
    active: BoolArray,
    bounds: IndexArray,
    move: FloatArray,
    turn: FloatArray,
    inverse: Float64Array,
    scale: Float64Array,
) -> None:
    """Write the step and the turn of the gradient as a pair; ``scale``: how far the first guess was off along it."""
    r = move.shape[2] - 1
    for f in range(active.shape[0]):
        for t in range(active.shape[1]):
            inverse[f, t] = 0
            if not active[f, t]:
                continue
            length, ridge = move.dtype.type(lengths[f, t]), move.dtype.type(ridges[f, t])
            product, guessed = np.float64(0), np.float64(0)
            for c in range(bounds[t], bounds[t + 1]):
                step, bend, to = move[f, c], turn[f, c], direction[f, c]
                old, new, curve = before[f, c], after[f, c], curvature[f, c]
                along, across = move.dtype.type(0), move.dtype.type(0)
                for j in range(r + 1):
                    step[j] = length * to[j]
                    bend[j] = new[j] - old[j]
                    along += step[j] * bend[j]
                for j in range(r):
                    across += bend[j] * bend[j] / (curve * spectrum[f, j] + ridge)
                product += along
                guessed += across + bend[r] * bend[r] / curve
            if product > 1e-300 and guessed > 0:
                inverse[f, t] = 1 / product
                scale[f, t] = product / guessed
