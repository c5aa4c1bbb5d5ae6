"""Does a probe that was fitted in one place read the property in another?"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np
import pandas as pd

from outcrop.data.errors import InputError
from outcrop.probes.cells import Progress
from outcrop.probes.checks import check_sequence
from outcrop.probes.features import Recording, feature_matrix
from outcrop.probes.plan import Cell, Plan, make_plan
from outcrop.probes.progress import shown
from outcrop.probes.properties import Target
from outcrop.probes.softmax import BoolArray, FloatArray, TaskStack
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.strengths import choose_strengths
from outcrop.probes.usable import fit_folds


def transfer_matrix(
    recording: Recording,
    property_name: str,
    cells: Sequence[Cell],
    *,
    spec: ProbeSpec | None = None,
    progress: Progress | bool = False,
) -> pd.DataFrame:
    """Accuracy of the probe of each of ``cells`` (site, step) at each other one, out of fold.

    A probe is fitted on the training rows of one cell and tested on the test rows, of other groups, of another; every
    cell is standardised by its own training rows, so that what has to agree are the directions and not the offsets.
    High everywhere: the property is written alike at all of ``cells``; high on the diagonal alone: each cell writes it
    in its own way. ``spec`` gives folds, groups, strengths and intervals; its properties, sites and steps are not used.
    ``progress`` as of :func:`outcrop.probes.probe`: cells fitted, then cells tested.

    Rows: ``site``, ``step`` of the fit, ``tested_site``, ``tested_step``, ``accuracy``, ``low``, ``high``. Raises
    :class:`InputError` for cells, or a property, that are not there, and for cells of different widths.

    >>> transfer_matrix(ds, "style", [("mid_block", step) for step in range(8)])  # doctest: +SKIP
    """
    cells = _checked_cells(cells)
    asked = dataclasses.replace(
        spec or ProbeSpec(),
        properties=(property_name,),
        sites=tuple(dict.fromkeys(site for site, _ in cells)),
        steps=tuple(dict.fromkeys(step for _, step in cells)),
    )
    plan = make_plan(recording, asked)
    with shown(progress, title="transfer") as update:
        return _matrix(recording, plan, cells, update)


def _checked_cells(cells: object) -> list[Cell]:
    """Each cell once, in their order."""
    found: list[Cell] = []
    for cell in (cells,) if isinstance(cells, str) else check_sequence("cells", cells):
        match cell:
            case (str() as site, Integral() as step):
                found.append((site, int(step)))
            case _:
                raise InputError(f"cells must be pairs of a site and a step, ('mid_block', 3). Got {cell!r}.")
    if not found:
        raise InputError("cells must name at least one (site, step). Got none.")
    return list(dict.fromkeys(found))


def _matrix(recording: Recording, plan: Plan, cells: Sequence[Cell], update: Progress) -> pd.DataFrame:
    readers: list[_Reader] = []
    for site, step in cells:
        readers.append(_fit(feature_matrix(recording, site, step=step), plan))
        update(len(readers), 2 * len(cells))
    widths = {cell: reader.width for cell, reader in zip(cells, readers, strict=True)}
    if len(set(widths.values())) > 1:
        raise InputError(f"Cells between which probes are carried must have one width. Got {widths}.")
    parts = []
    for tested, own in zip(cells, readers, strict=True):
        features = feature_matrix(recording, tested[0], step=tested[1])
        right = np.stack([_hits(features, plan, reader, own.scales) for reader in readers])
        parts.append(_rows(cells, right, plan).assign(tested_site=tested[0], tested_step=tested[1]))
        update(len(cells) + len(parts), 2 * len(cells))
    order = {cell: number for number, cell in enumerate(cells)}
    frame = pd.concat(parts, ignore_index=True)
    frame["fitted"] = [order[cell] for cell in zip(frame["site"], frame["step"], strict=True)]
    columns = ["site", "step", "tested_site", "tested_step", "accuracy", "low", "high"]
    return frame.sort_values("fitted", kind="stable", ignore_index=True)[columns]


@dataclass(frozen=True)
class _Reader:
    """Of one cell and each fold f: ``coef`` (f, k, d) of standardised features, ``intercept`` (f, k), and scales."""

    coef: FloatArray
    intercept: FloatArray
    scales: tuple[tuple[FloatArray, FloatArray], ...]

    @property
    def width(self) -> int:
        return int(self.coef.shape[2])


def _fit(features: FloatArray, plan: Plan) -> _Reader:
    tasks = TaskStack.of(plan.targets)
    choice = choose_strengths(features, tasks, plan.splits, strengths=plan.spec.strengths)
    coef, intercept, scales = [], [], []
    for fitted in fit_folds(features, tasks, plan.splits.folds, strengths=choice.strengths):
        for own, rotation in zip(fitted.solution, fitted.rotations, strict=True):
            coef.append(own[:, : len(rotation.spectrum)] @ rotation.basis.T)
            intercept.append(own[:, -1])
            scales.append((rotation.mean, rotation.inverse_scale))
    return _Reader(np.stack(coef), np.stack(intercept), tuple(scales))


def _hits(
    features: FloatArray, plan: Plan, reader: _Reader, scales: Sequence[tuple[FloatArray, FloatArray]]
) -> BoolArray:
    """Which rows (n,) are right by the fold that tests them, standardised by ``scales``."""
    target: Target = plan.targets[0]
    right = np.zeros(len(features), dtype=np.bool_)
    for number, fold in enumerate(plan.splits.folds):
        mean, inverse_scale = scales[number]
        standardised = (features[fold.test] - mean) * inverse_scale
        scores = standardised @ reader.coef[number].T + reader.intercept[number]
        right[fold.test] = scores.argmax(1) == target.codes[fold.test]
    return right


def _rows(cells: Sequence[Cell], right: BoolArray, plan: Plan) -> pd.DataFrame:
    """A row for each fitted cell, from ``right`` (cells, n)."""
    target = plan.targets[0]
    hits = right[:, target.known]
    low, high = plan.intervals(hits, target)
    frame = pd.DataFrame(cells, columns=["site", "step"])
    return frame.assign(accuracy=hits.mean(1), low=low, high=high)
