"""Cells on a device: their features, and for each set of training rows the coordinates of all rows.

Any orthonormal basis that spans the training rows will do: the penalty is the same in it. Here every fold takes the
eigenbasis of all rows of its cell, and where there are more features than samples stretches it to its own standard
deviations and makes it orthonormal again. The curvature stays nearly diagonal, and a cell costs one decomposition
in place of one for each fold. The basis sees no label; test rows have a say in how the weights are written down, none
in which weights are found.


"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from outcrop.probes.design import NEGLIGIBLE
from outcrop.probes.softmax import BoolArray, FloatArray

STRAIGHT = 1e-3
"""Cholesky's factor makes a basis orthonormal where its least diagonal entry is at least this share of the largest."""


@dataclass(frozen=True)
class Designs:
    """``coordinates`` (b, r + 1, n) of all rows for b sets of training rows, a row of ones last for the intercept.

    ``spectrum`` (b, r + 1): variance of each over the training rows, 1 for the intercept.
    """

    coordinates: Tensor
    spectrum: Tensor

    def take(self, index: Tensor) -> "Designs":
        """Some of the designs."""
        return Designs(self.coordinates[index], self.spectrum[index])


class Cells:
    """z cells of one width: features (n, d) of each, float32, finite."""

    def __init__(self, features: Sequence[FloatArray], device: str) -> None:
        self.device = torch.device(device)
        self._features = torch.from_numpy(np.stack(features)).to(self.device, torch.float32)
        self.shape = self._features.shape[:2]
        mean, self._inverse = _standards(self._features)
        self._basis = torch.stack([_eigenbasis(own) for own in (self._features - mean) * self._inverse])

    def designs(self, rows: BoolArray) -> Designs:
        """Designs (z x f) of each set of training ``rows`` (f, n), cell by cell."""
        z, n = self.shape
        coordinates = self._features.new_ones(z, len(rows), self._basis.shape[2] + 1, n)
        spectrum = coordinates.new_ones(coordinates.shape[:3])
        for f, own in enumerate(rows):
            mean, inverse, basis = self._rotation(own)
            coordinates[:, f, :-1] = basis.mT @ ((self._features - mean) * inverse).mT
            spectrum[:, f, :-1] = coordinates[:, f, :-1, self._index(own)].square().mean(2, dtype=torch.float64)
        return Designs(coordinates.flatten(0, 1), spectrum.flatten(0, 1))

    def raw_weights(self, rows: BoolArray, solution: Tensor) -> Iterator[tuple[FloatArray, FloatArray]]:
        """For each cell weights (t, k, d) and intercepts (t, k) of raw features, from ``solution`` (z, t, k, r + 1) of
        one set of training ``rows`` (n,).
        """
        mean, inverse, basis = self._rotation(rows)
        for own, centre, scale, axes in zip(solution, mean, inverse, basis, strict=True):
            coef = own[..., :-1] @ axes.mT * scale[0]
            yield coef.cpu().numpy(), (own[..., -1] - coef @ centre[0]).cpu().numpy()

    def _rotation(self, rows: BoolArray) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and 1 / deviation (z, 1, d) of the training ``rows`` (n,), and a basis (z, d, r) that spans them."""
        mean, inverse = _standards(self._features[:, self._index(rows)])
        if self._features.shape[2] <= self.shape[1]:
            return mean, inverse, self._basis
        stretch = torch.where(self._inverse > 0, inverse / self._inverse, 0).mT
        return mean, inverse, torch.stack([_orthonormal(own) for own in self._basis * stretch])

    def _index(self, rows: BoolArray) -> Tensor:
        return torch.from_numpy(np.flatnonzero(rows)).to(self.device)


def _standards(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and 1 / deviation (z, 1, d) of ``rows`` (z, m, d); 0 for a feature that varies by no more than rounding."""
    mean = rows.mean(1, keepdim=True, dtype=torch.float64).to(rows.dtype)
    scale = (rows - mean).square().mean(1, keepdim=True, dtype=torch.float64).sqrt()
    varies = scale > NEGLIGIBLE * torch.finfo(rows.dtype).eps * rows.abs().amax(1, keepdim=True)
    return mean, torch.where(varies, 1 / scale, 0).to(rows.dtype)


def _eigenbasis(scaled: Tensor) -> Tensor:
    """Principal axes (d, r) of standardised rows (n, d), and others up to r = min(n, d). One cell at a time: a batch of
    decompositions was seen to be no faster on a GPU.
    """
    n, d = scaled.shape
    if d <= n:
        basis: Tensor = torch.linalg.eigh(scaled.mT @ scaled / n).eigenvectors
        return basis
    vectors: Tensor = torch.linalg.eigh(scaled @ scaled.mT / n).eigenvectors.flip(1)
    basis = torch.linalg.qr(scaled.mT @ vectors).Q
    return basis.contiguous()


def _orthonormal(columns: Tensor) -> Tensor:
    """An orthonormal basis of what ``columns`` (d, r) span, as near to them as may be."""
    wide = columns.double()
    factor, failed = torch.linalg.cholesky_ex(wide.mT @ wide)
    lengths = factor.diagonal()
    basis: Tensor
    if failed or lengths.min() < STRAIGHT * lengths.max():
        basis = torch.linalg.qr(wide).Q
    else:
        basis = torch.linalg.solve_triangular(factor, wide.mT, upper=False).mT
    return basis.to(columns.dtype)
