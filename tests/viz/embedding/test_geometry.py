import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import pairwise_distances
from sklearn.preprocessing import StandardScaler

from outcrop.viz.embedding.geometry import distances, normalised, principal_scores, products, turned


@pytest.mark.parametrize("shape", [(40, 6), (20, 5000)], ids=["narrow", "wider than a block"])
def test_scores_and_distances_are_those_of_the_standardised_features(shape: tuple[int, int]) -> None:
    features = np.random.default_rng(0).standard_normal(shape) @ np.diag(np.linspace(1, 9, shape[1])) + 3
    standard = StandardScaler().fit_transform(features) / np.sqrt(shape[1])
    gram = products(features)
    assert np.allclose(distances(gram), pairwise_distances(standard))
    scores = principal_scores(gram, count=4)
    assert np.allclose(np.abs(scores), np.abs(PCA(4, svd_solver="full").fit_transform(standard)))
    assert (scores[np.abs(scores).argmax(0), range(4)] > 0).all()


def test_features_that_stand_still_count_for_nothing() -> None:
    rng = np.random.default_rng(1)
    moving = rng.standard_normal((30, 3))
    still = np.column_stack([moving, np.full(30, 7.0), 5e4 + 1e-4 * rng.standard_normal(30)])
    assert np.allclose(products(moving), products(still))
    assert not products(np.full((30, 4), 2.5)).any()
    assert principal_scores(np.zeros((30, 30)), count=5).shape == (30, 0)


def test_a_turned_and_mirrored_map_is_turned_back() -> None:
    points = normalised(np.random.default_rng(2).standard_normal((25, 2)))
    mirror = np.array([[np.cos(2), np.sin(2)], [np.sin(2), -np.cos(2)]])
    assert np.allclose(turned(points @ mirror, points), points)
    assert np.allclose(points.mean(0), 0)
    assert np.isclose((points**2).sum(1).mean(), 1)
