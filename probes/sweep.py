"""Probe every property at every site and step of a data set."""

import dataclasses
import functools
import importlib.metadata
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.data.errors import InputError
from outcrop.probes.baselines import ROLE as BASELINE
from outcrop.probes.baselines import with_baselines
from outcrop.probes.cells import CellFitter, Progress, fit_cells, fit_missing, given_surprises
from outcrop.probes.checkpoint import Checkpoint
from outcrop.probes.comparison import UNLABELLED, Outcomes
from outcrop.probes.conditional import conditional_columns
from outcrop.probes.degenerate import FeatureCheck
from outcrop.probes.device import check_device
from outcrop.probes.features import Recording
from outcrop.probes.logistic import CellFit, LinearWeights
from outcrop.probes.metrics import Metrics
from outcrop.probes.permutation import adjusted
from outcrop.probes.plan import Plan, make_plan
from outcrop.probes.progress import shown
from outcrop.probes.properties import Target
from outcrop.probes.room import check_room, free_memory
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.splits import majority_accuracy
from outcrop.probes.table import COLUMNS, ProbeTable, weights_key

__all__ = ["ProbeSpec", "probe"]

_TESTED = (
    "labels permuted between prompts within groups, ridge classifier refitted for each; "
    "q_value: Benjamini-Hochberg over the table; q_value_dependent: Benjamini-Yekutieli"
)

METRICS = tuple(field.name for field in dataclasses.fields(Metrics))


def probe(
    recording: Recording,
    *,
    spec: ProbeSpec | None = None,
    progress: Progress | bool = False,
    resume: str | Path | None = None,
    fitter: CellFitter | None = None,
    memory: int | None = None,
) -> ProbeTable:
    """Fit and test a linear probe for each property, site and step of ``recording`` (a data set).

    Accuracy is out of fold over all rows that have the label, with nothing that ``spec.group_by`` names on both sides.
    ``progress`` is called with (done, total) after each cell of site and step; ``True`` shows a bar with the time left.
    Finished cells are kept in the folder ``resume``, so that the same call goes on where it was stopped; saving the
    table there removes them. ``fitter`` fits the cells elsewhere (:func:`outcrop.cluster.probe_on`). A column that
    would take more than ``memory`` bytes to work on is read by rows, over and over; the table is the same.
    Raises :class:`InputError` before any fit for a request that cannot be met or a column larger than the memory, and
    :class:`DataError` for activations that are not finite. Warns of properties that are confounded or will have no
    p-value, of memory that may not do, and of features that are constant or far more than the samples.

    >>> from outcrop.data import open_dataset  # doctest: +SKIP
    >>> print(probe(open_dataset("runs/demo"), spec=ProbeSpec(steps=(0, 5))).to_text())  # doctest: +SKIP
    """
    if isinstance(recording, str | Path):
        message = f"probe expects an open data set, got a path: write oc.probe(oc.open_dataset({str(recording)!r}))."
        raise InputError(message)
    spec = spec or ProbeSpec()
    if spec.device is not None and fitter is None:
        check_device(spec.device)
    _check_memory(memory, spec, recording)
    recording = with_baselines(recording, spec.baselines, sites=spec.sites)
    plan = make_plan(recording, spec)
    if fitter is None and memory is None:
        check_room(recording, plan.sites, free=free_memory())
    kept, check = Checkpoint(Path(resume), plan, recording) if resume is not None else None, FeatureCheck()
    with shown(progress) as update:
        fitter = fitter or functools.partial(fit_missing, memory=memory)
        fitted = fit_cells(recording, plan, progress=update, check=check, kept=kept, fitter=fitter)
    check.warn()
    table = _tabulate(recording, plan, [own.fit for own in fitted], widths=[own.width for own in fitted])
    if spec.given is not None:
        columns = conditional_columns(
            plan, given_surprises(recording, plan, memory=memory), np.stack([own.surprise for own in fitted], axis=1)
        )
        table = dataclasses.replace(table, frame=table.frame.assign(**columns))
    return table


def _check_memory(memory: int | None, spec: ProbeSpec, recording: Recording) -> None:
    if memory is None:
        return
    if memory < 1:
        raise InputError(f"memory must be a number of bytes from 1 on. Got {memory}.")
    if spec.device is not None:
        raise InputError("memory is of no use with a device: there, a column is never read by rows. Leave one out.")
    if not hasattr(recording, "rows"):
        raise InputError(
            f"memory needs a recording of which some rows can be read, as of an open data set. Got a "
            f"{type(recording).__name__}, which has no method `rows`: leave memory out."
        )


def _tabulate(recording: Recording, plan: Plan, fits: Sequence[CellFit], *, widths: Sequence[int]) -> ProbeTable:
    place = pd.DataFrame(
        [
            _place(recording, site, step) | {"features": width}
            for (site, step), width in zip(plan.cells, widths, strict=True)
        ]
    )
    parts = [place.assign(**_scores(plan, number, fits)) for number in range(len(plan.targets))]
    frame = pd.concat(parts, ignore_index=True)[list(COLUMNS)]
    if plan.spec.permutations:
        frame["p_value"] = np.stack([fit.p_values for fit in fits], axis=1).reshape(-1)
        for own in (frame["role"] == BASELINE, frame["role"] != BASELINE):
            p_values = frame.loc[own, "p_value"].to_numpy()
            frame.loc[own, "q_value"] = adjusted(p_values)
            frame.loc[own, "q_value_dependent"] = adjusted(p_values, dependent=True)
    if plan.spec.code_length:
        frame["code_length"] = np.stack([fit.code_lengths for fit in fits], axis=1).reshape(-1)
        frame["compression"] = np.log2(frame["classes"]) / frame["code_length"]
    weights = dict(_weights(plan, plan.cells, fits))
    return ProbeTable(frame, weights, _provenance(plan, recording), _outcomes(plan, fits))


def _place(recording: Recording, site: str, step: int) -> dict[str, Any]:
    order = list(recording.sites.index).index(site)
    at, when = recording.sites.iloc[order].to_dict(), recording.steps.loc[step].to_dict()
    return {
        "site": site,
        "step": step,
        "timestep": float(when["timestep"]),
        "noise": float(when["noise"]),
        "depth": float(at["depth"]),
        "role": str(at["role"]),
        "order": order,
    }


def _scores(plan: Plan, number: int, fits: Sequence[CellFit]) -> dict[str, Any]:
    """Columns of one property over all cells."""
    target = plan.targets[number]
    known = target.known
    correct = _correct([fit.predicted[number] for fit in fits], target)
    draws = [
        _correct([fit.controls[number, draw] for fit in fits], control)
        for draw, control in enumerate(plan.controls[number])
    ]
    control = np.stack(draws).mean(0)
    shared = plan.steadied(np.array([fit.shared[number] for fit in fits]), correct, target)
    low, high = plan.intervals(correct, target, shared=shared)
    control_low, control_high = plan.intervals(control, target)
    lead = correct - control
    lead_low, lead_high = plan.intervals(lead, target, shared=shared)
    return {
        "property": target.name,
        "n": int(known.sum()),
        "classes": len(target.classes),
        "groups": len(np.unique(plan.splits.grouping.units[0].codes[known])),
        "group_by": plan.splits.grouping.name,
        "accuracy": correct.mean(1),
        "low": low,
        "high": high,
        "balanced_accuracy": _balanced(correct, target.codes[known]),
        "chance": 1 / len(target.classes),
        "majority": majority_accuracy(target, plan.splits),
        **{name: [getattr(fit.metrics[number], name) for fit in fits] for name in METRICS},
        "control": control.mean(1),
        "control_low": control_low,
        "control_high": control_high,
        "selectivity": lead.mean(1),
        "selectivity_low": lead_low,
        "selectivity_high": lead_high,
        "strength": [float(np.quantile(fit.strengths[:, number], 0.5, method="lower")) for fit in fits],
    }


def _correct(predicted: Sequence[NDArray[np.int64]], target: Target) -> NDArray[np.bool_]:
    """(cells, labelled rows)."""
    hits: NDArray[np.bool_] = (np.stack(predicted) == target.codes)[:, target.known]
    return hits


def _balanced(correct: NDArray[np.bool_], codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean over classes of the share of their rows that is right, (cells,)."""
    recalls: NDArray[np.float64] = np.stack([correct[:, codes == code].mean(1) for code in np.unique(codes)])
    return np.asarray(recalls.mean(0), dtype=np.float64)


def _outcomes(plan: Plan, fits: Sequence[CellFit]) -> Outcomes:
    """In the order of the table's rows."""
    right = [
        np.where(target.known, fit.predicted[number] == target.codes, UNLABELLED)
        for number, target in enumerate(plan.targets)
        for fit in fits
    ]
    return Outcomes(np.stack(right).astype(np.int8), np.stack([unit.codes for unit in plan.splits.grouping.units]))


def _weights(
    plan: Plan, cells: Sequence[tuple[str, int]], fits: Sequence[CellFit]
) -> Iterator[tuple[str, LinearWeights]]:
    for (site, step), fit in zip(cells, fits, strict=True):
        for target, weights in zip(plan.targets, fit.weights, strict=False):
            yield weights_key(target.name, site, step), weights


def _provenance(plan: Plan, recording: Recording) -> dict[str, Any]:
    packages = ("numpy", "scipy", "pandas", "scikit-learn")
    return {
        "dataset": recording.uuid,
        "spec": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(plan.spec).items()
        },
        "splits": plan.splits.describe(),
        "classes": {target.name: list(target.classes) for target in plan.targets},
        "confounded": [list(pair) for pair in plan.confounded],
        "aliased": [name for name, _ in plan.aliased],
        "interval": "percentile bootstrap over groups, widened by what folds owe to each other; fits not repeated",
        "control": f"mean of {plan.spec.controls} draws of random labels per group, at the property's strengths "
        "(Hewitt and Liang 2019)",
        "code_length": "online code, portions of whole groups (Voita and Titov 2020)"
        if plan.spec.code_length
        else None,
        "p_value": _TESTED if plan.spec.permutations else None,
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }
