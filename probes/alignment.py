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
from outcrop.probes.checks import check_whole, check_wholes

Float64Array = NDArray[np.float64]
Measure = Literal["cka", "rbf-cka", "mutual-knn", "rsa", "procrustes", "svcca"]

Gram = Callable[[NDArray[np.floating], Float64Array], None]

LEAST_SAMPLES = 4
AT_ONCE = 8
"""Gram matrices of the second list that are held beside all of the first."""

ROUNDING = 1e-12
"""Of a Gram matrix that is centred to less than this share of its square, only rounding errors are left."""

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
    check_whole("neighbours", neighbours, least=1)
    others = first if second is None else second
    count = _check(
        chain(first, () if second is None else second), neighbours=neighbours if measure == "mutual-knn" else 0
    )
    if measure in BASES:
        return _rotated(first, others, BASES[measure], mean=measure == "svcca")
    if measure in GRAMS:
        return _debiased(first, second, GRAMS[measure])
    if measure == "mutual-knn":
        near = vstack([_nearest(x.astype(np.float64), neighbours) for x in first])
        other = near if second is None else vstack([_nearest(x.astype(np.float64), neighbours) for x in second])
        return np.asarray((near @ other.T).toarray() / (count * neighbours))
    if measure != "rsa":
        raise InputError(f"measure must be one of {[*GRAMS, 'mutual-knn', 'rsa', *BASES]}. Got {measure!r}.")
    ranks = np.stack([_ranks(x) for x in first])
    return np.asarray(ranks @ (ranks if second is None else np.stack([_ranks(x) for x in second])).T)


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
    :class:`InputError` for sizes beyond n or below 4, for no ``repeats``, and as :func:`alignment_matrix`.
    """
    check_whole("repeats", repeats, least=1)
    check_whole("seed", seed, least=0)
    sizes = check_wholes("sizes", sizes, least=LEAST_SAMPLES)
    count = _check([first, second], neighbours=0)
    if max(sizes) > count:
        raise InputError(f"sizes must be at most the {count} samples there are. Got {sizes}.")
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


def _debiased(
    first: Sequence[NDArray[np.floating]],
    second: Sequence[NDArray[np.floating]] | None,
    gram: Gram,
) -> Float64Array:
    """Cosines (a, b) of the U-centred Gram matrices (n, n) that ``gram`` makes of the sites.

    Nothing is centred: with zeros on the diagonals, the product of two U-centred matrices is that of the matrices as
    they are, less what their row sums tell (Song et al. 2012, equation 5). Only ``first`` is held as a whole; memory is
    used again wherever it can be, as to be given fresh memory takes longer than to fill it.
    """
    n, square = len(first[0]), np.empty((len(first[0]), len(first[0])))
    above, sums = np.empty((len(first), n * (n - 1) // 2)), np.empty((len(first), n))
    _fill(first, gram, square=square, above=above, sums=sums)
    norms = _norms(above, sums)
    if second is None:
        return np.asarray(_centred_products(above @ above.T, sums, sums) * norms[:, None] * norms)
    parts = []
    held, total = np.empty((min(AT_ONCE, len(second)), above.shape[1])), np.empty((min(AT_ONCE, len(second)), n))
    for at in range(0, len(second), AT_ONCE):
        sites = second[at : at + AT_ONCE]
        flat, own = held[: len(sites)], total[: len(sites)]
        _fill(sites, gram, square=square, above=flat, sums=own)
        parts.append(_centred_products(above @ flat.T, sums, own) * norms[:, None] * _norms(flat, own))
    return np.concatenate(parts, axis=1)


def _fill(
    sites: Sequence[NDArray[np.floating]],
    gram: Gram,
    *,
    square: Float64Array,
    above: Float64Array,
    sums: Float64Array,
) -> None:
    """Write what stands above the diagonals of the sites' Gram matrices to ``above`` (s, n (n - 1) / 2), and the
    ``sums`` (s, n) of their rows without the diagonal; ``square`` (n, n) is worked in.
    """
    for flat, total, x in zip(above, sums, sites, strict=True):
        gram(x, square)
        np.fill_diagonal(square, 0)
        square.sum(0, out=total)
        _upper(square, out=flat)


def _centred_products(products: Float64Array, first: Float64Array, second: Float64Array) -> Float64Array:
    """Products (a, b) of U-centred halves from ``products`` of halves as they are, and sums of rows (a, n), (b, n)."""
    n = first.shape[1]
    totals = first.sum(1)[:, None] * second.sum(1) / (2 * (n - 1) * (n - 2))
    return np.asarray(products + totals - first @ second.T / (n - 2))


def _norms(above: Float64Array, sums: Float64Array) -> Float64Array:
    """One over the length (s,) of each U-centred half; 0 where nothing but rounding is left of it."""
    squares = np.einsum("si,si->s", above, above)
    left = np.array(
        [_centred_products(np.array([[s]]), own, own)[0, 0] for s, own in zip(squares, sums[:, None], strict=True)]
    )
    there = left > ROUNDING * squares
    return np.where(there, 1 / np.sqrt(np.where(there, left, 1)), 0)


def _products(x: Float64Array, out: Float64Array | None = None) -> Float64Array:
    """All inner products of rows: of one array with itself, NumPy computes only half."""
    return np.matmul(x, x.T, out=out)


def _upper(square: Float64Array, *, out: Float64Array | None = None) -> Float64Array:
    """What stands above the diagonal, row by row; slices are many times as fast as indices."""
    return np.concatenate([row[place:] for place, row in enumerate(square, start=1)], out=out)


def _ranks(x: NDArray[np.floating]) -> Float64Array:
    """The ranks of all correlation distances, centred and of unit length."""
    return _unit(_centred(rankdata(_correlation_distances(x.astype(np.float64)))))


def _correlation_distances(x: Float64Array) -> Float64Array:
    """1 - correlation over features of all pairs of rows, 1 where a row is constant."""
    directions = _directions(x - x.mean(1, keepdims=True))
    return np.asarray(_upper(1 - directions @ directions.T))


def _directions(x: Float64Array) -> Float64Array:
    """Rows of unit length; rows of zeros stay so."""
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(norms > 0, norms, 1))


def _gaussian(x: NDArray[np.floating], out: Float64Array) -> None:
    """exp(-distance^2 / (2 median^2)) of all pairs of rows."""
    x = _centred(x)
    norms = (x**2).sum(1)
    np.maximum(norms + norms[:, None] - 2 * _products(x, out), 0, out=out)
    median = np.median(_upper(out))
    np.exp(-out / (2 * max(median, np.finfo(np.float64).tiny)), out=out)


def _nearest(x: Float64Array, neighbours: int) -> csr_array:
    """1 where column j is among the ``neighbours`` rows nearest to row i by cosine, (1, n * n)."""
    likeness = _products(_directions(x))
    np.fill_diagonal(likeness, -np.inf)
    chosen = np.argpartition(-likeness, neighbours - 1, axis=1)[:, :neighbours]
    places = np.sort(chosen, axis=1) + len(x) * np.arange(len(x), dtype=np.int64)[:, None]
    return csr_array((np.ones(places.size), places.ravel(), np.array([0, places.size])), shape=(1, len(x) ** 2))


def _linear(x: NDArray[np.floating], out: Float64Array) -> None:
    """All inner products of the centred rows."""
    _products(_centred(x), out)


GRAMS: dict[str, Gram] = {"cka": _linear, "rbf-cka": _gaussian}
"""Measures that compare Gram matrices, and what writes that of features (n, d) to its second argument (n, n)."""

BASES: dict[str, Callable[[Float64Array], Float64Array]] = {"procrustes": _unit, "svcca": _principal}
"""Measures that compare sites after a rotation, and what each makes of centred features."""
