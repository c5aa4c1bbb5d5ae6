import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from outcrop.viz.grid import property_grid
from outcrop.viz.page_panels import FULL_SCALE, MOST_BYTES, MOST_POINTS, aligned, panel_data, points_per_panel, project

Make = Callable[..., Any]


@pytest.mark.parametrize("shape", [(40, 6), (12, 50), (30, 4, 3, 3)])
def test_the_plane_is_that_of_the_first_two_principal_components(shape: tuple[int, ...]) -> None:
    features = np.random.default_rng(1).normal(size=shape) * np.arange(1, shape[-1] + 1)
    panel = project(features.astype(np.float32))
    scaled = StandardScaler().fit_transform(features.reshape(shape[0], -1))
    peer = PCA(2, svd_solver="full").fit(scaled)
    assert np.allclose(np.abs(panel.points), np.abs(peer.transform(scaled)), atol=1e-4)
    assert abs(panel.held - peer.explained_variance_ratio_.sum()) < 1e-5


def test_features_that_do_not_vary_make_no_plane() -> None:
    panel = project(np.ones((5, 3), dtype=np.float16))
    assert not panel.points.any()
    assert panel.held == 0
    line = project(np.arange(6.0).reshape(6, 1))
    assert not line.points[:, 1].any()
    assert line.held == pytest.approx(1)


def test_a_turned_and_mirrored_plane_is_turned_back() -> None:
    points = np.random.default_rng(2).normal(size=(20, 2))
    turn = np.array([[0.6, -0.8], [-0.8, -0.6]])
    assert np.allclose(aligned(points @ turn, points), points)


@pytest.mark.parametrize(("cells", "samples"), [(8, 100), (176, 432), (3000, 2000)])
def test_panels_keep_within_their_size(cells: int, samples: int) -> None:
    count = points_per_panel(cells, samples)
    assert count <= min(samples, MOST_POINTS)
    assert 4 * count * cells <= MOST_BYTES or count == 120


@dataclass(frozen=True)
class Wandering:
    """Two clusters that are far apart in every cell, in a plane that is turned anew at each."""

    halves: np.ndarray

    def rows(self, site: str, step: int, rows: np.ndarray | None) -> np.ndarray:
        rng = np.random.default_rng(step + len(site))
        mixed = np.linalg.qr(rng.normal(size=(5, 5)))[0]
        plain = np.column_stack([np.where(self.halves, 3.0, -3.0), rng.normal(size=(len(self.halves), 4)) * 0.3])
        return np.asarray((plain @ mixed)[rows])


def test_clusters_keep_their_place_from_cell_to_cell(make_frame: Make) -> None:
    halves = np.arange(40) % 2 == 0
    grid = property_grid(make_frame(("a.0", "a.10", "a.200"), steps=4, properties=("style",)), "style")
    data = panel_data(Wandering(halves), grid, np.arange(40))  # type: ignore[arg-type]  # rows are all that is read
    assert data is not None
    xy = np.frombuffer(base64.b64decode(data["xy"]), dtype="<u2").reshape(12, 40, 2) / FULL_SCALE * 2 - 1
    centres = np.stack([xy[:, halves].mean(1), xy[:, ~halves].mean(1)], axis=1)
    assert np.linalg.norm(centres[:, 0] - centres[:, 1], axis=1).min() > 1
    assert np.linalg.norm(centres - centres[:1], axis=2).max() < 0.3
    assert len(data["notes"]) == 12


def test_a_data_set_without_activations_has_no_panels(make_dataset: Make, make_frame: Make) -> None:
    grid = property_grid(make_frame(("a.0",), steps=1, properties=("style",)), "style")
    assert panel_data(make_dataset(4), grid, np.arange(4)) is None
