"""Batched, preconditioned L-BFGS for many L2-penalised logistic regressions that share designs.

Logits are linear in the weights, so that a step costs one product for the direction and one for the gradient, however
many points the line search tries. The first guess of the inverse curvature is diagonal in the design's eigenbasis:
1 / (c_k ev_j + ridge), c_k the mean of p (1 - p) of class k. (Liu and Nocedal 1989; Bohning 1992 for the bound.)
"""

from dataclasses import dataclass

import numpy as np

from outcrop.probes.kernels import curvatures, directions, evaluate, remember, settle
from outcrop.probes.memory import Memory
from outcrop.probes.problems import Block, Problems
from outcrop.probes.softmax import BoolArray, Float64Array, FloatArray, dot

TRIALS = 20
ARMIJO = 1e-4
COMPACT = 0.6
"""The batch is cut down to its open problems when they are less than this share of it."""

REFRESH = 3
"""Steps after which the first guess of the curvature is taken anew."""

LEAST_CURVATURE = 1e-5
"""A mean of p (1 - p) below this, and below a tenth of the ridge, is passed over: rows are fitted so well on the
way only, and intercepts would leap.
"""

CAUTION = 20
"""The excess is taken to be at most this many times what a quadratic with L-BFGS's curvature has left to descend, at
the last two steps: one alone may look by chance as if there were no way to go.

On the eight cells of ``benchmarks/probes.py`` every excess is within the tolerance then; of 108 small problems with a
weak penalty five are above it, the worst by half.
"""


@dataclass(frozen=True)
class Minimum:
    """``solution`` (f, c, r + 1), ``logits`` (f, c, m), ``objective`` (f, t), ``gap`` (f, t) bounding its excess;
    ``cut_short``: whether a search was still on its way after the most steps.
    """

    solution: FloatArray
    logits: FloatArray
    objective: Float64Array
    gap: Float64Array
    iterations: int
    cut_short: bool


@dataclass(frozen=True)
class Rule:
    """When a search ends.

    Once the excess of the objective over its minimum is taken to be at most ``tolerance`` times the objective, and
    times what that has gained on the class frequencies alone; under a strong penalty that gain is all that predictions
    rest on, and a small part of the objective. With ``certified`` the excess is bounded by |gradient|^2 / (2 ridge),
    the duality gap at the present probabilities; without, the lesser of that bound and the cautious estimate from the
    curvature decides, which under a weak penalty saves most of the steps, and may err (``CAUTION``). Or after ``most``
    steps.
    """

    tolerance: float
    certified: bool = False
    most: int = 1000


def minimise(
    problems: Problems,
    start: FloatArray,
    *,
    rule: Rule,
    logits: FloatArray | None = None,
    open_problems: BoolArray | None = None,
) -> Minimum:
    """Minimise mean loss + ridge / 2 |weights|^2 from ``start`` (f, c, r + 1) until ``rule`` is met.

    ``start`` is written over, and so is ``logits`` (f, c, m), those of ``start``, if known. A problem also ends where
    rounding lets no step descend; ``gap`` tells. ``open_problems`` (f, t) false leaves a problem as it is.
    """
    wanted = np.ones(problems.ridge.shape, dtype=np.bool_) if open_problems is None else open_problems
    whole = Search(problems, start, wanted, rule=rule, logits=logits)
    search, iterations = whole, 0
    designs, tasks = np.arange(len(problems.ridge)), np.arange(len(problems.tasks.sizes))
    block = Block.of(problems.tasks, designs=designs, chosen=tasks)
    while going := search.aim():
        if iterations == rule.most:
            break
        needed = search.open_block()
        if needed.size < COMPACT * block.size:
            whole.store(search, block)
            search, block = search.take(needed), needed.within(block)
        search.step()
        iterations += 1
        if iterations % REFRESH == 0:
            search.refresh()
    whole.store(search, block)
    return Minimum(whole.solution, whole.logits, whole.objective, whole.gap, iterations, going)


class Search:
    """State of a batch of searches; a problem that is no longer open stays where it is."""

    def __init__(
        self, problems: Problems, start: FloatArray, wanted: BoolArray, *, rule: Rule, logits: FloatArray | None
    ) -> None:
        self.problems = problems
        self.rule = rule
        self.solution = start
        self.memory = Memory.empty(start, tasks=problems.tasks)
        self.logits = problems.logits(self.solution) if logits is None else logits
        self.open = wanted.copy()
        self.residuals, self.direction = np.zeros_like(self.logits), np.zeros_like(start)
        self.curvature = np.ones(start.shape[:2], dtype=start.dtype)
        self.gap, self.slope = np.full(wanted.shape, np.inf), np.zeros(wanted.shape)
        self.estimate = np.full(wanted.shape, np.inf)
        self.objective = self._loss_at(self.logits, np.zeros(wanted.shape), wanted) + self._half_norm()
        self.refresh()
        self.gradient = self._gradient()
        self.entropy = problems.entropy()

    def aim(self) -> bool:
        """Find where each open problem would go, and close those that have no way to go; whether any is left."""
        memory, problems = self.memory, self.problems
        directions(
            self.gradient, memory.moves, memory.turns, memory.inverses, memory.order, memory.scale, self.curvature,
            problems.designs.spectrum, problems.ridge, self.open, problems.tasks.bounds, self.direction, self.slope,
        )  # fmt: skip
        estimate = -CAUTION * self.slope / 2
        excess = self.gap if self.rule.certified else np.minimum(self.gap, np.maximum(estimate, self.estimate))
        self.estimate = estimate
        rounding = np.finfo(self.solution.dtype).eps * self.objective
        gain = np.clip(self.entropy - self.objective, rounding, self.objective)
        self.open &= excess > self.rule.tolerance * gain
        return bool(self.open.any())

    def step(self) -> None:
        """Go on in the direction that was found."""
        problems, memory = self.problems, self.memory
        change = problems.designs.scores(self.direction)
        length = self._line_search(change)
        self.open &= length > 0
        spread = problems.tasks.spread(np.where(self.open, length, 0), like=change)
        change *= spread
        self.logits += change
        self.solution += spread * self.direction
        before, self.gradient = self.gradient, self._gradient()
        at = memory.next_place()
        remember(
            length, self.direction, before, self.gradient, self.curvature, problems.designs.spectrum, problems.ridge,
            self.open, problems.tasks.bounds, memory.moves[at], memory.turns[at], memory.inverses[at], memory.scale,
        )  # fmt: skip

    def refresh(self) -> None:
        """Take the diagonal first guess of the curvature at the present weights."""
        problems = self.problems
        curvatures(self.residuals, self.open, problems.tasks.bounds, problems.weights, self.curvature)
        least = problems.tasks.spread(np.minimum(problems.ridge / 10, LEAST_CURVATURE), like=self.curvature)[:, :, 0]
        np.maximum(self.curvature, least, out=self.curvature)

    def open_block(self) -> Block:
        """The designs and the tasks with an open problem."""
        designs, chosen = np.flatnonzero(self.open.any(1)), np.flatnonzero(self.open.any(0))
        return Block.of(self.problems.tasks, designs=designs, chosen=chosen)

    def take(self, block: Block) -> "Search":
        """The searches of some designs and tasks, with their memory."""
        part = object.__new__(Search)
        part.problems, part.rule, part.memory = self.problems.take(block), self.rule, self.memory.take(block)
        for name in ("solution", "logits", "residuals", "gradient", "direction", "curvature"):
            setattr(part, name, block.by_column(getattr(self, name)))
        for name in ("objective", "gap", "slope", "estimate", "open", "entropy"):
            setattr(part, name, block.by_task(getattr(self, name)))
        return part

    def store(self, part: "Search", block: Block) -> None:
        """Take over what ``part``, the searches of ``block``, has reached."""
        if part is self:
            return
        columns, tasks = np.ix_(block.designs, block.columns), np.ix_(block.designs, block.tasks)
        self.solution[columns], self.logits[columns] = part.solution, part.logits
        self.objective[tasks], self.gap[tasks] = part.objective, part.gap

    def _gradient(self) -> FloatArray:
        problems = self.problems
        gradient = problems.designs.gather(self.residuals)
        settle(
            gradient, self.solution, problems.ridge, self.open, problems.tasks.bounds, self.curvature, self.gap
        )  # fmt: skip
        return gradient

    def _half_norm(self) -> Float64Array:
        return 0.5 * self.problems.ridge * self._dot(self.solution, self.solution)

    def _dot(self, first: FloatArray, second: FloatArray) -> Float64Array:
        """Inner products (f, t) over each problem's weights, without intercepts."""
        return dot(first[:, :, :-1], second[:, :, :-1], self.problems.tasks)

    def _loss_at(self, change: FloatArray, length: Float64Array, wanted: BoolArray) -> Float64Array:
        """Losses (f, t) at the logits + ``length`` x ``change`` where ``wanted``, and the residuals there."""
        problems, losses = self.problems, np.zeros(length.shape)
        evaluate(
            self.logits, change, length, wanted, problems.tasks.bounds, problems.codes, problems.weights,
            self.residuals, losses,
        )  # fmt: skip
        return losses

    def _line_search(self, change: FloatArray) -> Float64Array:
        """Go along the direction; step lengths (f, t) that descend enough (Armijo), 0 where none does."""
        ridge, slope, before = self.problems.ridge, self.slope, self.objective
        along = ridge * self._dot(self.direction, self.solution)
        across = ridge * self._dot(self.direction, self.direction)
        norm = self._half_norm()
        slack = 4 * np.finfo(change.dtype).eps * np.abs(before)
        length = np.where(self.open & (slope < 0), 1.0, 0.0)
        reached, short = before.copy(), self.open
        for trial in range(TRIALS + 1):
            loss = self._loss_at(change, length, short)
            reached = np.where(short, loss + norm + length * along + 0.5 * length**2 * across, reached)
            short = short & (length > 0) & ~(reached <= before + ARMIJO * length * slope + slack)
            if not short.any():
                break
            excess = np.where(short, reached - before - length * slope, 1.0)
            shrink = np.clip(-slope * length / (2 * np.maximum(excess, np.finfo(np.float64).tiny)), 0.1, 0.5)
            length = np.where(short, length * shrink if trial < TRIALS - 1 else 0.0, length)
        self.objective = np.where(length > 0, reached, before)
        return length
