"""Measures of alignment against their definitions, their invariances and planted truths."""

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.stats import ortho_group, spearmanr
from sklearn.cross_decomposition import CCA

from outcrop.data.errors import InputError
from outcrop.probes.alignment import AT_ONCE, alignment_by_size, alignment_matrix

MEASURES = ("cka", "rbf-cka", "mutual-knn", "rsa", "procrustes", "svcca")
N = 60


def sites(*, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((N, 4))
    return [
        shared @ rng.standard_normal((4, d)) + noise * rng.standard_normal((N, d)) for d, noise in ((7, 1), (12, 2))
    ]


def unbiased_hsic(k: np.ndarray, m: np.ndarray) -> float:
    """Song et al. 2012, equation 5."""
    k, m, n = k - np.diag(np.diag(k)), m - np.diag(np.diag(m)), len(k)
    one = np.ones(n)
    middle = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    return float((np.trace(k @ m) + middle - 2 / (n - 2) * (one @ k @ m @ one)) / (n * (n - 3)))


@pytest.mark.parametrize("measure", ["cka", "rbf-cka"])
def test_cka_is_the_ratio_of_unbiased_hsic(measure: str) -> None:
    def gram(x: np.ndarray) -> np.ndarray:
        if measure == "cka":
            return x @ x.T
        distances = np.linalg.norm(x[:, None] - x, axis=2)
        return np.exp(-(distances**2) / (2 * np.median(distances[np.triu_indices(N, 1)] ** 2)))

    k, m = map(gram, sites())
    expected = unbiased_hsic(k, m) / np.sqrt(unbiased_hsic(k, k) * unbiased_hsic(m, m))
    assert alignment_matrix(sites(), measure=measure)[0, 1] == pytest.approx(expected)


def test_mutual_neighbours_are_counted() -> None:
    def nearest(x: np.ndarray, i: int) -> set[int]:
        cosines = x @ x[i] / np.linalg.norm(x, axis=1)
        return set([j for j in np.argsort(-cosines) if j != i][:5])

    x, y = sites()
    expected = np.mean([len(nearest(x, i) & nearest(y, i)) / 5 for i in range(N)])
    assert alignment_matrix([x], [y], measure="mutual-knn", neighbours=5)[0, 0] == pytest.approx(expected)


def test_rsa_is_a_rank_correlation_of_distances() -> None:
    x, y = (1 - np.corrcoef(site)[np.triu_indices(N, 1)] for site in sites())
    assert alignment_matrix(sites(), measure="rsa")[0, 1] == pytest.approx(spearmanr(x, y).statistic)


def test_procrustes_is_what_the_best_rotation_reaches() -> None:
    x, y = ((site - site.mean(0)) / np.linalg.norm(site - site.mean(0)) for site in sites())
    wide = np.concatenate([x, np.zeros((N, 5))], axis=1)
    turned = wide @ orthogonal_procrustes(wide, y)[0]
    assert alignment_matrix(sites(), measure="procrustes")[0, 1] == pytest.approx((turned * y).sum())


@pytest.mark.parametrize("measure", MEASURES)
def test_a_rotation_and_a_scale_change_nothing(measure: str) -> None:
    """For "rsa", whose correlations run over features, an exchange of features."""
    x = sites()[0]
    turn = np.eye(7)[::-1] if measure == "rsa" else ortho_group.rvs(7, random_state=0)
    np.testing.assert_allclose(alignment_matrix([x, 3 * x @ turn], measure=measure), 1, atol=1e-9)


def test_a_single_feature_has_no_correlations_to_compare() -> None:
    x = sites()[0]
    assert alignment_matrix([x], [x[:, :1]], measure="rsa").tolist() == [[0.0]]


@pytest.mark.parametrize("measure", ["cka", "rbf-cka", "rsa"])
def test_unrelated_sites_get_nothing_however_wide(measure: str) -> None:
    rng = np.random.default_rng(0)
    found = [
        alignment_matrix([rng.standard_normal((40, 200))], [rng.standard_normal((40, 200))], measure=measure)[0, 0]
        for _ in range(20)
    ]
    assert abs(np.mean(found)) < 0.03


def test_a_matrix_of_two_lists_is_a_part_of_the_whole() -> None:
    three = [*sites(), sites(seed=1)[0]]
    for measure in MEASURES:
        whole = alignment_matrix(three, measure=measure)
        np.testing.assert_allclose(alignment_matrix(three[:1], three[1:], measure=measure), whole[:1, 1:])
        np.testing.assert_allclose(whole, whole.T)
        assert whole[0, 1] > whole[0, 2]


@pytest.mark.parametrize("measure", ["cka", "rbf-cka"])
def test_a_second_list_of_any_length_is_compared_in_its_order(measure: str) -> None:
    many = [site for seed in range(AT_ONCE) for site in sites(seed=seed)]
    found = alignment_matrix(sites()[:1], many[:-1], measure=measure)
    np.testing.assert_allclose(found[0], alignment_matrix(many, measure=measure)[0, :-1])


@pytest.mark.parametrize(
    ("first", "settings", "message"),
    [
        ([np.ones((5, 2)), np.ones((6, 2))], {}, r"the same n samples. Got the shapes \[\(5, 2\), \(6, 2\)"),
        ([np.ones((5, 2))], {}, "Site 0 is the same for all 5 samples"),
        ([np.array([[np.nan], [1], [2], [3]])], {}, "Site 0 holds values that are NaN"),
        ([np.eye(3)], {}, "at least 4 samples"),
        ([np.eye(8)], {"measure": "mutual-knn", "neighbours": 8}, "more than neighbours=8. Got 8"),
        ([np.eye(8)], {"measure": "kca"}, "measure must be one of"),
    ],
)
def test_what_cannot_be_aligned_is_named(first: list[np.ndarray], settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        alignment_matrix(first, **settings)


def test_svcca_is_the_mean_canonical_correlation_of_the_kept_directions() -> None:
    kept = []
    for x in sites(seed=4):
        centred = x - x.mean(0)
        left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
        kept.append(left[:, : 1 + int((np.cumsum(sizes**2) < 0.99 * (sizes**2).sum()).sum())])
    cca = CCA(n_components=min(part.shape[1] for part in kept), max_iter=5000, tol=1e-10).fit(*kept)
    scores = cca.transform(*kept)
    expected = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(scores[0].T, scores[1].T, strict=True)])
    assert alignment_matrix(sites(seed=4)[:1], sites(seed=4)[1:], measure="svcca")[0, 0] == pytest.approx(
        expected, abs=1e-3
    )


def test_with_more_samples_what_is_shared_stays_and_what_is_not_falls() -> None:
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((400, 3))
    x, y = (np.concatenate([shared, rng.standard_normal((400, 20))], axis=1) for _ in range(2))
    curve = alignment_by_size(x, y, [40, 400], measure="svcca", repeats=5)
    assert (curve["alignment"] > curve["unrelated"]).all()
    assert curve["unrelated"].iloc[0] > 2 * curve["unrelated"].iloc[1]
    debiased = alignment_by_size(x, y, [40, 400], repeats=5)
    assert debiased["unrelated"].abs().max() < 0.1
    assert (debiased["low"] <= debiased["alignment"]).all()
    with pytest.raises(InputError, match=r"at most the 400 samples there are. Got \(500,\)"):
        alignment_by_size(x, y, [500])


@pytest.mark.parametrize(
    ("sizes", "settings", "message"),
    [
        ([10], {"repeats": 0}, "repeats must be at least 1. Got 0"),
        ([10], {"seed": -1}, "seed must be at least 0. Got -1"),
        ([10.5], {}, "each of sizes must be a whole number. Got 10.5"),
        ([3], {}, "each of sizes must be at least 4. Got 3"),
        (10, {}, r"sizes must be a sequence. Got 10; write \(10,\)"),
        ([], {}, "sizes must name at least one"),
    ],
)
def test_sizes_and_repeats_without_sense_are_refused(
    sizes: list[int], settings: dict[str, object], message: str
) -> None:
    x = np.random.default_rng(0).standard_normal((20, 3))
    with pytest.raises(InputError, match=message):
        alignment_by_size(x, x, sizes, **settings)


def test_no_neighbours_are_refused() -> None:
    x = np.random.default_rng(0).standard_normal((20, 3))
    with pytest.raises(InputError, match=r"neighbours must be at least 1\. Got 0"):
        alignment_matrix([x, x], measure="mutual-knn", neighbours=0)
