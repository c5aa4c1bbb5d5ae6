"""Making an atlas, panel by panel, each turned towards those beside it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from outcrop.data.dataset import Dataset
from outcrop.data.errors import InputError
from outcrop.probes.features import feature_matrix
from outcrop.viz.accepts import DATASET, accept
from outcrop.viz.embedding.atlas import Atlas
from outcrop.viz.embedding.cache import Panel, PanelCache, identity, panel_key
from outcrop.viz.embedding.geometry import Float64Array, distances, principal_scores, products
from outcrop.viz.embedding.plane import lay_out
from outcrop.viz.embedding.spec import AtlasSpec
from outcrop.viz.grid import step_axis

FOLDER = "atlas"
Progress = Callable[[int, int], None]
Place = tuple[int, int]
"""The row (site) and the column (step) of a panel."""


def atlas(
    ds: Dataset, spec: AtlasSpec | None = None, *, cache: str | Path | None = None, progress: Progress | None = None
) -> Atlas:
    """Lay out the samples of ``ds`` in the plane, at every site and step of ``spec``.

    Each panel starts from the panels beside it and is turned towards them, so that a group of samples can be followed
    from panel to panel. Finished panels are kept in ``cache`` (for a data set that is a folder: ``atlas`` inside it)
    and not made again. ``progress`` is called with the panels done and planned.

    Raises :class:`InputError` for sites or steps that are not there, for too few samples for the neighbours, and where
    UMAP is asked for and not installed; :class:`~outcrop.data.errors.DataError` for values that are NaN or infinite.

    >>> oc.atlas(ds, oc.AtlasSpec(sites=("up_blocks.*",), method="pca")).coordinates.shape  # doctest: +SKIP
    (14, 8, 432, 2)
    """
    spec = spec or AtlasSpec()
    part = _part(accept("atlas", ds, DATASET), spec)
    axis = step_axis(part.steps.rename_axis("step").reset_index())
    sites = tuple(str(site) for site in part.sites.index)
    shape = (len(sites), len(axis.steps))
    kept = PanelCache(_cache_folder(ds, cache))
    shared = identity(ds.uuid, [str(name) for name in part.samples.index], spec)
    keys: dict[Place, str] = {}
    drawn: dict[Place, Float64Array | None] = {}
    coordinates = np.zeros((*shape, len(part), 2), np.float32)
    trust = np.full(shape, np.nan)
    for place in walk(*shape):
        site, step = sites[place[0]], axis.steps[place[1]]
        beside = [near for near in _neighbours(place) if near in keys]
        keys[place] = panel_key(shared, site, step, [keys[near] for near in beside])
        target = _mean([drawn[near] for near in beside])
        panel = kept.load(keys[place])
        if panel is None:
            panel = _panel(part, site, step, target=target, spec=spec)
            kept.store(keys[place], panel, dataset=ds.uuid, site=site, step=step)
        # A site that tells no samples apart hands on what it was to be turned towards.
        drawn[place] = panel.points if np.isfinite(panel.trustworthiness) else target
        coordinates[place], trust[place] = panel.points, panel.trustworthiness
        if progress is not None:
            progress(len(keys), trust.size)
    names = tuple(str(name) for name in ds.labels.columns)
    return Atlas(ds.uuid, spec, sites, axis, part.samples, names, coordinates, trust)


def walk(sites: int, steps: int) -> Iterator[Place]:
    """The panels in the order in which they are made: site by site from the input on, the cleanest step first."""
    return ((row, column) for row in range(sites) for column in reversed(range(steps)))


def _neighbours(place: Place) -> list[Place]:
    row, column = place
    return [(row - 1, column), (row, column - 1), (row, column + 1), (row + 1, column)]


def _part(ds: Dataset, spec: AtlasSpec) -> Dataset:
    """The sites, steps and samples of ``spec``."""
    ids = None
    if len(ds) > spec.max_samples:
        rows = np.random.default_rng(spec.seed).choice(len(ds), spec.max_samples, replace=False)
        ids = [str(name) for name in ds.samples.index[np.sort(rows)]]
    part = ds.select(spec.sites, steps=spec.steps, ids=ids)
    if len(part) <= 2 * spec.neighbours:
        raise InputError(
            f"An atlas with {spec.neighbours} neighbours needs more than {2 * spec.neighbours} samples. "
            f"{ds.location} has {len(part)}; give fewer neighbours."
        )
    return part


def _cache_folder(ds: Dataset, wanted: str | Path | None) -> Path | None:
    if wanted is not None:
        return Path(wanted)
    try:
        folder = ds.path
    except InputError:  # behind a URL, or several data sets as one
        return None
    return folder / FOLDER if (folder / "dataset.json").is_file() else None


def _mean(panels: list[Float64Array | None]) -> Float64Array | None:
    known = [panel for panel in panels if panel is not None]
    return np.mean(known, axis=0) if known else None


def _panel(part: Dataset, site: str, step: int, *, target: Float64Array | None, spec: AtlasSpec) -> Panel:
    from sklearn.manifold import trustworthiness

    gram = products(feature_matrix(part, site, step=step))
    scores = principal_scores(gram, count=spec.components)
    if not scores.shape[1]:
        return Panel(np.zeros((len(gram), 2)), np.nan)
    points = lay_out(scores, target, spec)
    trust = trustworthiness(distances(gram), points, n_neighbors=spec.neighbours, metric="precomputed")
    return Panel(points, float(trust))
