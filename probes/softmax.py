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

BARRIER = -1e30
"""Added to the logits of a class that the training rows lack: its probability is 0 and its weights stay 0."""


@dataclass(frozen=True)
class TaskStack:
    """Tasks over the same n rows, their classes side by side as columns 0..c-1.

    ``codes`` (t, n), -1 where a row has no label; ``sizes`` classes per task, so that c = sum(sizes).
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
    def owner(self) -> IntArray:
        """(c,) task of each column."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @cached_property
    def known(self) -> BoolArray:
        """(t, n) where a row has a label."""
        return self.codes >= 0

    def take(self, index: NDArray[np.intp]) -> "TaskStack":
        """Some of the tasks."""
        return TaskStack(self.codes[index], tuple(self.sizes[t] for t in index))

    def columns(self) -> Iterator[tuple[int, slice, IntArray]]:
        """Number, columns and codes (n,) of each task; a missing label reads 0 and must have weight 0."""
        for t, (start, size) in enumerate(zip(self.starts.tolist(), self.sizes, strict=True)):
            yield t, slice(start, start + size), np.maximum(self.codes[t], 0)

    def counts(self, rows: BoolArray) -> Float64Array:
        """(f, c): samples of each class among each set of ``rows`` (f, n)."""
        result = np.zeros((len(rows), sum(self.sizes)))
        for t, columns, codes in self.columns():
            one_hot = (codes[:, None] == np.arange(self.sizes[t])) & self.known[t][:, None]
            result[:, columns] = rows.astype(np.float64) @ one_hot
        return result


def row_losses(logits: FloatArray, tasks: TaskStack) -> FloatArray:
    """Negative log-likelihood (f, t, n) of every row's class, for ``logits`` (f, c, n)."""
    result = np.empty((len(logits), len(tasks.sizes), logits.shape[2]), dtype=logits.dtype)
    everything = np.arange(logits.shape[2])
    for t, columns, codes in tasks.columns():
        own = logits[:, columns]
        top = own.max(1)
        result[:, t] = np.log(np.exp(own - top[:, None]).sum(1)) + top - own[:, codes, everything]
    return result


def losses_and_probabilities(
    logits: FloatArray, tasks: TaskStack, weights: FloatArray
) -> tuple[Float64Array, FloatArray]:
    """Weighted loss (f, t), summed in float64 over ``weights`` (f, t, n), and probabilities (f, c, n)."""
    losses = np.empty(weights.shape[:2])
    probabilities = np.empty_like(logits)
    everything = np.arange(logits.shape[2])
    for t, columns, codes in tasks.columns():
        own, part = logits[:, columns], probabilities[:, columns]
        top = own.max(1)
        np.subtract(own, top[:, None], out=part)
        margin = part[:, codes, everything]
        np.exp(part, out=part)
        total = part.sum(1)
        part /= total[:, None]
        losses[:, t] = np.einsum("fn,fn->f", np.log(total) - margin, weights[:, t], dtype=np.float64)
    return losses, probabilities


def residuals(probabilities: FloatArray, tasks: TaskStack, weights: FloatArray) -> FloatArray:
    """Weighted (probability - indicator of the class), (f, c, n): the loss's derivative by the logits."""
    result = np.empty_like(probabilities)
    everything = np.arange(probabilities.shape[2])
    for t, columns, codes in tasks.columns():
        part = result[:, columns]
        np.multiply(probabilities[:, columns], weights[:, t, None], out=part)
        part[:, codes, everything] -= weights[:, t]
    return result


def curvatures(probabilities: FloatArray, tasks: TaskStack, weights: FloatArray) -> FloatArray:
    """Weighted mean of p (1 - p) per column, (f, c): the diagonal curvature by the logits."""
    result = np.empty(probabilities.shape[:2], dtype=probabilities.dtype)
    for t, columns, _ in tasks.columns():
        p = probabilities[:, columns]
        result[:, columns] = np.einsum("fcn,fn->fc", p * (1 - p), weights[:, t])
    return result


def predict_codes(logits: FloatArray, tasks: TaskStack) -> IntArray:
    """Most likely class (f, t, n) of every row, for ``logits`` (f, c, n)."""
    return np.stack([logits[:, columns].argmax(1) for _, columns, _ in tasks.columns()], axis=1)
