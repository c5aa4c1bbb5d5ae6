"""The limited memory of L-BFGS: the last steps of a batch of searches, and how the gradient turned along them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcrop.probes.problems import Block
from outcrop.probes.softmax import Float64Array, FloatArray, TaskStack

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
        moves, turns = np.empty(pairs, dtype=solution.dtype), np.empty(pairs, dtype=solution.dtype)
        return cls(moves, turns, np.zeros((MEMORY, *problems)), np.ones(problems))

    @property
    def order(self) -> NDArray[np.int64]:
        """Places of the pairs, oldest first."""
        return np.arange(max(0, self.count - MEMORY), self.count) % MEMORY

    def next_place(self) -> int:
        """The place of a new pair: that of the oldest, if there are too many."""
        self.count += 1
        return (self.count - 1) % MEMORY

    def take(self, block: Block) -> "Memory":
        """A copy for some designs and tasks."""
        rows = block.designs[:, None]
        moves, turns = (np.ascontiguousarray(pairs[:, rows, block.columns]) for pairs in (self.moves, self.turns))
        inverses = np.ascontiguousarray(self.inverses[:, rows, block.tasks])
        return Memory(moves, turns, inverses, block.by_task(self.scale), self.count)
