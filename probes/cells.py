"""The cells of a sweep, fitted on all cores, and kept as they come so that a sweep can be gone on with."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from outcrop.probes.checkpoint import Checkpoint
from outcrop.probes.degenerate import FeatureCheck
from outcrop.probes.features import Recording, feature_matrix
from outcrop.probes.logistic import CellFit, cross_validate
from outcrop.probes.plan import Cell, Plan
from outcrop.probes.workers import cores, map_in_order

WORTH_WORKERS = 6000
"""Cells x samples from which several processes pay for their start, about two seconds."""

Progress = Callable[[int, int], None]
"""Called with the cells done and planned."""

Fitted = tuple[CellFit, int]
"""What became of a cell, and its number of features."""


def fit_cells(
    recording: Recording, plan: Plan, *, progress: Progress, check: FeatureCheck, checkpoint: Checkpoint | None = None
) -> list[Fitted]:
    """Fit every cell of ``plan`` that ``checkpoint`` lacks; only this process reads the recording."""
    found = {} if checkpoint is None else {n: checkpoint.load(n) for n in range(len(plan.cells)) if checkpoint.has(n)}
    missing = [number for number in range(len(plan.cells)) if number not in found]
    if found:
        progress(len(found), len(plan.cells))
    fits = _fit_missing(recording, plan, [plan.cells[number] for number in missing], check)
    for number, fitted in zip(missing, fits, strict=True):
        found[number] = fitted
        if checkpoint is not None:
            checkpoint.store(number, fitted)
        progress(len(found), len(plan.cells))
    return [found[number] for number in range(len(plan.cells))]


def _fit_missing(recording: Recording, plan: Plan, cells: list[Cell], check: FeatureCheck) -> Iterator[Fitted]:
    fit = functools.partial(
        _fit_cell,
        targets=plan.targets,
        splits=plan.splits,
        strengths=plan.spec.strengths,
        controls=plan.controls,
        permuted=plan.permuted,
        portions=plan.portions,
    )
    worth = len(cells) * len(recording.samples) >= WORTH_WORKERS
    last: Fitted | None = None
    for fitted in map_in_order(fit, _columns(recording, cells, check), workers=cores() if worth else 1):
        last = fitted or last
        assert last is not None, "the first column is never a repetition"
        yield last


def _columns(recording: Recording, cells: list[Cell], check: FeatureCheck) -> Iterator[NDArray[np.float32] | None]:
    """The features of each cell; ``None`` where they are those of the cell before, as where a site has no steps."""
    before: NDArray[np.float32] | None = None
    for site, step in cells:
        features = feature_matrix(recording, site, step=step)
        check.update(site, step, features)
        repeated = before is not None and np.array_equal(features, before)
        before = features
        yield None if repeated else features


def _fit_cell(features: NDArray[np.float32] | None, **settings: Any) -> Fitted | None:
    return None if features is None else (cross_validate(features, **settings), features.shape[1])
