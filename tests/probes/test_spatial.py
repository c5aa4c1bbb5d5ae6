"""A spatial probe names cells by what stands in them, not by where they are."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from outcrop.data.errors import InputError
from outcrop.probes.regression import PENALTIES
from outcrop.probes.spatial import CellMap, Moments, spatial_probe
from outcrop.probes.spec import ProbeSpec

SIDE, N = 6, 240
SPEC = ProbeSpec(group_by=("template",), sites=("mid",), steps=(0, 1), bootstraps=100)


@pytest.fixture
def mapped(recording):
    """A blob of 2 x 2 cells in the upper half; ``mid`` marks it at step 1 in one channel, at step 0 nowhere."""
    rng = np.random.default_rng(0)
    codes = np.zeros((N, SIDE, SIDE), dtype=np.int64)
    for row, (top, left) in enumerate(rng.integers((2, SIDE - 1), size=(N, 2))):
        codes[row, top : top + 2, left : left + 2] = 1
    noise = rng.standard_normal((2, N, 5, SIDE, SIDE)).astype(np.float32)
    noise[1, :, 2] += 3 * codes
    recording.arrays["mid", 0], recording.arrays["mid", 1] = noise
    return recording, CellMap(codes, ("ground", "object"))


def test_an_object_is_found_where_its_cells_are_marked(mapped) -> None:
    recording, cells = mapped
    without, marked = spatial_probe(recording, cells, spec=SPEC).to_dict("records")
    assert marked["balanced_accuracy"] > 0.9
    assert marked["low"] > marked["position"] + 0.05
    assert marked["low"] <= marked["balanced_accuracy"] <= marked["high"]
    assert without["balanced_accuracy"] == pytest.approx(0.5, abs=0.03)
    assert without["position"] > 0.65
    assert max(without["control"], marked["control"]) < 0.56
    assert marked["cells"] == N * SIDE * SIDE


def test_moments_give_scikit_learns_ridge_and_its_error() -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(3, size=500)
    x = rng.standard_normal((500, 4)) + np.eye(3, 4)[codes]
    with_one = np.concatenate([x, np.ones((500, 1))], axis=1)
    moments = Moments(2, width=5, classes=3)
    for part in np.array_split(np.arange(500), 7):
        moments.update(with_one[part], codes[part], part % 2)
    both = np.ones(2, dtype=bool)
    found = moments.weights(both, PENALTIES)
    weight = 1 / (3 * np.bincount(codes)[codes])
    mean = weight @ x
    spread = ((x - mean) * weight[:, None]).T @ (x - mean)
    for penalty, own in zip(PENALTIES, found, strict=True):
        alpha = penalty * np.linalg.eigvalsh(spread).mean()
        ridge = Ridge(alpha=alpha).fit(x, np.eye(3)[codes], sample_weight=weight)
        np.testing.assert_allclose(own[:, :-1], ridge.coef_, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(own[:, -1], ridge.intercept_, rtol=1e-6, atol=1e-9)
    errors = [weight @ ((with_one @ own.T - np.eye(3)[codes]) ** 2).sum(1) for own in found]
    np.testing.assert_allclose(moments.losses(both, found), errors, rtol=1e-6)


def test_a_finer_map_is_voted_on() -> None:
    codes = np.zeros((1, 4, 4), dtype=np.int64)
    codes[0, :2, :2] = [[1, 1], [1, 0]]
    codes[0, 2:, 2:] = -1
    assert CellMap(codes, ("a", "b")).at(2, 2).codes.tolist() == [[[1, 0], [0, -1]]]
    with pytest.raises(InputError, match=r"4 x 4 cells, the site 8 x 8"):
        CellMap(codes, ("a", "b")).at(8, 8)


def test_sites_without_maps_and_maps_of_other_samples_are_refused(mapped) -> None:
    recording, cells = mapped
    with pytest.raises(InputError, match=r"needs \(channel, height, width\). Capture with reduction full"):
        spatial_probe(recording, cells, spec=ProbeSpec(group_by=("template",), sites=("up.1",)))
    with pytest.raises(InputError, match=r"must be codes \(240, height, width\)"):
        spatial_probe(recording, CellMap(cells.codes[:3], cells.classes), spec=SPEC)
