"""Profiles: how a property's causal effect is spread over places, and how alike two properties' profiles are.

A profile is a vector of effects, one per place (a site, a step window, or both). All functions are vectorised over
leading axes, so that thousands of bootstrap resamples are one call.
"""

import numpy as np

from outcrop.attribution.bootstrap import FloatArray, divide


def weighted_profiles(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Mean effects (r, property, place) of ``values`` (property, pair, place) under ``weights`` (r, pair).

    A pair that does not count for a property is NaN there, and left out.
    """
    known = ~np.isnan(values[:, :, :1])
    filled = np.where(known, values, 0.0)
    total = np.einsum("rn,pnk->rpk", weights, known.astype(np.float64))
    sums = np.einsum("rn,pns->rps", weights, filled)
    return divide(sums, total)


def cross_products(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Inner products (r, property, property) of the true profiles, free of the bias that sampling noise brings.

    The square of a noisy mean is too large by its variance. The U-statistic multiplies the effect of one pair with that
    of *another* only (as unbiased kernel statistics do: Song et al. 2012, equation 5), and in a bootstrap resample
    ``weights`` (r, pair) a pair is never multiplied with its own copies. ``values``: (property, pair, place).
    """
    known = ~np.isnan(values[:, :, :1])
    filled = np.where(known, values, 0.0)
    own = np.einsum("pns,qns->pqn", filled, filled)
    both = np.einsum("pnk,qnk->pqn", known.astype(np.float64), known.astype(np.float64))
    sums = np.einsum("rn,pns->rps", weights, filled)
    total = weights @ known[:, :, 0].T.astype(np.float64)
    squares = np.square(weights)
    products = np.einsum("rps,rqs->rpq", sums, sums) - np.einsum("rn,pqn->rpq", squares, own)
    counts = total[:, :, None] * total[:, None, :] - np.einsum("rn,pqn->rpq", squares, both)
    return divide(products, counts)


def overlaps(products: FloatArray) -> FloatArray:
    """Cosines (r, property, property) of the angle between profiles, by :func:`cross_products`; NaN without effect."""
    strength = np.diagonal(products, axis1=1, axis2=2)
    scale = strength[:, :, None] * strength[:, None, :]
    positive = (strength[:, :, None] > 0) & (strength[:, None, :] > 0)
    return divide(products, np.sqrt(np.where(positive, scale, 0.0)))


def shares(profiles: FloatArray) -> FloatArray:
    """Profiles (..., place) as parts of a whole, effects below 0 as 0; NaN where nothing is left."""
    positive = np.maximum(profiles, 0.0)
    total = positive.sum(-1, keepdims=True)
    return divide(positive, total)


def entropy_concentration(profiles: FloatArray) -> FloatArray:
    """1 - entropy / log(places) of the shares: 0 spread evenly, 1 all at one place; NaN for a single place."""
    parts = shares(profiles)
    logs = np.log(parts, out=np.zeros(parts.shape), where=parts > 0)
    entropy = -(parts * logs).sum(-1)
    places = profiles.shape[-1]
    return 1 - entropy / np.log(places) if places > 1 else np.full(entropy.shape, np.nan)


def gini(profiles: FloatArray) -> FloatArray:
    """Gini coefficient of the shares, times places / (places - 1): 0 spread evenly, 1 all at one place."""
    parts = np.sort(shares(profiles), axis=-1)
    places = parts.shape[-1]
    if places < 2:
        return np.full(parts.shape[:-1], np.nan)
    ranks = 2 * np.arange(1, places + 1) - places - 1
    spread: FloatArray = (parts * ranks).sum(-1) / (places - 1)
    return spread


def jensen_shannon(profiles: FloatArray, others: FloatArray) -> FloatArray:
    """Jensen-Shannon distance (root of the divergence, base 2) of the shares: 0 to 1 (Endres and Schindelin 2003)."""
    p, q = shares(profiles), shares(others)
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    return np.sqrt(np.maximum(divergence, 0.0))


def earth_mover(profiles: FloatArray, others: FloatArray, depth: FloatArray) -> FloatArray:
    """Earth mover's distance of the shares over ``depth`` (place,), in units of depth (Vallender 1974)."""
    order = np.argsort(depth, kind="stable")
    apart = np.cumsum((shares(profiles) - shares(others))[..., order], axis=-1)
    moved: FloatArray = (np.abs(apart[..., :-1]) * np.diff(depth[order])).sum(-1)
    return moved


def _relative_entropy(p: FloatArray, q: FloatArray) -> FloatArray:
    ratio = np.divide(p, q, out=np.ones(p.shape), where=p > 0)
    divergence: FloatArray = (p * np.log2(ratio)).sum(-1)
    return divergence
