"""CPU time of the alignment of all pairs of sites, against one pair after the other, in the same process.

Run ``python benchmarks/alignment.py --help``. Both are given the same features, and their matrices are compared. The
pair-by-pair loop is what a paper's formula says, with NumPy: two Gram matrices (or two lists of neighbours) for each
pair. A part of its pairs is timed, and the time scaled to all of them. Run it with OMP_NUM_THREADS=1.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from outcrop.probes.alignment import alignment_matrix

Matrix = NDArray[np.float64]


def make_sites(count: int, *, n: int, d: int, seed: int) -> list[Matrix]:
    """Sites that share less and less: a chain of noisy mixtures."""
    rng = np.random.default_rng(seed)
    sites = [rng.standard_normal((n, d))]
    for _ in range(count - 1):
        mixed = sites[-1] @ rng.standard_normal((d, d)) / np.sqrt(d)
        sites.append(np.tanh(mixed) + 0.3 * rng.standard_normal((n, d)))
    return sites


def pair_cka(x: Matrix, y: Matrix) -> float:
    """Debiased linear CKA by the unbiased HSIC (Song et al. 2012, equation 5)."""
    grams = []
    for site in (x, y):
        centred = site - site.mean(0)
        gram = centred @ centred.T
        np.fill_diagonal(gram, 0)
        grams.append(gram)
    k, m = grams
    return float(_hsic(k, m) / np.sqrt(_hsic(k, k) * _hsic(m, m)))


def _hsic(k: Matrix, m: Matrix) -> float:
    n = len(k)
    first, second = k.sum(0), m.sum(0)
    middle = first.sum() * second.sum() / ((n - 1) * (n - 2))
    return float(((k * m).sum() + middle - 2 / (n - 2) * (first @ second)) / (n * (n - 3)))


def pair_neighbours(x: Matrix, y: Matrix, neighbours: int = 10) -> float:
    """Mean share of common neighbours by cosine (Huh et al. 2024)."""
    chosen = []
    for site in (x, y):
        unit = site / np.linalg.norm(site, axis=1, keepdims=True)
        likeness = unit @ unit.T
        np.fill_diagonal(likeness, -np.inf)
        chosen.append(np.argpartition(-likeness, neighbours - 1, axis=1)[:, :neighbours])
    shared = [len(np.intersect1d(own, other)) for own, other in zip(*chosen, strict=True)]
    return float(np.mean(shared) / neighbours)


def timed(work: Callable[[], object]) -> tuple[float, object]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", type=int, default=40)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--pairs", type=int, default=30, help="Pairs of the loop that are timed.")
    settings = parser.parse_args()
    first, second = (make_sites(settings.sites, n=settings.samples, d=settings.width, seed=seed) for seed in (0, 1))
    second = [site + other for site, other in zip(second, first, strict=True)]
    rng, count = np.random.default_rng(2), settings.sites
    pairs = [(int(a), int(b)) for a, b in rng.integers(count, size=(settings.pairs, 2))]
    print("| measure | pair by pair, s | outcrop, s | ratio | largest difference |\n| --- | --- | --- | --- | --- |")
    for measure, pair in (("cka", pair_cka), ("mutual-knn", pair_neighbours)):
        loop, values = timed(lambda pair=pair: [pair(first[a], second[b]) for a, b in pairs])
        shared, matrix = timed(lambda measure=measure: alignment_matrix(first, second, measure=measure))
        differences = [abs(matrix[a, b] - value) for (a, b), value in zip(pairs, values, strict=True)]
        whole = loop / len(pairs) * count**2
        print(f"| {measure} | {whole:.0f} | {shared:.1f} | {whole / shared:.0f} | {max(differences):.0e} |", flush=True)


if __name__ == "__main__":
    main()
