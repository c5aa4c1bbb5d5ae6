"""The geometry of one cell, all of it from the products of its samples: (n, n), however wide the site is."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

Float64Array = NDArray[np.float64]

BLOCK = 4096  # features at once, so that a wide site is never held in double precision
STILL = 1e-6  # a feature that varies by less than this part of its size is rounding, not signal


def products(features: NDArray[np.floating]) -> Float64Array:
    """Inner products (n, n) of the samples of ``features`` (n, d), each feature centred and scaled to unit variance.

    Scaled as the probes scale them: in transformers single features outgrow all others a hundredfold (Sun et al. 2024,
    arXiv:2402.17762) and would be all that a distance sees. Features that do not vary count for nothing; the products
    are divided by the number of those that do. All 0 where none does.
    """
    count = len(features)
    total, varying = np.zeros((count, count)), 0
    for start in range(0, features.shape[1], BLOCK):
        block = features[:, start : start + BLOCK].astype(np.float64)
        size = np.abs(block).max(axis=0)
        block -= block.mean(axis=0)
        spread = block.std(axis=0)
        moving = spread > STILL * size
        block = block[:, moving] / spread[moving]
        total += block @ block.T
        varying += int(moving.sum())
    return total / max(varying, 1)


def principal_scores(gram: Float64Array, *, count: int) -> Float64Array:
    """Scores (n, r) on the first ``count`` principal components, fewer where fewer are not zero.

    Not whitened: the small components are mostly noise, and whitening would make them count as much as the large ones.
    The sign of a component is such that its largest score is positive.
    """
    last = len(gram) - 1
    sizes, vectors = eigh(gram, subset_by_index=(max(0, len(gram) - count), last))
    sizes, vectors = sizes[::-1], vectors[:, ::-1]
    kept = sizes > 1e-9 * max(float(sizes[0]), 1e-300)
    scores = vectors[:, kept] * np.sqrt(sizes[kept])
    largest = np.abs(scores).argmax(axis=0)
    return np.asarray(scores * np.sign(scores[largest, np.arange(scores.shape[1])]))


def distances(gram: Float64Array) -> Float64Array:
    """Euclidean distances (n, n) between the samples."""
    squares = np.diag(gram)
    apart = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * gram, 0))
    np.fill_diagonal(apart, 0)
    return np.asarray(apart)


def normalised(points: Float64Array) -> Float64Array:
    """``points`` (n, 2) centred, with a root mean square distance of 1 from the centre."""
    centred = points - points.mean(axis=0)
    size = float(np.sqrt((centred**2).sum(axis=1).mean()))
    return np.asarray(centred / size if size > 0 else centred)


def turned(points: Float64Array, target: Float64Array) -> Float64Array:
    """``points`` (n, 2) rotated and reflected about the origin to lie as near to ``target`` as that can bring them.

    The orthogonal Procrustes problem (Schönemann 1966).
    """
    left, _, right = np.linalg.svd(points.T @ target)
    return np.asarray(points @ (left @ right))
