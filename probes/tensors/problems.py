"""Logistic regressions of many tasks and sets of training rows as tensors, and their loss.

Tensors are of b designs, t tasks, k classes (those of the task with most of them), n rows, and r coordinates and an
intercept. Which rows train is said by their weights alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from outcrop.probes.properties import Target
from outcrop.probes.softmax import BARRIER, BoolArray, Float64Array, FloatArray, TaskStack
from outcrop.probes.tensors.designs import Cells, Designs


@dataclass(frozen=True)
class Problems:
    """Task t on the training rows of design b, as in :class:`outcrop.probes.problems.Problems`.

    ``codes`` (t, 1, n), 0 where a row has none; ``weights`` (b, t, n) of rows; ``ridge`` (b, t) float64; ``barrier``
    (b, t, k, 1); ``frequencies`` (b, t, k): logarithm of each class's rows; ``entropy`` (b, t): the objective of zero
    weights.
    """

    designs: Designs
    codes: Tensor
    weights: Tensor
    ridge: Tensor
    barrier: Tensor
    frequencies: Tensor
    entropy: Tensor

    def take(self, index: Tensor) -> "Problems":
        """Those of some designs."""
        parts = (own[index] for own in (self.weights, self.ridge, self.barrier, self.frequencies, self.entropy))
        return Problems(self.designs.take(index), self.codes, *parts)

    def products(self, solution: Tensor) -> Tensor:
        """``solution`` (b, t, k, r + 1) times the coordinates, (b, t, k, n)."""
        products: Tensor = (solution.flatten(1, 2) @ self.designs.coordinates).unflatten(1, solution.shape[1:3])
        return products

    def logits(self, solution: Tensor) -> Tensor:
        return self.products(solution) + self.barrier

    def start(self) -> Tensor:
        """Zero weights, and intercepts that give each class its frequency."""
        start = self.frequencies.new_zeros(*self.barrier.shape[:3], self.designs.spectrum.shape[1])
        start[..., -1] = self.frequencies
        return start


@dataclass(frozen=True)
class Tasks:
    """Tasks of at most ``classes`` classes, their codes (t, n) on the device, too."""

    stack: TaskStack
    codes: Tensor
    classes: int

    @classmethod
    def of(cls, targets: Sequence[Target], cells: Cells) -> "Tasks":
        stack = TaskStack.of(targets)
        return cls(stack, torch.from_numpy(stack.codes).to(cells.device), max(stack.sizes))

    def pose(self, cells: Cells, designs: Designs, rows: BoolArray, strengths: Float64Array | float) -> Problems:
        """The tasks on ``designs`` of each cell and ``rows`` (f, n), at ``strengths`` (z, f, t) or one for all."""
        shape = (cells.shape[0], len(rows), len(self.codes))
        own = torch.from_numpy(np.full(shape, strengths, dtype=np.float64)).to(cells.device).flatten(0, 1)
        used = torch.from_numpy(np.tile(rows, (shape[0], 1))).to(cells.device)
        return pose(designs, used, self.codes, strengths=own, classes=self.classes)

    def unpadded(self, values: FloatArray) -> FloatArray:
        """Values (t, k, ...) of padded classes as those of columns (c, ...)."""
        return np.concatenate([own[:size] for own, size in zip(values, self.stack.sizes, strict=True)])


def pose(designs: Designs, rows: Tensor, codes: Tensor, *, strengths: Tensor, classes: int) -> Problems:
    """As :func:`outcrop.probes.problems.pose`: training ``rows`` (b, n), ``codes`` (t, n) with -1 where a row has no
    label, scikit-learn's C in ``strengths`` (b, t).
    """
    used = rows[:, None] & (codes >= 0)
    count = used.sum(2).clamp_min(1)
    members = (codes[:, None] == torch.arange(classes, device=codes.device)[:, None]).double()
    counts = torch.einsum("btn,tkn->btk", used.double(), members)
    shares = counts / count[..., None]
    doubled = torch.where((counts > 0).sum(2) == 2, 2.0, 1.0).double()
    dtype = designs.coordinates.dtype
    return Problems(
        designs,
        codes.clamp_min(0)[:, None],
        (used / count[..., None]).to(dtype),
        doubled / (strengths * count),
        torch.where(counts > 0, 0.0, BARRIER)[..., None].to(dtype),
        counts.clamp_min(1).log().to(dtype),
        -torch.xlogy(shares, shares).sum(2),
    )


def softmax(logits: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """Losses (b, t, n) of the rows, and their derivatives (b, t, k, n).

    The probability that a row's own class lacks is summed over the others: see :mod:`outcrop.probes.kernels`.
    """
    code = codes.expand(len(logits), -1, -1, -1)
    powers = logits - logits.gather(2, code)
    top = powers.amax(2, keepdim=True)
    powers.sub_(top).exp_().scatter_(2, code, 0)
    rest, share, top = powers.sum(2), (-top[:, :, 0]).exp(), top[:, :, 0]
    losses = torch.log1p(rest + (share - 1)) + top
    powers /= (rest + share)[:, :, None]
    return losses, powers.scatter_(2, code, (-rest / (rest + share))[:, :, None])


def dot(first: Tensor, second: Tensor) -> Tensor:
    """Inner products (b, t) of weights (b, t, k, r), in float64."""
    return (first * second).sum((2, 3), dtype=torch.float64)


def share(part: Tensor, whole: Tensor) -> Tensor:
    """``part`` over ``whole``, 0 where that is 0: see :func:`outcrop.probes.softmax.share`."""
    return torch.where(whole > 0, part / whole, 0)


def like(values: Tensor, tensor: Tensor) -> Tensor:
    """(b, t) as (b, t, 1, 1)."""
    return values.to(tensor.dtype)[..., None, None]
