"""Directions and angles against their definitions and planted subspaces."""

import dataclasses

import numpy as np
import pytest
from scipy.linalg import subspace_angles as scipy_angles
from scipy.stats import ortho_group
from sklearn.neighbors import NearestCentroid

from outcrop.data.errors import InputError
from outcrop.probes.geometry import mean_directions, property_angles, subspace_angles
from outcrop.probes.sweep import ProbeSpec, probe

RNG = np.random.default_rng(0)


def test_mean_directions_name_the_nearest_class_mean() -> None:
    codes = RNG.integers(4, size=200)
    x = RNG.standard_normal((200, 9)) + RNG.standard_normal((4, 9))[codes]
    weights = mean_directions(x, codes, classes=4)
    named = (x @ weights.coef.T + weights.intercept).argmax(1)
    np.testing.assert_array_equal(named, NearestCentroid().fit(x, codes).predict(x))
    np.testing.assert_allclose(weights.coef.sum(0), 0, atol=1e-12)
    with pytest.raises(InputError, match="Class 4 has no rows"):
        mean_directions(x, codes, classes=5)
    codes = np.arange(6) % 2
    with pytest.raises(InputError, match="NaN or infinite"):
        mean_directions(np.full((6, 2), np.nan), codes, classes=2)
    with pytest.raises(InputError, match="numbers from 0"):
        mean_directions(np.ones((6, 2)), codes.astype(str), classes=2)


def test_angles_are_scipys_between_centred_directions() -> None:
    first, second = RNG.standard_normal((4, 20)), RNG.standard_normal((3, 20))
    expected = scipy_angles((first - first.mean(0)).T[:, :3], (second - second.mean(0)).T[:, :2])
    np.testing.assert_allclose(
        np.sort(subspace_angles(first, second).degrees), np.sort(np.degrees(expected)), atol=1e-5
    )


def test_shared_directions_are_counted_and_unrelated_ones_are_not() -> None:
    basis = ortho_group.rvs(60, random_state=1)

    def spanned(*columns: int) -> np.ndarray:
        rows = basis[list(columns)]
        return np.concatenate([rows, -rows.sum(0, keepdims=True)])

    shared = subspace_angles(spanned(0, 1, 2), spanned(1, 2, 5))
    np.testing.assert_allclose(shared.degrees, [0, 0, 90], atol=1e-3)
    assert shared.shared == 2
    assert shared.dimensions == (3, 3)
    counts = [subspace_angles(*RNG.standard_normal((2, 4, 60))).shared for _ in range(60)]
    assert np.mean(np.array(counts) > 0) <= 0.15


def test_in_the_metric_of_the_features_scales_do_not_matter() -> None:
    """Cosines with the covariance are the canonical correlations of the scores, whatever the units of a feature."""
    x, scales = RNG.standard_normal((5000, 6)), 10.0 ** RNG.uniform(-2, 2, size=6)
    first, second = RNG.standard_normal((2, 2, 6))
    plain = subspace_angles(first, second, covariance=np.cov(x.T))
    scaled = subspace_angles(first / scales, second / scales, covariance=np.cov((x * scales).T))
    np.testing.assert_allclose(plain.cosines, scaled.cosines, rtol=1e-6)
    scores = [x @ (rows[0] - rows[1]) for rows in (first, second)]
    assert plain.cosines[0] == pytest.approx(abs(np.corrcoef(*scores)[0, 1]))


def test_properties_in_the_same_directions_are_told_from_others(recording) -> None:
    content = recording.labels["content"]
    recording.labels["copy"] = content.map({"cat": "x", "dog": "y", "owl": "z"})
    spec = ProbeSpec(group_by=("template",), sites=("mid",), steps=(1,), bootstraps=20, strengths=(0.1,))
    with pytest.warns(UserWarning, match="confounded"):
        table = probe(recording, spec=spec)
    angles = property_angles(table, site="mid", step=1).set_index(["first", "second"])
    same, other = angles.loc[("content", "copy")], angles.loc[("content", "style")]
    assert same["smallest_angle"] < 1
    assert (same["shared"], same["dimensions"]) == (2, 2)
    assert other["smallest_angle"] > 20
    with pytest.raises(InputError, match=r"no probe at site 'mid', step 0"):
        property_angles(table, site="mid", step=0)
    alone = dataclasses.replace(table, frame=table.frame[table.frame["property"] == "style"])
    with pytest.raises(InputError, match=r"between two properties\. The table has only 'style' there"):
        property_angles(alone, site="mid", step=1)


@pytest.mark.parametrize(
    ("covariance", "message"),
    [
        (np.eye(5), r"of the features, \(4, 4\): .* Got the shape \(5, 5\)"),
        (np.full((4, 4), np.nan), "NaN or infinite"),
        (np.triu(np.ones((4, 4))), "not symmetric"),
        (-np.eye(4), "negative variances"),
        (np.zeros((4, 4)), "features that do not vary"),
    ],
)
def test_what_is_no_covariance_of_these_features_is_refused(covariance: np.ndarray, message: str) -> None:
    first, second = np.random.default_rng(0).standard_normal((2, 3, 4))
    with pytest.raises(InputError, match=message):
        subspace_angles(first, second, covariance=covariance)
