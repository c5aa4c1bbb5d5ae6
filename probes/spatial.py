"""Spatial probes: one linear classifier for all cells of a map, which names what stands in each.

The cells of all samples are far more rows than fit in memory as floats. What least squares needs of them are sums of
products, which are added up batch by batch and fold by fold: a training set is the sum of its folds, so that one pass
over the data serves all folds, strengths and validations, and a second one tests.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.data.errors import InputError
from outcrop.data.patterns import match_names
from outcrop.probes.advice import split_or_advise
from outcrop.probes.features import Recording
from outcrop.probes.grouping import grouped_columns
from outcrop.probes.intervals import group_intervals
from outcrop.probes.properties import IntArray
from outcrop.probes.regression import PENALTIES
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.splits import Splits

Float64Array = NDArray[np.float64]

BATCH = 64
"""Samples whose cells are floats at the same time."""

UNLABELLED = -1


@dataclass(frozen=True)
class CellMap:
    """What stands where: ``codes`` (n, height, width) into ``classes``, -1 for a cell that is not to be named."""

    codes: IntArray
    classes: tuple[str, ...]

    def at(self, height: int, width: int) -> "CellMap":
        """The map on a coarser or finer grid: each cell has the class that fills most of it."""
        n, own_height, own_width = self.codes.shape
        if (own_height, own_width) == (height, width):
            return self
        rows = np.minimum(np.arange(own_height) * height // own_height, height - 1)
        columns = np.minimum(np.arange(own_width) * width // own_width, width - 1)
        if own_height < height or own_width < width:
            raise InputError(
                f"The label map has {own_height} x {own_width} cells, the site {height} x {width}: give a map that is "
                f"at least as fine."
            )
        votes = np.zeros((n, len(self.classes) + 1, height, width), dtype=np.int64)
        place = (np.arange(n)[:, None, None], self.codes, rows[None, :, None], columns[None, None, :])
        np.add.at(votes, place, 1)
        winner = votes.argmax(1)
        return CellMap(np.where(winner == len(self.classes), UNLABELLED, winner), self.classes)


def spatial_probe(recording: Recording, cells: CellMap, *, spec: ProbeSpec | None = None) -> pd.DataFrame:
    """How well the class of each cell is read from the activation at that cell, at each site and step.

    Sites must have maps (n, channel, height, width), as ``reduction: full`` or ``grid:K`` records them. A ridge
    classifier (least squares on class indicators, classes weighted alike) is shared by all cells. Rows: ``site``,
    ``step``, ``cells``, ``classes``; ``balanced_accuracy`` with its interval over groups ``low`` to ``high`` (each
    class's share of cells named rightly, averaged); ``position``: the same of the most likely class of each place in
    the training rows, which knows where a cell is and nothing else; ``control``: of the probe fitted to the maps of
    other samples; ``chance``; ``penalty``. Only what exceeds ``position`` and ``control`` is told by the activation.

    Raises :class:`InputError` for sites without maps, and for a map that does not fit the samples.
    """
    spec = spec or ProbeSpec()
    n = len(recording.samples)
    if cells.codes.ndim != 3 or len(cells.codes) != n or cells.codes.max() >= len(cells.classes):
        raise InputError(
            f"The label map must be codes ({n}, height, width) below {len(cells.classes)}, the number of classes. Got "
            f"{cells.codes.shape} up to {cells.codes.max()}."
        )
    group_by = grouped_columns(recording.samples, spec.group_by)
    splits = split_or_advise(recording.samples, [], group_by=group_by, folds=spec.folds, seed=spec.seed)
    if splits.scheme not in {"single", "components"}:
        raise InputError(
            f"Columns {', '.join(splits.grouping.apart)} cross, so that training rows are no whole folds; spatial "
            f"probes need these. Group by one column (group_by)."
        )
    sites = match_names(spec.sites or ("*",), list(recording.sites.index), kind="Site")
    steps = recording.steps.index if spec.steps is None else spec.steps
    rows = []
    for site in sites:
        for step in steps:
            maps = np.asarray(recording.activations(site, step=int(step)))
            if maps.ndim != 4:
                raise InputError(
                    f"Site {site!r} has activations {maps.shape[1:]} a sample; a spatial probe needs (channel, height, "
                    f"width). Capture with reduction full or grid:K, or name sites that have maps (sites)."
                )
            scored = _probe_maps(maps, cells.at(*maps.shape[2:]), splits, spec)
            rows.append({"site": site, "step": int(step), "classes": len(cells.classes), **scored})
    return pd.DataFrame(rows)


def _probe_maps(maps: NDArray[np.generic], cells: CellMap, splits: Splits, spec: ProbeSpec) -> dict[str, Any]:
    order = _other_samples(splits, seed=spec.seed)
    control = CellMap(cells.codes[order], cells.classes)
    right, penalty = _fit_and_test(maps, cells, splits)
    own, _ = _fit_and_test(maps, control, splits)
    classes = len(cells.classes)
    units = [unit.codes for unit in splits.grouping.units]
    shares = _recalls(right, cells.codes, classes)
    low, high = _balanced_interval(right, cells.codes, classes, units, spec)
    return {
        "cells": int((cells.codes != UNLABELLED).sum()),
        "balanced_accuracy": float(shares.mean()),
        "low": low,
        "high": high,
        "position": float(_recalls(_by_position(cells, splits), cells.codes, classes).mean()),
        "control": float(_recalls(own, control.codes, classes).mean()),
        "chance": 1 / classes,
        "penalty": penalty,
    }


class Moments:
    """Sums over cells, by fold: products of features, features by class, and counts. All that least squares needs."""

    def __init__(self, folds: int, *, width: int, classes: int) -> None:
        """For features of ``width`` d, of which the last is always 1."""
        self.products = np.zeros((folds, classes, width, width))
        self.sums = np.zeros((folds, classes, width))
        self.counts = np.zeros((folds, classes))

    def update(self, features: Float64Array, codes: IntArray, folds: IntArray) -> None:
        """Add cells (m, d) with classes and folds (m,)."""
        for fold, code in np.unique(np.stack([folds, codes]), axis=1).T:
            own = features[(folds == fold) & (codes == code)]
            self.products[fold, code] += own.T @ own
            self.sums[fold, code] += own.sum(0)
            self.counts[fold, code] += len(own)

    def weights(self, folds: NDArray[np.bool_], penalties: Sequence[float]) -> Float64Array:
        """Ridge weights (s, k, d) of the cells in ``folds`` (f,), each class's cells weighing 1 / k together."""
        product, target = self._weighted(folds)
        spectrum, basis = np.linalg.eigh(product[:-1, :-1] - np.outer(product[-1, :-1], product[-1, :-1]))
        spectrum = np.maximum(spectrum, 0)
        centred = target[:, :-1] - target[:, -1:] * product[-1, :-1]
        ridge = spectrum + np.asarray(penalties)[:, None] * max(float(spectrum.mean()), np.finfo(np.float64).tiny)
        slopes = np.einsum("kd,dr,sr,er->ske", centred, basis, 1 / ridge, basis, optimize=True)
        offsets = target[:, -1] - slopes @ product[-1, :-1]
        return np.concatenate([slopes, offsets[:, :, None]], axis=2)

    def losses(self, folds: NDArray[np.bool_], weights: Float64Array) -> Float64Array:
        """Mean squared error (s,) of ``weights`` (s, k, d) on the cells in ``folds``, without seeing them again."""
        product, target = self._weighted(folds)
        fitted = np.einsum("skd,de,ske->s", weights, product, weights, optimize=True)
        return np.asarray(fitted - 2 * np.einsum("skd,kd->s", weights, target) + 1)

    def _weighted(self, folds: NDArray[np.bool_]) -> tuple[Float64Array, Float64Array]:
        counts = np.maximum(self.counts[folds].sum(0), 1) * (self.counts[folds].sum(0) > 0).sum()
        product = (self.products[folds].sum(0) / counts[:, None, None]).sum(0)
        return product, self.sums[folds].sum(0) / counts[:, None]


def _fit_and_test(maps: NDArray[np.generic], cells: CellMap, splits: Splits) -> tuple[NDArray[np.bool_], float]:
    """Which cells (n, height, width) are named rightly out of fold, and the middle one of the penalties."""
    folds, width = len(splits.folds), maps.shape[1] + 1
    moments = Moments(folds, width=width, classes=len(cells.classes))
    for rows, features in _cells_of(maps):
        codes = cells.codes[rows].ravel()
        known = codes != UNLABELLED
        dealt = np.repeat(splits.dealt[rows], maps.shape[2] * maps.shape[3])
        moments.update(features[known], codes[known], dealt[known])
    chosen = [_weights_of(moments, fold, folds) for fold in range(folds)]
    right = np.zeros(cells.codes.shape, dtype=np.bool_)
    for rows, features in _cells_of(maps):
        for fold in np.unique(splits.dealt[rows]):
            own = splits.dealt[rows] == fold
            scores = features.reshape(len(own), -1, width)[own] @ chosen[fold][0].T
            right[rows[own]] = scores.argmax(2).reshape(-1, *maps.shape[2:]) == cells.codes[rows[own]]
    return right, float(np.quantile([penalty for _, penalty in chosen], 0.5, method="lower"))


def _weights_of(moments: Moments, fold: int, folds: int) -> tuple[Float64Array, float]:
    """Weights (k, d) of all folds but ``fold``, at the penalty that does best on each of these in turn."""
    train = np.arange(folds) != fold
    losses = np.zeros(len(PENALTIES))
    for held in np.flatnonzero(train):
        validated = np.arange(folds) == held
        losses += moments.losses(validated, moments.weights(train & ~validated, PENALTIES))
    penalty = PENALTIES[int(losses.argmin())]
    return moments.weights(train, [penalty])[0], penalty


def _cells_of(maps: NDArray[np.generic]) -> Iterator[tuple[IntArray, Float64Array]]:
    """Samples, and the features (cells, channel + 1) of all their cells, some samples at a time."""
    for first in range(0, len(maps), BATCH):
        part = maps[first : first + BATCH].astype(np.float64)
        if not np.isfinite(part).all():
            raise InputError(f"Activations of samples {first} to {first + len(part) - 1} are NaN or infinite.")
        features = part.transpose(0, 2, 3, 1).reshape(-1, maps.shape[1])
        yield np.arange(first, first + len(part)), np.concatenate([features, np.ones((len(features), 1))], axis=1)


def _other_samples(splits: Splits, *, seed: int) -> IntArray:
    """For each sample another one of its fold, whose map it gets as a control."""
    rng, order = np.random.default_rng([seed, 5]), np.arange(len(splits.dealt))
    for fold in np.unique(splits.dealt):
        own = rng.permutation(np.flatnonzero(splits.dealt == fold))
        order[own] = np.roll(own, 1)
    return order


def _by_position(cells: CellMap, splits: Splits) -> NDArray[np.bool_]:
    """Which cells are named rightly by the class that is likeliest, classes weighing alike, at their place."""
    right = np.zeros(cells.codes.shape, dtype=np.bool_)
    for fold in splits.folds:
        seen = cells.codes[fold.train]
        share = np.stack([(seen == code).mean(0) / max(float((seen == code).mean()), 1e-12) for code in _all(cells)])
        right[fold.test] = cells.codes[fold.test] == share.argmax(0)
    return right


def _all(cells: CellMap) -> range:
    return range(len(cells.classes))


def _recalls(right: NDArray[np.bool_], codes: IntArray, classes: int) -> Float64Array:
    """The share of each class's cells that is right, (classes that occur,)."""
    return np.array([right[codes == code].mean() for code in range(classes) if (codes == code).any()])


def _balanced_interval(
    right: NDArray[np.bool_], codes: IntArray, classes: int, units: Sequence[IntArray], spec: ProbeSpec
) -> tuple[float, float]:
    """Of the balanced accuracy: each sample counts with its cells, weighed by how rare their class is."""
    counts = np.array([max((codes == code).sum(), 1) for code in range(classes)])
    present = sum((codes == code).any() for code in range(classes))
    weight = np.where(codes == UNLABELLED, 0, 1 / (counts[np.maximum(codes, 0)] * present))
    scores = (right * weight).sum((1, 2)) * len(codes)
    settings: dict[str, Any] = {"confidence": spec.confidence, "bootstraps": spec.bootstraps, "seed": spec.seed}
    low, high = group_intervals(scores[None], units, **settings)
    return float(low[0]), float(high[0])
