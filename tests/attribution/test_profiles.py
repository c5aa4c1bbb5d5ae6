import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from outcrop.attribution.profiles import (
    cross_products,
    earth_mover,
    entropy_concentration,
    gini,
    jensen_shannon,
    overlaps,
    shares,
    weighted_profiles,
)


def test_distances_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    p, q, depth = rng.random((5, 7)), rng.random((5, 7)), rng.permutation(np.linspace(0, 1, 7))
    np.testing.assert_allclose(jensen_shannon(p, q), jensenshannon(p, q, base=2, axis=1))
    expected = [wasserstein_distance(depth, depth, one, other) for one, other in zip(p, q, strict=True)]
    np.testing.assert_allclose(earth_mover(p, q, depth), expected)


@pytest.mark.parametrize("measure", [entropy_concentration, gini])
def test_concentration_is_0_when_spread_evenly_and_1_at_one_place(measure: "entropy_concentration") -> None:
    profiles = np.array([[0.3, 0.3, 0.3, 0.3], [0, 0, 0.4, 0], [0.5, 0.5, 0, 0], [0.9, 0.1, -0.2, 0]])
    even, single, two, skew = measure(profiles)
    assert even == pytest.approx(0)
    assert single == pytest.approx(1)
    assert 0 < two < skew < 1
    assert np.isnan(measure(np.array([[0.0, -1.0]]))).all()
    assert np.isnan(measure(np.array([[1.0]]))).all()


def test_cross_products_are_unbiased_also_with_gaps_and_in_resamples() -> None:
    rng = np.random.default_rng(0)
    truth = np.array([[0.5, 0.1, 0.0], [0.2, 0.2, 0.3]])
    found = []
    for _ in range(3000):
        values = truth[:, None] + rng.normal(size=(2, 12, 3))
        values[0, rng.random(12) < 0.2] = np.nan
        found.append(cross_products(values, np.ones((1, 12)))[0])
    np.testing.assert_allclose(np.mean(found, axis=0), truth @ truth.T, atol=0.04)
    counts = rng.multinomial(8, np.full(8, 1 / 8), size=4000).astype(float)
    values = rng.normal(size=(1, 8, 3))
    assert cross_products(values, counts).mean() == pytest.approx(
        cross_products(values, np.ones((1, 8))).item(), abs=0.05
    )


def test_overlap_and_means_of_known_profiles() -> None:
    values = np.repeat(np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 0.0]])[:, None], 4, axis=1)
    weights = np.ones((1, 4))
    np.testing.assert_allclose(weighted_profiles(values, weights)[0, 1], [0.5, 0.5])
    cosines = overlaps(cross_products(values, weights))[0]
    assert cosines[0, 1] == pytest.approx(np.sqrt(0.5))
    assert np.isnan(cosines[2]).all()
    np.testing.assert_allclose(shares(values[0, 0]), [1, 0])
