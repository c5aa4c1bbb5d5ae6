"""Panels of a page: at each site and step, the samples as points of a plane."""

import base64
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # no stubs

from outcrop.viz.embedding.atlas import Atlas
from outcrop.viz.grid import PropertyGrid
from outcrop.viz.inputs import HasSamples
from outcrop.viz.labels import number

Points = NDArray[np.float64]
PCA_NOTE = (
    "Position: the first two principal components of the standardised activations, which hold {:.0%} of the variance."
)
MOST_BYTES = 2_000_000  # of all panels of one data set, before base64
FEWEST_POINTS = 120
MOST_POINTS = 500
FULL_SCALE = 65_535


@runtime_checkable
class HasActivations(Protocol):
    """The part of ``outcrop.data.dataset.Dataset`` that panels are computed from."""

    def rows(self, site: str, step: int, rows: NDArray[np.int64] | None) -> NDArray[np.generic]: ...


@dataclass(frozen=True)
class Panel:
    """``points`` (sample, 2) lie in [-1, 1]; ``held`` is the part of the variance that the plane holds."""

    points: Points
    held: float


def project(features: NDArray[np.generic]) -> Panel:
    """The first two principal components of ``features`` (sample, *feature), each feature standardised before.

    Features that do not vary are left out; with fewer than two that do, the rest is zero.
    """
    flat = features.reshape(len(features), -1).astype(np.float64)
    spread = flat.std(0)
    live = spread > 1e-12 * max(1.0, float(np.abs(flat).max(initial=0)))
    scaled = (flat[:, live] - flat[:, live].mean(0)) / spread[live]
    points = np.zeros((len(flat), 2))
    if not live.any():
        return Panel(points, 0.0)
    wide = scaled.shape[1] > scaled.shape[0]
    with threadpool_limits(limits=1, user_api="blas"):  # for matrices this small, threads cost more than they save
        moments = scaled @ scaled.T if wide else scaled.T @ scaled
        size = len(moments)
        kept = min(2, size)
        values, vectors = eigh(moments, subset_by_index=(size - kept, size - 1))
    found = vectors * np.sqrt(np.maximum(values, 0)) if wide else scaled @ vectors
    points[:, :kept] = found[:, ::-1]
    held = float(np.maximum(values, 0).sum() / max(float(np.trace(moments)), 1e-300))
    return Panel(points, held)


def aligned(points: Points, reference: Points) -> Points:
    """``points`` turned or mirrored so that they lie as near as they can to ``reference`` (orthogonal Procrustes)."""
    left, _, right = np.linalg.svd(points.T @ reference)
    return np.asarray(points @ (left @ right))


def points_per_panel(cells: int, samples: int) -> int:
    """How many points each of ``cells`` panels may have within ``MOST_BYTES`` (4 bytes a point)."""
    room = max(FEWEST_POINTS, MOST_BYTES // (4 * max(cells, 1)))
    return min(samples, MOST_POINTS, room)


def panel_data(
    ds: HasSamples, grid: PropertyGrid, places: NDArray[np.int64], atlas: Atlas | None = None
) -> dict[str, Any] | None:
    """Panels of all cells of ``grid`` as the script reads them; None where ``ds`` holds no activations.

    ``points``: which of ``places`` are drawn. ``xy``: 16-bit coordinates, panel after panel, site by site; ``notes``
    says of each what it shows. Where ``atlas``, whose samples are those at ``places``, has a panel, that is shown;
    every other one is turned to the one before: along the steps of a site, and from site to site at the first step.
    """
    if not isinstance(ds, HasActivations):
        return None
    cells = len(grid.sites) * len(grid.axis.steps)
    count = points_per_panel(cells, len(places))
    chosen = np.unique(np.linspace(0, len(places) - 1, count).astype(np.int64))
    drawn, notes = [], []
    above: Points | None = None
    for site in grid.sites:
        before = above
        for column, step in enumerate(grid.axis.steps):
            plane = plane_at(ds, (site, step), places, chosen=chosen, atlas=atlas)
            notes.append(plane.note)
            if plane.fixed:
                drawn.append(_quantised(plane.points))
                continue
            before = plane.points if before is None else aligned(plane.points, before)
            above = before if column == 0 else above
            drawn.append(_quantised(before))
    xy = base64.b64encode(np.stack(drawn).tobytes()).decode("ascii")
    return {"points": [int(place) for place in chosen], "xy": xy, "notes": notes}


@dataclass(frozen=True)
class Plane:
    """``points`` (sample, 2) and a ``note`` on what they show; one that is not ``fixed`` may be turned and mirrored."""

    points: Points
    note: str
    fixed: bool


def plane_at(
    ds: HasActivations,
    cell: tuple[str, int],
    places: NDArray[np.int64],
    *,
    chosen: NDArray[np.int64],
    atlas: Atlas | None,
) -> Plane:
    """The ``chosen`` of ``places`` at one ``cell`` (site, step): as ``atlas`` has them, or as principal components."""
    site, step = cell
    if atlas is not None and site in atlas.sites and step in atlas.steps:
        return Plane(atlas.at(site, step)[chosen].astype(np.float64), atlas_note(atlas, site, step), fixed=True)
    panel = project(ds.rows(site, step, places[chosen]))
    return Plane(panel.points, PCA_NOTE.format(panel.held), fixed=False)


def atlas_note(atlas: Atlas, site: str, step: int) -> str:
    """What a panel of the atlas shows, and how far it can be trusted."""
    trust = float(atlas.trustworthiness[atlas.place(site, step)])
    name = {"umap": "UMAP", "tsne": "t-SNE", "pca": "PCA"}[atlas.spec.method]
    return f"Position: {name}, trustworthiness {number(trust)}. Distances between clusters in it mean little."


def unit_scale(points: Points) -> Points:
    """Both axes on one scale, within [-1, 1], the centre in the middle."""
    return points / (float(np.abs(points).max(initial=0)) or 1.0)


def _quantised(points: Points) -> NDArray[np.uint16]:
    return np.round((unit_scale(points) + 1) / 2 * FULL_SCALE).astype("<u2")
