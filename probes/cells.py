"""The cells of a sweep, fitted on all cores, and kept as they come so that a sweep can be gone on with."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from outcrop.probes.baselines import ROLE as BASELINE
from outcrop.probes.degenerate import FeatureCheck
from outcrop.probes.device import Column, fit_on_device
from outcrop.probes.features import Recording, feature_matrix
from outcrop.probes.logistic import CellFit, cross_validate
from outcrop.probes.plan import Cell, Plan
from outcrop.probes.usable import surprises
from outcrop.probes.workers import cores, map_in_order

WORTH_WORKERS = 6000
"""Cells x samples from which several processes pay for their start, about two seconds."""

Progress = Callable[[int, int], None]
"""Called with the cells done and planned."""


@dataclass(frozen=True)
class Fitted:
    """What became of a cell: its fit, its number of features, and the surprise (t, n) with what is given besides, in
    bits, (t, 0) where nothing is.
    """

    fit: CellFit
    width: int
    surprise: NDArray[np.float64]


class Kept(Protocol):
    """Where finished cells are kept (:class:`outcrop.probes.checkpoint.Checkpoint`)."""

    def has(self, number: int) -> bool: ...
    def load(self, number: int) -> Fitted: ...
    def store(self, number: int, fitted: Fitted) -> None: ...


CellFitter = Callable[[Recording, Plan, Sequence[int], FeatureCheck], Iterator[tuple[int, Fitted]]]
"""Fits the cells with these numbers, and gives them as they are finished; what :func:`fit_missing` does here."""


def fit_cells(
    recording: Recording,
    plan: Plan,
    *,
    progress: Progress,
    check: FeatureCheck,
    kept: Kept | None = None,
    fitter: CellFitter | None = None,
) -> list[Fitted]:
    """Fit every cell of ``plan`` that ``kept`` lacks, by ``fitter``, or on the cores of this machine."""
    found = {} if kept is None else {n: kept.load(n) for n in range(len(plan.cells)) if kept.has(n)}
    missing = [number for number in range(len(plan.cells)) if number not in found]
    if found:
        progress(len(found), len(plan.cells))
    for number, fitted in (fitter or fit_missing)(recording, plan, missing, check):
        found[number] = fitted
        if kept is not None:
            kept.store(number, fitted)
        progress(len(found), len(plan.cells))
    return [found[number] for number in range(len(plan.cells))]


def given_surprises(recording: Recording, plan: Plan) -> list[NDArray[np.float64]]:
    """For each step the surprise (t, n) at the labels, in bits, of a probe of ``plan.spec.given`` alone."""
    assert plan.spec.given is not None
    found: list[NDArray[np.float64]] = []
    before: NDArray[np.float32] | None = None
    for step in plan.steps:
        features = feature_matrix(recording, plan.spec.given, step=step)
        same = before is not None and np.array_equal(features, before)
        before = features
        settings = {"strengths": plan.spec.strengths}
        found.append(found[-1] if same else surprises(features, plan.targets, plan.splits, **settings))
    return found


def fit_missing(
    recording: Recording, plan: Plan, numbers: Sequence[int], check: FeatureCheck, *, workers: int | None = None
) -> Iterator[tuple[int, Fitted]]:
    """Fit the cells with ``numbers``, in their order; only this process reads the recording.

    ``workers`` processes do it, or as many as are worth their start; or the device of ``plan.spec``.
    """
    cells = [plan.cells[number] for number in numbers]
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
    columns = _columns(recording, cells, check, given=plan.spec.given)
    if plan.spec.device is None:
        fits = map_in_order(fit, columns, workers=workers or (cores() if worth else 1))
    else:
        fits = _fit_on_device(columns, plan.spec.device, **fit.keywords)
    for number, fitted in zip(numbers, fits, strict=True):
        last = fitted or last
        assert last is not None, "the first column is never a repetition"
        yield number, last


def _columns(
    recording: Recording, cells: list[Cell], check: FeatureCheck, *, given: str | None
) -> Iterator[Column | None]:
    """The features of each cell; ``None`` where they are those of the cell before, as where a site has no steps."""
    before: Column | None = None
    for site, step in cells:
        features = feature_matrix(recording, site, step=step)
        if recording.sites.loc[site, "role"] != BASELINE:  # in these, constant features are a matter of course
            check.update(site, step, features)
        columns = (features, None if given is None else feature_matrix(recording, given, step=step))
        repeated = before is not None and _equal(columns, before)
        before = columns
        yield None if repeated else columns


def _equal(first: Column, second: Column) -> bool:
    return all(
        (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b))
        for a, b in zip(first, second, strict=True)
    )


def _fit_cell(columns: Column | None, **settings: Any) -> Fitted | None:
    return None if columns is None else _complete(columns, cross_validate(columns[0], **settings), **settings)


def _fit_on_device(columns: Iterable[Column | None], device: str, **settings: Any) -> Iterator[Fitted | None]:
    for pair in fit_on_device(columns, device, **settings):
        yield None if pair is None else _complete(*pair, **settings)


def _complete(columns: Column, fit: CellFit, **settings: Any) -> Fitted:
    features, given = columns
    targets, splits = settings["targets"], settings["splits"]
    surprise = np.zeros((len(targets), 0))
    if given is not None:
        both = np.concatenate([given, features], axis=1)
        surprise = surprises(both, targets, splits, strengths=settings["strengths"])
    return Fitted(fit, features.shape[1], surprise)
