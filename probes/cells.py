"""The cells of a sweep, fitted on all cores, and kept as they come so that a sweep can be gone on with."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from outcrop.data.errors import InputError
from outcrop.probes.baselines import ROLE as BASELINE
from outcrop.probes.degenerate import FeatureCheck
from outcrop.probes.device import Column as InMemory
from outcrop.probes.device import fit_on_device
from outcrop.probes.features import Recording
from outcrop.probes.logistic import CellFit, cross_validate
from outcrop.probes.plan import Cell, Plan
from outcrop.probes.streaming import Read, read_column, side_by_side, stream
from outcrop.probes.usable import surprises
from outcrop.probes.workers import cores, map_in_order

WORTH_WORKERS = 6000
"""Cells x samples from which several processes pay for their start, about two seconds."""

Column = tuple[Read, Read | None]
"""The features of a cell, and what is given besides."""

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


def given_surprises(recording: Recording, plan: Plan, *, memory: int | None = None) -> list[NDArray[np.float64]]:
    """For each step the surprise (t, n) at the labels, in bits, of a probe of ``plan.spec.given`` alone."""
    assert plan.spec.given is not None
    found: list[NDArray[np.float64]] = []
    before: NDArray[np.generic] | None = None
    for step in plan.steps:
        features = read_column(recording, plan.spec.given, step=step, memory=memory)
        content = _content(features)
        same = before is not None and np.array_equal(content, before)
        before = content
        settings = {"strengths": plan.spec.strengths}
        found.append(found[-1] if same else surprises(features, plan.targets, plan.splits, **settings))
    return found


def fit_missing(
    recording: Recording,
    plan: Plan,
    numbers: Sequence[int],
    check: FeatureCheck,
    *,
    workers: int | None = None,
    memory: int | None = None,
) -> Iterator[tuple[int, Fitted]]:
    """Fit the cells with ``numbers``, in their order.

    ``workers`` processes do it, or as many as are worth their start; or the device of ``plan.spec``. Columns that would
    take more than their share of ``memory`` bytes are read by rows, by the process that fits them; only this process
    reads the others.
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
    workers = 1 if plan.spec.device is not None else workers or (cores() if worth else 1)
    if memory is not None:
        workers, memory = share_memory(recording, plan, {site for site, _ in cells}, workers=workers, memory=memory)
    last: Fitted | None = None
    columns = _columns(recording, cells, check, given=plan.spec.given, memory=memory)
    if plan.spec.device is None:
        fits = map_in_order(fit, columns, workers=workers)
    else:
        fits = _fit_on_device(columns, plan.spec.device, **fit.keywords)
    for number, fitted in zip(numbers, fits, strict=True):
        last = fitted or last
        assert last is not None, "the first column is never a repetition"
        yield number, last


def share_memory(recording: Recording, plan: Plan, sites: set[str], *, workers: int, memory: int) -> tuple[int, int]:
    """As many of ``workers`` as ``memory`` bytes do for, and the share of each.

    Raises :class:`~outcrop.data.errors.InputError`, before anything is fitted, where they do not do for one.
    """
    for count in range(workers, 1, -1):
        share = memory // (count + 1)  # columns that wait for a worker take as much as one
        with contextlib.suppress(InputError):
            _check_columns(recording, plan, sites, memory=share)
            return count, share
    _check_columns(recording, plan, sites, memory=memory)
    return 1, memory


def _check_columns(recording: Recording, plan: Plan, sites: set[str], *, memory: int) -> None:
    """Refuse what can be read neither at once nor by rows."""
    given, step = plan.spec.given, plan.steps[0]
    for site in sorted(sites):
        column = stream(recording, [site] if given is None else [given, site], step=step, memory=memory)
        if column.copies > memory:
            column.batch(tasks=len(plan.targets), columns=sum(len(target.classes) for target in plan.targets))


def _columns(
    recording: Recording, cells: list[Cell], check: FeatureCheck, *, given: str | None, memory: int | None
) -> Iterator[Column | None]:
    """The features of each cell; ``None`` where they are those of the cell before, as where a site has no steps."""
    before: list[NDArray[np.generic] | None] | None = None
    together = 1 if given is None else 2
    for site, step in cells:
        features = read_column(recording, site, step=step, memory=memory, together=together)
        if recording.sites.loc[site, "role"] != BASELINE:  # in these, constant features are a matter of course
            check.update(site, step, features)
        columns: Column = (features, None)
        if given is not None:
            columns = (features, read_column(recording, given, step=step, memory=memory, together=together))
        content = [None if own is None else _content(own) for own in columns]
        repeated = before is not None and _equal(content, before)
        before = content
        yield None if repeated else columns


def _content(features: Read) -> NDArray[np.generic]:
    """What tells ``features`` from others: they themselves, or the digest of those that are not in memory."""
    return features if isinstance(features, np.ndarray) else np.frombuffer(features.survey.digest, np.uint8)


def _equal(first: Sequence[NDArray[np.generic] | None], second: Sequence[NDArray[np.generic] | None]) -> bool:
    return all(
        (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b))
        for a, b in zip(first, second, strict=True)
    )


def _fit_cell(columns: Column | None, **settings: Any) -> Fitted | None:
    return None if columns is None else _complete(columns, cross_validate(columns[0], **settings), **settings)


def _fit_on_device(columns: Iterable[Column | None], device: str, **settings: Any) -> Iterator[Fitted | None]:
    for pair in fit_on_device(cast(Iterable[InMemory | None], columns), device, **settings):  # no memory, no streams
        yield None if pair is None else _complete(*pair, **settings)


def _complete(columns: Column, fit: CellFit, **settings: Any) -> Fitted:
    features, given = columns
    targets, splits = settings["targets"], settings["splits"]
    surprise = np.zeros((len(targets), 0))
    if given is not None:
        surprise = surprises(side_by_side(given, features), targets, splits, strengths=settings["strengths"])
    return Fitted(fit, features.shape[1], surprise)
