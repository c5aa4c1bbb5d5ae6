"""The limited memory of L-BFGS: the last steps of a batch of searches, and how the gradient turned along them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcrop.probes.problems import Block
from outcrop.probes.softmax import BoolArray, Float64Array, FloatArray, TaskStack, dot

MEMORY = 5
"""Twelve pairs save a few steps, and cost more than these steps. Each minimisation begins without any: pairs kept from
one strength to the next would save few steps, and let the searches of a batch depend on one another."""


@dataclass
class Memory:
    """A ring of at most ``MEMORY`` pairs, written in place.

    ``moves`` and ``turns`` (pairs, f, c, r + 1): steps, and the changes of the gradient along them; ``inverses``
    (pairs, f, t): 1 / their product, 0 where a problem has no such pair; ``scale`` (f, t) multiplies the diagonal first
    guess of the inverse curvature; ``count``: pairs ever added.
    """

    moves: FloatArray
    turns: FloatArray
    inverses: Float64Array
    scale: Float64Array
    count: int = 0

    @classmethod
    def empty(cls, solution: FloatArray, *, tasks: TaskStack) -> "Memory":
        """For searches of weights of the shape of ``solution`` (f, c, r + 1)."""
        pairs, problems = (MEMORY, *solution.shape), (len(solution), len(tasks.sizes))
        moves, turns = np.zeros(pairs, dtype=solution.dtype), np.zeros(pairs, dtype=solution.dtype)
        return cls(moves, turns, np.zeros((MEMORY, *problems)), np.ones(problems))

    @property
    def order(self) -> NDArray[np.intp]:
        """Places of the pairs, oldest first."""
        return np.arange(max(0, self.count - MEMORY), self.count) % MEMORY

    def add(self, move: FloatArray, turn: FloatArray, *, product: Float64Array, guessed: Float64Array) -> None:
        """Add a pair with ``product`` (f, t) where that is positive, in the place of the oldest of too many.

        ``guessed`` (f, t): the product of ``turn`` with the first guess of the inverse curvature times it.
        """
        at = self.count % MEMORY
        shown = product > np.finfo(np.float64).tiny
        self.moves[at], self.turns[at] = move, turn
        self.inverses[at] = np.where(shown, 1 / np.where(shown, product, 1), 0)
        self.scale = np.where(shown, product / np.where(shown, guessed, 1), self.scale)
        self.count += 1

    def take(self, block: Block) -> "Memory":
        """A copy for some designs and tasks."""
        columns = (slice(None), block.designs[:, None], block.columns)
        tasks = (slice(None), block.designs[:, None], block.tasks)
        return Memory(
            self.moves[columns], self.turns[columns], self.inverses[tasks], block.by_task(self.scale), self.count
        )


def two_loop(
    memory: Memory, gradient: FloatArray, searching: BoolArray, guess: FloatArray, tasks: TaskStack
) -> FloatArray:
    """Minus the inverse curvature times ``gradient`` (f, c, r + 1), 0 unless ``searching`` (f, t) (Nocedal 1980).

    ``guess`` (f, c, r + 1): the diagonal first guess of the inverse curvature.
    """
    direction = gradient * tasks.spread(np.where(searching, -1.0, 0.0), like=gradient)
    shares: list[Float64Array] = []
    for at in memory.order[::-1]:
        shares.append(memory.inverses[at] * dot(memory.moves[at], direction, tasks))
        direction -= tasks.spread(shares[-1], like=direction) * memory.turns[at]
    direction *= tasks.spread(memory.scale, like=direction) * guess
    for at, share in zip(memory.order, reversed(shares), strict=True):
        left = share - memory.inverses[at] * dot(memory.turns[at], direction, tasks)
        direction += tasks.spread(left, like=direction) * memory.moves[at]
    return direction
