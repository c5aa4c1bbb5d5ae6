"""Batched, preconditioned L-BFGS for many L2-penalised logistic regressions that share designs.

Logits are linear in the weights, so that a step costs one product for the direction and one for the gradient, however
many points the line search tries. The first guess of the inverse curvature is diagonal in the design's eigenbasis:
1 / (c_k ev_j + ridge), c_k the mean of p (1 - p) of class k. (Liu and Nocedal 1989; Bohning 1992 for the bound.)
"""

from dataclasses import dataclass

import numpy as np

from outcrop.probes.memory import Memory, two_loop
from outcrop.probes.problems import Block, Problems
from outcrop.probes.softmax import BoolArray, Float64Array, FloatArray, curvatures, dot, losses_and_residuals

TRIALS = 20
ARMIJO = 1e-4
COMPACT = 0.6
"""The batch is cut down to its open problems when they are less than this share of it."""

REFRESH = 3
"""Steps after which the first guess of the curvature is taken anew."""


@dataclass(frozen=True)
class Minimum:
    """``solution`` (f, c, r + 1), ``objective`` (f, t), ``gap`` (f, t) bounding its excess."""

    solution: FloatArray
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
    """Minimise mean loss + ridge / 2 |weights|^2 from ``start`` (f, c, r + 1) until the gap is small.

    Small: at most ``tolerance`` times the objective, and times what the objective has gained on the class frequencies
    alone; under a strong penalty that gain is all that predictions rest on, and a small part of the objective. The
    objective is ridge-strongly convex in the weights, so that its excess is at most |gradient|^2 / (2 ridge) once the
    intercepts are at their optimum; their own share is estimated from the curvature. A problem also ends where rounding
    lets no step descend, or after ``most`` steps; ``gap`` tells. ``open_problems`` (f, t) false leaves a problem as it
    is.
    """
    whole = Search(problems, start, tolerance=tolerance)
    if open_problems is not None:
        whole.open &= open_problems
    search, iterations = whole, 0
    designs, tasks = np.arange(len(problems.ridge)), np.arange(len(problems.tasks.sizes))
    block = Block.of(problems.tasks, designs=designs, chosen=tasks)
    while search.open.any() and iterations < most:
        needed = search.open_block()
        if needed.size < COMPACT * block.size:
            whole.store(search, block)
            search, block = search.take(needed), needed.within(block)
        search.step()
        iterations += 1
        if iterations % REFRESH == 0:
            search.refresh()
    whole.store(search, block)
    return Minimum(whole.solution, whole.objective, whole.gap, iterations)


class Search:
    """State of a batch of searches; a problem that is no longer open stays where it is."""

    def __init__(self, problems: Problems, start: FloatArray, *, tolerance: float) -> None:
        self.problems = problems
        self.tolerance = tolerance
        self.penalty = problems.penalty()
        self.solution = start.copy()
        self.memory = Memory.empty(start, tasks=problems.tasks)
        self.logits = problems.logits(self.solution)
        loss, self.residuals = self._evaluate(self.logits)
        self.objective = loss + self._half_norm()
        self.refresh()
        self.gradient = self._gradient()
        self.gap = self._bound()
        self.entropy = problems.entropy()
        self.open = self._is_open()

    def step(self) -> None:
        """One L-BFGS step of every open problem."""
        tasks = self.problems.tasks
        direction = two_loop(self.memory, self.gradient, self.open, self.guess, tasks)
        length = self._line_search(direction, direction @ self.problems.designs.coordinates)
        self.open &= length > 0
        move = tasks.spread(length, like=direction) * direction
        self.solution += move
        before, self.gradient = self.gradient, self._gradient()
        turn = self.gradient - before
        self.memory.add(move, turn, product=self._dot(move, turn), guessed=self._dot(turn, self.guess * turn))
        self.gap = self._bound()
        self.open &= self._is_open()

    def refresh(self) -> None:
        """Take the diagonal first guess of the inverse curvature at the present weights."""
        problems = self.problems
        curvature = curvatures(self.residuals, problems.tasks, problems.labels, problems.weights)
        diagonal = curvature[:, :, None] * problems.designs.spectrum[:, None, :] + self.penalty
        self.curvature = np.maximum(curvature, np.finfo(curvature.dtype).tiny)
        self.guess = 1 / np.maximum(diagonal, np.finfo(curvature.dtype).eps)

    def open_block(self) -> Block:
        """The designs and the tasks with an open problem."""
        designs, chosen = np.flatnonzero(self.open.any(1)), np.flatnonzero(self.open.any(0))
        return Block.of(self.problems.tasks, designs=designs, chosen=chosen)

    def take(self, block: Block) -> "Search":
        """The searches of some designs and tasks, with their memory."""
        part = object.__new__(Search)
        part.problems, part.tolerance = self.problems.take(block), self.tolerance
        part.solution, part.logits = block.by_column(self.solution), block.by_column(self.logits)
        part.penalty, part.gradient = block.by_column(self.penalty), block.by_column(self.gradient)
        part.curvature, part.guess = block.by_column(self.curvature), block.by_column(self.guess)
        part.residuals, part.memory = block.by_column(self.residuals), self.memory.take(block)
        part.objective, part.gap = block.by_task(self.objective), block.by_task(self.gap)
        part.open, part.entropy = block.by_task(self.open), block.by_task(self.entropy)
        return part

    def store(self, part: "Search", block: Block) -> None:
        """Take over what ``part``, the searches of ``block``, has reached."""
        if part is self:
            return
        self.solution[np.ix_(block.designs, block.columns)] = part.solution
        self.objective[np.ix_(block.designs, block.tasks)] = part.objective
        self.gap[np.ix_(block.designs, block.tasks)] = part.gap

    def _gradient(self) -> FloatArray:
        gradient: FloatArray = self.residuals @ self.problems.designs.by_row
        gradient += self.penalty * self.solution
        return gradient

    def _half_norm(self) -> Float64Array:
        return 0.5 * self._dot(self.penalty * self.solution, self.solution)

    def _is_open(self) -> BoolArray:
        """Where the gap is not small, (f, t); nothing is gained on features that tell nothing but rounding."""
        rounding = np.finfo(self.solution.dtype).eps * self.objective
        gain = np.clip(self.entropy - self.objective, rounding, self.objective)
        wide: BoolArray = self.gap > self.tolerance * gain
        return wide

    def _dot(self, first: FloatArray, second: FloatArray) -> Float64Array:
        """Inner products (f, t) over each problem's weights."""
        return dot(first, second, self.problems.tasks)

    def _evaluate(self, logits: FloatArray) -> tuple[Float64Array, FloatArray]:
        problems = self.problems
        return losses_and_residuals(logits, problems.tasks, problems.labels, problems.weights)

    def _bound(self) -> Float64Array:
        """Bound (f, t) on the excess of the objective over its minimum."""
        intercepts = self.gradient[:, :, -1].astype(np.float64) ** 2
        weights = np.maximum(self._dot(self.gradient, self.gradient) - self.problems.tasks.sums(intercepts), 0)
        return weights / (2 * self.problems.ridge) + self.problems.tasks.sums(intercepts / self.curvature) / 2

    def _line_search(self, direction: FloatArray, change: FloatArray) -> Float64Array:
        """Go along ``direction``; step lengths (f, t) that descend enough (Armijo), 0 where none does."""
        tasks = self.problems.tasks
        slope = self._dot(self.gradient, direction)
        weighed = self.penalty * direction
        along, across = self._dot(weighed, self.solution), self._dot(weighed, direction)
        norm, before = self._half_norm(), self.objective
        slack = 4 * np.finfo(direction.dtype).eps * np.abs(before)
        length = np.where(self.open & (slope < 0), 1.0, 0.0)
        for trial in range(TRIALS + 1):
            logits = self.logits + (change if (length == 1).all() else tasks.spread(length, like=change) * change)
            loss, residuals = self._evaluate(logits)
            reached = loss + norm + length * along + 0.5 * length**2 * across
            short = (length > 0) & ~(reached <= before + ARMIJO * length * slope + slack)
            if not short.any():
                break
            excess = np.where(short, reached - before - length * slope, 1.0)
            shrink = np.clip(-slope * length / (2 * np.maximum(excess, np.finfo(np.float64).tiny)), 0.1, 0.5)
            length = np.where(short, length * shrink if trial < TRIALS - 1 else 0.0, length)
        self.objective = np.where(length > 0, reached, before)
        self.logits, self.residuals = logits, residuals
        return length
