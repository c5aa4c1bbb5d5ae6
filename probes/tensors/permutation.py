"""The ridge classifier of permuted labels, for each cell."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from outcrop.probes.permutation import RIDGE
from outcrop.probes.properties import IntArray
from outcrop.probes.softmax import BoolArray

SCORE_BYTES = 2**28
"""Of the scores of permuted labels at once."""


def permutation_hits(coordinates: Tensor, train: BoolArray, test: BoolArray, *, permuted: IntArray) -> IntArray:
    """Tested rows (z, p) that are right for each labelling of ``permuted`` (p, n).

    ``coordinates`` (z, f, r, n); outer folds ``train`` and ``test`` (f, n). See
    :func:`outcrop.probes.permutation.permutation_hits`.
    """
    z, n, classes = len(coordinates), permuted.shape[1], int(permuted.max()) + 1
    codes, result = torch.from_numpy(permuted).to(coordinates.device), np.zeros((z, len(permuted)), dtype=np.int64)
    batch = max(1, SCORE_BYTES // (8 * z * n * classes))
    for f in range(len(train)):
        fitted, judged = (torch.from_numpy(np.flatnonzero(own[f])).to(codes.device) for own in (train, test))
        ridge = _Ridge.of(coordinates[:, f, :, fitted])
        for at in range(0, len(codes), batch):
            own = codes[at : at + batch]
            scores = ridge.scores(own[:, fitted], coordinates[:, f, :, judged], classes)
            result[:, at : at + batch] += (scores.argmax(2) == own[:, judged]).sum(2).cpu().numpy()
    return result


@dataclass(frozen=True)
class _Ridge:
    """A ridge classifier on coordinates (z, r, m): least squares on class indicators."""

    coordinates: Tensor
    factor: Tensor

    @classmethod
    def of(cls, coordinates: Tensor) -> "_Ridge":
        r, m = coordinates.shape[1:]
        covariance = coordinates @ coordinates.mT / m
        spread = covariance.diagonal(dim1=1, dim2=2)
        mean = (spread.sum(1) / max(1, min(r, m - 1))).clamp_min(torch.finfo(spread.dtype).tiny)
        spread += RIDGE * mean[:, None]
        return cls(coordinates, torch.linalg.cholesky(covariance))

    def scores(self, codes: Tensor, judged: Tensor, classes: int) -> Tensor:
        """(z, p, k, q) of rows ``judged`` (z, r, q), fitted to ``codes`` (p, m)."""
        known = (codes >= 0)[:, None]
        indicators = (codes[:, None] == torch.arange(classes, device=codes.device)[:, None]).to(judged.dtype)
        count = known.sum(2, keepdim=True)
        shares = indicators.sum(2, keepdim=True) / count
        sums = ((indicators - shares * known) / count).flatten(0, 1) @ self.coordinates.mT
        fitted = torch.cholesky_solve(sums.mT, self.factor).mT @ judged
        scores: Tensor = fitted.unflatten(1, (-1, classes)) + shares
        return scores
