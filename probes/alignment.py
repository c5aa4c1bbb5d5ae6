"""How alike two sites represent the same samples, whatever their widths and bases.

Most measures are the cosine of two long vectors, each made from one site alone: a site's vector is made once and
serves all its pairs, and all pairs are one product.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from scipy.stats import rankdata

from outcrop.data.errors import InputError

Float64Array = NDArray[np.float64]
Measure = Literal["cka", "rbf-cka", "mutual-knn", "rsa", "procrustes", "svcca"]

LEAST_SAMPLES = 4
KEPT_VARIANCE = 0.99
"""Share of a site's variance whose principal directions SVCCA compares."""


def alignment_matrix(
    first: Sequence[NDArray[np.floating]],
    second: Sequence[NDArray[np.floating]] | None = None,
    *,
    measure: Measure = "cka",
    neighbours: int = 10,
) -> Float64Array:
    """Alignment (a, b) of each of the a sites ``first`` with each of the b sites ``second`` (default: ``first``).

    A site is its features (n, d) of the same n samples, d as it may be. 1 is the most; what unrelated sites get is
    about 0 for "cka", "rbf-cka" and "rsa", ``neighbours`` / (n - 1) for "mutual-knn", and more than 0 for
    "procrustes" and "svcca", where it falls with n (:func:`alignment_by_size`). A site in which a measure
    sees no differences gets 0.

    "cka": linear centred kernel alignment (Kornblith et al. 2019, arXiv:1905.00414), debiased, so that it does not rise
    with the width (Song et al. 2012; Székely and Rizzo 2014, U-centring); "rbf-cka": the same with a Gaussian kernel of
    the median distance; "mutual-knn": the share of a sample's ``neighbours`` nearest by cosine that both sites agree on
    (Huh et al. 2024, arXiv:2405.07987); "rsa": Spearman correlation of the samples' correlation distances (Kriegeskorte
    et al. 2008); "procrustes": nuclear norm of the cross-product of the centred features of unit norm, the best that a
    rotation can do (Williams et al. 2021, arXiv:2110.14739, its arc cosine is a metric); "svcca": mean canonical
    correlation of the principal directions that hold 99 % of each site's variance (Raghu et al. 2017,
    arXiv:1706.05806), over the fewer of the two sites' directions.

    Raises :class:`InputError` for sites of different n, fewer than 4 samples, values that are not finite, a site that
    is constant, and ``neighbours`` not below n.

    >>> x = np.random.default_rng(0).standard_normal((50, 6))
    >>> alignment_matrix([x], [2 * x[:, ::-1] + 1]).round(6).tolist()
    [[1.0]]
    """
    others = first if second is None else second
    count = _check(
        chain(first, () if second is None else second), neighbours=neighbours if measure == "mutual-knn" else 0
    )
    if measure in BASES:
        return _rotated(first, others, BASES[measure], mean=measure == "svcca")
    makers: dict[str, Callable[[Float64Array], Float64Array]] = {
        "cka": lambda x: _debiased(_products(_centred(x))),
        "rbf-cka": lambda x: _debiased(_gaussian(x)),
        "rsa": lambda x: _unit(_centred(rankdata(_correlation_distances(x)))),
    }
    if measure == "mutual-knn":
        near = vstack([_nearest(x.astype(np.float64), neighbours) for x in first])
        other = near if second is None else vstack([_nearest(x.astype(np.float64), neighbours) for x in second])
        return np.asarray((near @ other.T).toarray() / (count * neighbours))
    if measure not in makers:
        raise InputError(f"measure must be one of {[*makers, 'mutual-knn', *BASES]}. Got {measure!r}.")
    vectors = np.stack([makers[measure](x.astype(np.float64)) for x in first])
    if second is None:
        return np.asarray(vectors @ vectors.T)
    return np.asarray(vectors @ np.stack([makers[measure](x.astype(np.float64)) for x in second]).T)


def alignment_by_size(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    sizes: Sequence[int],
    *,
    measure: Measure = "cka",
    neighbours: int = 10,
    repeats: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Alignment of two sites (n, d) and (n, e) on random subsets of each of ``sizes`` samples.

    What is true of the sites stays as the size grows; what falls is due to few samples. Rows: ``samples``,
    ``alignment`` (mean over ``repeats`` subsets), ``low``, ``high`` (their 2.5 and 97.5 % quantiles), ``unrelated``
    (the mean with the second site's samples in a random order: what the measure gives for nothing). Raises
    :class:`InputError` for sizes beyond n, and as :func:`alignment_matrix`.
    """
    count = _check([first, second], neighbours=0)
    if not sizes or max(sizes) > count:
        raise InputError(f"sizes must be at most the {count} samples there are. Got {tuple(sizes)}.")
    rng, rows = np.random.default_rng(seed), []
    for size in sorted(sizes):
        found = []
        for _ in range(repeats):
            chosen, other = rng.permutation(count)[:size], rng.permutation(count)[:size]
            sites = [second[chosen], second[other]]
            found.append(alignment_matrix([first[chosen]], sites, measure=measure, neighbours=neighbours)[0])
        own, unrelated = np.array(found).T
        low, high = np.quantile(own, [0.025, 0.975])
        rows.append((size, own.mean(), low, high, unrelated.mean()))
    return pd.DataFrame(rows, columns=["samples", "alignment", "low", "high", "unrelated"])


def _rotated(
    first: Sequence[NDArray[np.floating]],
    second: Sequence[NDArray[np.floating]],
    basis: Callable[[Float64Array], Float64Array],
    *,
    mean: bool,
) -> Float64Array:
    """Nuclear norms of the cross-products of what ``basis`` makes of the sites, over the fewer columns if ``mean``."""
    left = [basis(_centred(x)) for x in first]
    right = left if second is first else [basis(_centred(x)) for x in second]
    result = np.array([[np.linalg.norm(x.T @ y, ord="nuc") for y in right] for x in left])
    if not mean:
        return result
    return np.asarray(result / np.array([[min(x.shape[1], y.shape[1]) for y in right] for x in left]))


def _principal(centred: Float64Array) -> Float64Array:
    """Orthonormal coordinates (n, r) along the principal directions that hold ``KEPT_VARIANCE``."""
    coordinates, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    held = np.cumsum(sizes**2) / (sizes**2).sum()
    return np.asarray(coordinates[:, : int(np.searchsorted(held, KEPT_VARIANCE)) + 1])


def _check(sites: Iterable[NDArray[np.floating]], *, neighbours: int) -> int:
    """How many samples they have. Each site is looked at once: they need not be in memory together."""
    found = [(x.shape, _fault(x)) for x in sites]
    shapes: list[tuple[int, ...]] = [shape for shape, _ in found]
    if not shapes or any(len(shape) != 2 or shape[0] != shapes[0][0] for shape in shapes):
        raise InputError(f"Sites must be features (n, d) of the same n samples. Got the shapes {shapes}.")
    count = shapes[0][0]
    if count < max(LEAST_SAMPLES, neighbours + 1):
        raise InputError(
            f"Alignment needs at least {LEAST_SAMPLES} samples, and more than neighbours={neighbours}. Got {count}."
        )
    for number, (_, fault) in enumerate(found):
        if fault:
            raise InputError(f"Site {number} {fault}. Leave it out.")
    return count


def _fault(x: NDArray[np.floating]) -> str:
    if not np.isfinite(x).all():
        return "holds values that are NaN or infinite"
    if len(x) and (x == x[0]).all():
        return f"is the same for all {len(x)} samples: it aligns with nothing"
    return ""


def _centred(values: NDArray[np.floating]) -> Float64Array:
    result: Float64Array = values - values.mean(0, dtype=np.float64)
    return result


def _unit(values: Float64Array) -> Float64Array:
    norm = float(np.linalg.norm(values))
    return np.asarray(values / norm if norm > 0 else values)


def _debiased(gram: Float64Array) -> Float64Array:
    """The U-centred Gram matrix (n, n) above its diagonal, as a unit vector: it is symmetric, and 0 on the diagonal."""
    n = len(gram)
    np.fill_diagonal(gram, 0)
    means = gram.sum(0) / (n - 2)
    gram -= means
    gram -= means[:, None]
    gram += means.sum() / (n - 1)
    return _unit(_upper(gram))


def _products(x: Float64Array) -> Float64Array:
    """All inner products of rows: of one array with itself, NumPy computes only half."""
    return np.asarray(x @ x.T)


def _upper(square: Float64Array) -> Float64Array:
    """What stands above the diagonal, row by row; slices are many times as fast as indices."""
    return np.concatenate([row[place:] for place, row in enumerate(square, start=1)])


def _correlation_distances(x: Float64Array) -> Float64Array:
    """1 - correlation over features of all pairs of rows, 1 where a row is constant."""
    directions = _directions(x - x.mean(1, keepdims=True))
    return np.asarray(_upper(1 - directions @ directions.T))


def _directions(x: Float64Array) -> Float64Array:
    """Rows of unit length; rows of zeros stay so."""
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(norms > 0, norms, 1))


def _gaussian(x: Float64Array) -> Float64Array:
    """exp(-distance^2 / (2 median^2)) of all pairs of rows."""
    x = _centred(x)
    norms = (x**2).sum(1)
    squares = np.maximum(norms + norms[:, None] - 2 * x @ x.T, 0)
    median = np.median(_upper(squares))
    return np.asarray(np.exp(-squares / (2 * max(median, np.finfo(np.float64).tiny))))


def _nearest(x: Float64Array, neighbours: int) -> csr_array:
    """1 where column j is among the ``neighbours`` rows nearest to row i by cosine, (1, n * n)."""
    likeness = _products(_directions(x))
    np.fill_diagonal(likeness, -np.inf)
    chosen = np.argpartition(-likeness, neighbours - 1, axis=1)[:, :neighbours]
    places = np.sort(chosen, axis=1) + len(x) * np.arange(len(x), dtype=np.int64)[:, None]
    return csr_array((np.ones(places.size), places.ravel(), np.array([0, places.size])), shape=(1, len(x) ** 2))


BASES: dict[str, Callable[[Float64Array], Float64Array]] = {"procrustes": _unit, "svcca": _principal}
"""Measures that compare sites after a rotation, and what each makes of centred features."""
