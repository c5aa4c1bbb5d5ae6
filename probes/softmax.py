"""The multinomial logistic loss of many tasks at once, over stacked class columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from outcrop.probes.properties import IntArray, Target

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.floating]
Float64Array = NDArray[np.float64]

BARRIER = -1e4
"""Added to the logits of a class that the training rows lack: its probability and weights are 0."""


@dataclass(frozen=True)
class TaskStack:
    """Tasks over the same n rows, their classes side by side as columns 0..c-1.

    ``codes`` (t, n), -1 where a row has no label; ``sizes`` classes per task, so that c = sum(sizes). Neighbours of
    equal size are worked on together.
    """

    codes: IntArray
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, targets: Sequence[Target]) -> "TaskStack":
        return cls(np.stack([target.codes for target in targets]), tuple(len(target.classes) for target in targets))

    @cached_property
    def starts(self) -> IntArray:
        """(t,) first column of each task."""
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.int64)

    @cached_property
    def bounds(self) -> IntArray:
        """(t + 1,): task t has the columns from bounds[t] to bounds[t + 1]."""
        return np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.int64)

    @cached_property
    def owner(self) -> IntArray:
        """(c,) task of each column."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @cached_property
    def runs(self) -> tuple[tuple[slice, slice, int], ...]:
        """Tasks, columns and size of each run of tasks of one size."""
        ends = [t for t in range(1, len(self.sizes) + 1) if t == len(self.sizes) or self.sizes[t] != self.sizes[t - 1]]
        found = []
        for first, end in zip([0, *ends[:-1]], ends, strict=True):
            start, size = int(self.starts[first]), self.sizes[first]
            found.append((slice(first, end), slice(start, start + (end - first) * size), size))
        return tuple(found)

    def take(self, index: NDArray[np.intp]) -> "TaskStack":
        """Some of the tasks."""
        return TaskStack(self.codes[index], tuple(self.sizes[t] for t in index))

    def by_run(self, columns: NDArray[np.generic]) -> Iterator[tuple[slice, NDArray[np.generic]]]:
        """Tasks, and their part of ``columns`` (f, c, m) as a view (f, tasks, classes, m)."""
        for tasks, own, size in self.runs:
            yield tasks, columns[:, own].reshape(len(columns), -1, size, columns.shape[2])

    def sums(self, values: Float64Array) -> Float64Array:
        """Sums (f, t) of values (f, c) over each task's columns."""
        result: Float64Array = np.add.reduceat(values, self.starts, axis=1)
        return result

    def spread(self, values: Float64Array, *, like: FloatArray) -> FloatArray:
        """(f, t) to (f, c, 1) in the dtype of ``like``."""
        return values.astype(like.dtype)[:, self.owner, None]

    def label_index(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Where the class of each of ``rows`` (f, m) stands in columns (f, c, m) read as one line: (f, t, m).

        A missing label reads class 0 and must have weight 0.
        """
        designs, many = rows.shape
        column = np.maximum(self.codes, 0)[:, rows].transpose(1, 0, 2) + self.starts[:, None]
        design = np.arange(designs)[:, None, None] * sum(self.sizes)
        index: NDArray[np.intp] = (design + column) * many + np.arange(many)
        return index

    def known(self, rows: NDArray[np.intp]) -> BoolArray:
        """(f, t, m): which of ``rows`` (f, m) have a label."""
        return (self.codes >= 0)[:, rows].transpose(1, 0, 2)

    def counts(self, rows: NDArray[np.intp], weights: BoolArray) -> IntArray:
        """(f, c): samples of each class among ``rows`` (f, m), of which ``weights`` (f, t, m) says which count."""
        column = np.maximum(self.codes, 0)[:, rows].transpose(1, 0, 2) + self.starts[:, None]
        width = sum(self.sizes)
        found = [np.bincount(own[used], minlength=width) for own, used in zip(column, weights, strict=True)]
        return np.stack(found).astype(np.int64)


def dot(first: FloatArray, second: FloatArray, tasks: TaskStack) -> Float64Array:
    """Inner products (f, t) of weights (f, c, r) over each task's columns."""
    return tasks.sums(np.einsum("fcr,fcr->fc", first, second).astype(np.float64))


def exponentials(logits: FloatArray, tasks: TaskStack, labels: NDArray[np.intp]) -> tuple[FloatArray, ...]:
    """exp(logit - the largest of its task) (f, c, m), their sums (f, t, m), and the losses of the rows (f, t, m)."""
    powers = np.empty_like(logits)
    sums = np.empty(labels.shape, dtype=logits.dtype)
    for (_, own), (_, part) in zip(tasks.by_run(logits), tasks.by_run(powers), strict=True):
        np.subtract(own, own.max(2)[:, :, None], out=part)
    margins = powers.reshape(-1)[labels]
    np.exp(powers, out=powers)
    for run, part in tasks.by_run(powers):
        np.add.reduce(part, axis=2, out=sums[:, run])
    return powers, sums, np.log(sums) - margins


def predict_codes(logits: FloatArray, tasks: TaskStack) -> IntArray:
    """Most likely class (f, t, m) of every row, for ``logits`` (f, c, m)."""
    return np.concatenate([part.argmax(2) for _, part in tasks.by_run(logits)], axis=1)


def probabilities(logits: FloatArray, tasks: TaskStack) -> FloatArray:
    """Probabilities (f, c, m) of the classes of each task, for ``logits`` (f, c, m)."""
    result = np.empty_like(logits)
    for (_, own), (_, part) in zip(tasks.by_run(logits), tasks.by_run(result), strict=True):
        powers = np.exp(own - own.max(2, keepdims=True))
        np.divide(powers, powers.sum(2, keepdims=True), out=part)
    return result


def share(part: Float64Array, whole: Float64Array) -> Float64Array:
    """``part`` over ``whole``, 0 where that is 0 (rows of one class have no loss)."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
