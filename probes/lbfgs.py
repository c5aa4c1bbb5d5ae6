"""Batched, preconditioned L-BFGS for many L2-penalised logistic regressions that share designs.

Logits are linear in the weights, so that a step costs one product for the direction and one for the gradient, however
many points the line search tries. The first guess of the inverse curvature is diagonal in the design's eigenbasis:
1 / (c_k ev_j + ridge), c_k the mean of p (1 - p) of class k. (Liu and Nocedal 1989; Bohning 1992 for the bound.)
"""

from dataclasses import dataclass

import numpy as np

from outcrop.probes.problems import Block, Problems
from outcrop.probes.softmax import (
    BoolArray,
    Float64Array,
    FloatArray,
    curvatures,
    losses_and_probabilities,
    residuals,
)

MEMORY = 8
TRIALS = 20
ARMIJO = 1e-4
COMPACT = 0.6
"""The batch is cut down to its open problems when they are less than this share of it."""


@dataclass(frozen=True)
class Minimum:
    """``solution`` (f, c, r + 1), ``logits`` (f, c, n), ``objective`` (f, t), ``gap`` (f, t) bounding its excess."""

    solution: FloatArray
    logits: FloatArray
    objective: Float64Array
    gap: Float64Array
    iterations: int


def minimise(
    problems: Problems,
    start: FloatArray,
    *,
    tolerance: float,
    open_problems: BoolArray | None = None,
    most: int = 1000,
) -> Minimum:
    """Minimise mean loss + ridge / 2 |weights|^2 from ``start`` (f, c, r + 1) until gap <= tolerance x objective.

    The objective is ridge-strongly convex in the weights, so that its excess is at most |gradient|^2 / (2 ridge) once
    the intercepts are at their optimum; their own share is estimated from the curvature. A problem also ends where
    rounding lets no step descend, or after ``most`` steps; ``gap`` tells. ``open_problems`` (f, t) false leaves a
    problem as it is.
    """
    whole = Search(problems, start, tolerance=tolerance)
    if open_problems is not None:
        whole.open &= open_problems
    search, iterations = whole, 0
    block = Block.of(problems.tasks, designs=np.arange(len(start)), chosen=np.arange(len(problems.tasks.sizes)))
    while search.open.any() and iterations < most:
        needed = search.open_block()
        if needed.size < COMPACT * block.size:
            whole.store(search, block)
            search, block = search.take(needed), needed.within(block)
        search.step()
        iterations += 1
    whole.store(search, block)
    return Minimum(whole.solution, problems.logits(whole.solution), whole.objective, whole.gap, iterations)


class Search:
    """State of a batch of searches; a problem that is no longer open stays where it is."""

    def __init__(self, problems: Problems, start: FloatArray, *, tolerance: float) -> None:
        self.problems = problems
        self.tolerance = tolerance
        self.solution = start.copy()
        self.logits = problems.logits(start)
        self.penalty = problems.penalty()
        self.history: list[tuple[FloatArray, FloatArray, Float64Array]] = []
        self.scale = np.ones(problems.ridge.shape)
        loss, probabilities = losses_and_probabilities(self.logits, problems.tasks, problems.weights)
        self.objective = loss + self._half_norm()
        self.curvature = curvatures(probabilities, problems.tasks, problems.weights)
        self.open = np.ones(problems.ridge.shape, dtype=np.bool_)
        self.gradient = self._gradient(probabilities)
        self.gap = self._bound()
        self.open = self.gap > tolerance * self.objective

    def step(self) -> None:
        """One L-BFGS step of every open problem."""
        direction = self._direction()
        change: FloatArray = direction @ self.problems.designs.coordinates
        length, probabilities = self._line_search(direction, change)
        self.open &= length > 0
        move = self._spread(length) * direction
        self.solution += move
        self.logits += self._spread(length) * change
        before, self.gradient = self.gradient, self._gradient(probabilities)
        self._remember(move, self.gradient - before)
        self.gap = self._bound()
        self.open &= self.gap > self.tolerance * self.objective

    def open_block(self) -> Block:
        """The designs and the tasks with an open problem."""
        designs, chosen = np.flatnonzero(self.open.any(1)), np.flatnonzero(self.open.any(0))
        return Block.of(self.problems.tasks, designs=designs, chosen=chosen)

    def take(self, block: Block) -> "Search":
        """The searches of some designs and tasks, with their history."""
        part = object.__new__(Search)
        part.problems, part.tolerance = self.problems.take(block), self.tolerance
        part.solution, part.logits = block.by_column(self.solution), block.by_column(self.logits)
        part.penalty, part.gradient = block.by_column(self.penalty), block.by_column(self.gradient)
        part.curvature, part.scale = block.by_column(self.curvature), block.by_task(self.scale)
        part.objective, part.gap = block.by_task(self.objective), block.by_task(self.gap)
        part.open = block.by_task(self.open)
        part.history = [
            (block.by_column(move), block.by_column(turn), block.by_task(inverse))
            for move, turn, inverse in self.history
        ]
        return part

    def store(self, part: "Search", block: Block) -> None:
        """Take over what ``part``, the searches of ``block``, has reached."""
        if part is self:
            return
        self.solution[np.ix_(block.designs, block.columns)] = part.solution
        self.objective[np.ix_(block.designs, block.tasks)] = part.objective
        self.gap[np.ix_(block.designs, block.tasks)] = part.gap

    def _gradient(self, probabilities: FloatArray) -> FloatArray:
        residual = residuals(probabilities, self.problems.tasks, self.problems.weights)
        gradient: FloatArray = residual @ self.problems.designs.coordinates.transpose(0, 2, 1)
        gradient += self.penalty * self.solution
        return gradient

    def _half_norm(self) -> Float64Array:
        return 0.5 * self._dot(self.penalty * self.solution, self.solution)

    def _dot(self, first: FloatArray, second: FloatArray) -> Float64Array:
        """Inner products (f, t) over each problem's weights."""
        by_column = np.einsum("fcr,fcr->fc", first, second).astype(np.float64)
        return self._by_task(by_column)

    def _by_task(self, values: Float64Array) -> Float64Array:
        """Sums (f, t) of values (f, c) over each task's columns."""
        sums: Float64Array = np.add.reduceat(values, self.problems.tasks.starts, axis=1)
        return sums

    def _spread(self, values: Float64Array) -> FloatArray:
        """(f, t) to (f, c, 1) in the designs' dtype."""
        return values[:, self.problems.tasks.owner, None].astype(self.solution.dtype)

    def _bound(self) -> Float64Array:
        """Bound (f, t) on the excess of the objective over its minimum."""
        weight_part = np.einsum("fcr,fcr->fc", self.gradient[:, :, :-1], self.gradient[:, :, :-1]).astype(np.float64)
        curvature = np.maximum(self.curvature, np.finfo(self.solution.dtype).tiny).astype(np.float64)
        intercept_part = self.gradient[:, :, -1].astype(np.float64) ** 2 / curvature
        return self._by_task(weight_part) / (2 * self.problems.ridge) + self._by_task(intercept_part) / 2

    def _direction(self) -> FloatArray:
        """Two-loop recursion, zero for closed problems."""
        direction = np.where(self.open[:, self.problems.tasks.owner, None], -self.gradient, 0)
        shares = []
        for move, turn, inverse in reversed(self.history):
            share = inverse * self._dot(move, direction)
            direction -= self._spread(share) * turn
            shares.append(share)
        direction = self._spread(self.scale) * self._precondition(direction)
        for (move, turn, inverse), share in zip(self.history, reversed(shares), strict=True):
            direction += self._spread(share - inverse * self._dot(turn, direction)) * move
        return direction

    def _precondition(self, vector: FloatArray) -> FloatArray:
        diagonal = self.curvature[:, :, None] * self.problems.designs.spectrum[:, None, :] + self.penalty
        floor = np.finfo(self.solution.dtype).eps
        result: FloatArray = vector / np.maximum(diagonal, floor)
        return result

    def _line_search(self, direction: FloatArray, change: FloatArray) -> tuple[Float64Array, FloatArray]:
        """Step lengths (f, t) that descend enough (Armijo), 0 where none does, and the probabilities there."""
        slope = self._dot(self.gradient, direction)
        along = self._dot(self.penalty * self.solution, direction)
        across = self._dot(self.penalty * direction, direction)
        norm, before = self._half_norm(), self.objective
        slack = 4 * np.finfo(self.solution.dtype).eps * np.abs(before)
        length = np.where(self.open & (slope < 0), 1.0, 0.0)
        for trial in range(TRIALS + 1):
            logits = self.logits + self._spread(length) * change
            loss, probabilities = losses_and_probabilities(logits, self.problems.tasks, self.problems.weights)
            reached = loss + norm + length * along + 0.5 * length**2 * across
            short = (length > 0) & ~(reached <= before + ARMIJO * length * slope + slack)
            if not short.any():
                break
            excess = np.where(short, reached - before - length * slope, 1.0)
            shrink = np.clip(-slope * length / (2 * np.maximum(excess, np.finfo(np.float64).tiny)), 0.1, 0.5)
            length = np.where(short, length * shrink if trial < TRIALS - 1 else 0.0, length)
        self.objective = np.where(length > 0, reached, before)
        return length, probabilities

    def _remember(self, move: FloatArray, turn: FloatArray) -> None:
        """Keep a pair of step and gradient change where it shows positive curvature."""
        product = self._dot(move, turn)
        shown = product > np.finfo(np.float64).tiny
        inverse = np.where(shown, 1 / np.where(shown, product, 1), 0)
        preconditioned = self._dot(turn, self._precondition(turn))
        self.scale = np.where(shown, product / np.where(shown, preconditioned, 1), self.scale)
        self.history = [*self.history[1 - MEMORY :], (move, turn, inverse)]
