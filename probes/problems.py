"""Many penalised logistic regressions as one batch: tasks by training sets."""

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from outcrop.probes.design import Designs
from outcrop.probes.softmax import BARRIER, Float64Array, FloatArray, TaskStack

Scalar = TypeVar("Scalar", bound=np.generic)
Index = NDArray[np.intp]


@dataclass(frozen=True)
class Block:
    """Some designs and some tasks of a batch (indices), and the columns of those tasks."""

    designs: Index
    tasks: Index
    columns: Index

    @classmethod
    def of(cls, tasks: TaskStack, *, designs: Index, chosen: Index) -> "Block":
        among = np.zeros(len(tasks.sizes), dtype=np.bool_)
        among[chosen] = True
        return cls(designs, chosen, np.flatnonzero(among[tasks.owner]))

    @property
    def size(self) -> int:
        return self.designs.size * self.columns.size

    def within(self, outer: "Block") -> "Block":
        """This block of ``outer``, as a block of what ``outer`` is a block of."""
        return Block(outer.designs[self.designs], outer.tasks[self.tasks], outer.columns[self.columns])

    def by_task(self, values: NDArray[Scalar]) -> NDArray[Scalar]:
        """Part of values (f, t, ...), in C order as the compiled loops have it: another order is compiled anew."""
        return np.ascontiguousarray(values[np.ix_(self.designs, self.tasks)])

    def by_column(self, values: NDArray[Scalar]) -> NDArray[Scalar]:
        """Part of values (f, c, ...), in C order."""
        return np.ascontiguousarray(values[np.ix_(self.designs, self.columns)])


@dataclass(frozen=True)
class Problems:
    """Logistic regressions: task t on the rows of design f.

    ``weights`` (f, t, m): row weights, equal where they are not 0, summing to 1; ``ridge`` (f, t): penalty on half the
    squared norm of the weights without intercepts; ``barrier`` (f, c): 0, or ``BARRIER`` where the rows lack the class;
    ``codes`` (f, t, m): class of each row, 0 where it has none.
    """

    designs: Designs
    tasks: TaskStack
    weights: FloatArray
    ridge: Float64Array
    barrier: FloatArray
    codes: NDArray[np.int32]

    def take(self, block: Block) -> "Problems":
        """The problems of some designs and tasks."""
        designs, tasks = self.designs.take(block.designs), self.tasks.take(block.tasks)
        weights, ridge, barrier = block.by_task(self.weights), block.by_task(self.ridge), block.by_column(self.barrier)
        return Problems(designs, tasks, weights, ridge, barrier, block.by_task(self.codes))

    def with_ridge(self, ridge: Float64Array) -> "Problems":
        return replace(self, ridge=ridge)

    def logits(self, solution: FloatArray) -> FloatArray:
        """(f, c, m) logits of the designs' rows for weights (f, c, r + 1)."""
        logits = self.designs.scores(solution)
        logits += self.barrier[:, :, None]
        return logits

    def entropy(self) -> Float64Array:
        """The objective (f, t) of zero weights, with intercepts that give each class its frequency."""
        counts = self.tasks.counts(self.designs.rows, self.weights > 0).astype(np.float64)
        shares = counts / np.maximum(self.tasks.sums(counts), 1)[:, self.tasks.owner]
        return -self.tasks.sums(shares * np.log(np.where(shares > 0, shares, 1)))

    def start_at_frequencies(self) -> FloatArray:
        """Zero weights (f, c, r + 1), and intercepts that give each class its frequency.

        Those of the classes that are there have mean 0.
        """
        counts, spectrum = self.tasks.counts(self.designs.rows, self.weights > 0), self.designs.spectrum
        start = np.zeros((*counts.shape, spectrum.shape[1]), dtype=spectrum.dtype)
        logs = np.log(np.maximum(counts, 1))
        start[:, :, -1] = logs - self.shared(logs)
        return start

    def shared(self, intercepts: FloatArray) -> Float64Array:
        """The mean of ``intercepts`` (f, c) over the classes of a task that the rows have, (f, c); 0 at the others."""
        there = (self.barrier == 0).astype(np.float64)
        mean = self.tasks.sums(there * intercepts) / np.maximum(self.tasks.sums(there), 1)
        return np.asarray(there * mean[:, self.tasks.owner])


def pose(designs: Designs, tasks: TaskStack, *, strengths: Float64Array) -> Problems:
    """Problems of all tasks on all designs, with scikit-learn's C in ``strengths`` (f, t).

    scikit-learn minimises C x sum of losses + |w|^2 / 2 with one weight vector for two classes; that is mean loss +
    |w|^2 / (2 C n), and twice the ridge where two opposed vectors stand for the one.
    """
    dtype = designs.spectrum.dtype
    used = designs.used[:, None] & tasks.known(designs.rows)
    count = np.maximum(used.sum(2), 1)
    classes = tasks.counts(designs.rows, used) > 0
    present = np.add.reduceat(classes, tasks.starts, axis=1, dtype=np.int64)
    doubled = np.where(present == 2, 2.0, 1.0)
    weights = (used / count[:, :, None]).astype(dtype, order="C")
    barrier = np.where(classes, 0, BARRIER).astype(dtype)
    codes = np.maximum(tasks.codes, 0)[:, designs.rows].transpose(1, 0, 2).astype(np.int32, order="C")
    return Problems(designs, tasks, weights, doubled / (strengths * count), barrier, codes)
