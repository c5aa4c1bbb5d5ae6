"""A sweep of probes on a cluster: a task is a block of cells, whose columns the worker reads itself."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from outcrop.cluster.tasks import Cluster
from outcrop.cluster.versions import PROBE
from outcrop.probes.cells import Fitted, fit_missing
from outcrop.probes.degenerate import FeatureCheck
from outcrop.probes.features import Recording
from outcrop.probes.plan import Plan
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.sweep import probe
from outcrop.probes.table import ProbeTable

if TYPE_CHECKING:
    from outcrop.cluster.context import Place

Progress = Callable[[int, int], None]
"""Called with the cells done and planned."""

Block = tuple[int, ...]
"""Numbers of cells of one site."""

BLOCK_CELLS = 4
"""Cells a task at most: enough to hide the way to a worker, and little to lose with one."""
TASKS = 64
"""Tasks that a sweep is cut into before they grow: with fewer, workers wait at its end for the one with the last."""


def probe_on(
    cluster: Cluster,
    recording: Recording,
    *,
    spec: ProbeSpec | None = None,
    progress: Progress | bool = False,
    resume: str | Path | None = None,
    memory: int | None = None,
) -> ProbeTable:
    """:func:`outcrop.probes.probe` with the cells fitted by the workers of ``cluster``; the table is the same.

    ``recording`` is sent to the workers without its activations: a data set must lie where they can read it, by an
    absolute path or behind a URL. Each worker reads the columns that it fits, within ``memory`` bytes.
    """
    fitter = functools.partial(_fit_on, cluster=cluster, memory=memory)
    return probe(recording, spec=spec, progress=progress, resume=resume, fitter=fitter, memory=memory)


@dataclass(frozen=True)
class _Sweep:
    recording: Recording
    plan: Plan
    memory: int | None


def _fit_on(
    recording: Recording,
    plan: Plan,
    numbers: Sequence[int],
    check: FeatureCheck,
    *,
    cluster: Cluster,
    memory: int | None,
) -> Iterator[tuple[int, Fitted]]:
    """Cells as they are finished; what is odd about their features is noted in their order, when all are there."""
    checks: dict[Block, FeatureCheck] = {}
    with cluster.tasks(functools.partial(_given, sweep=_Sweep(recording, plan, memory)), packages=PROBE) as tasks:
        for block, (fits, found) in tasks.run(_fit_block, _blocks(plan, numbers)):
            checks[block] = found
            yield from zip(block, fits, strict=True)
    for block in sorted(checks):
        check.merge(checks[block])


def _blocks(plan: Plan, numbers: Sequence[int]) -> list[Block]:
    """``numbers`` in blocks of one site each: its columns lie side by side."""
    size = min(BLOCK_CELLS, 1 + len(numbers) // TASKS)
    blocks: list[Block] = []
    for _, own in groupby(numbers, key=lambda number: plan.cells[number][0]):
        cells = tuple(own)
        blocks += [cells[start : start + size] for start in range(0, len(cells), size)]
    return blocks


def _given(_place: "Place", *, sweep: _Sweep) -> _Sweep:
    return sweep


def _fit_block(sweep: _Sweep, block: Block) -> tuple[list[Fitted], FeatureCheck]:
    """In a worker: one process, one BLAS thread."""
    check = FeatureCheck()
    fits = fit_missing(sweep.recording, sweep.plan, block, check, workers=1, memory=sweep.memory)
    return [fitted for _, fitted in fits], check
