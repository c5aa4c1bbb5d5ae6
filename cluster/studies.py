"""A study of interventions on a cluster: a task is a group of pairs, whose parts the worker keeps as they are made."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from outcrop.attribution.assembly import StudyPlan
from outcrop.attribution.blocks import Group
from outcrop.attribution.outcomes import RECORD, Outcomes
from outcrop.attribution.parts import PartStore
from outcrop.attribution.prepare import prepare_study
from outcrop.attribution.run import Runner
from outcrop.attribution.study import StudySpec
from outcrop.cluster.tasks import Cluster, Tasks
from outcrop.cluster.versions import CAPTURE
from outcrop.data.errors import ClusterError

if TYPE_CHECKING:
    from outcrop.cluster.context import Place

Progress = Callable[[int, int], None]
"""Called with the pictures made and planned."""


def attribute_on(cluster: Cluster, spec: StudySpec, out: str | Path, *, progress: Progress | None = None) -> Outcomes:
    """:func:`outcrop.attribution.run.run_study` with the pictures made by the workers of ``cluster``, the same ones.

    Each worker loads the model once. ``out`` must lie on a file system that the workers share with this process, which
    alone merges what they make. A worker that ends costs at most the batch in its hand, and the group's donors and
    receivers. Raises what ``run_study`` raises, and :class:`ClusterError`.
    """
    folder = Path(out).absolute()
    with cluster.tasks(functools.partial(_open, spec=spec, folder=folder), packages=CAPTURE) as tasks:
        plan: StudyPlan = tasks.once(_describe)
        return plan.on_disk(folder, functools.partial(_fill, tasks, plan, folder, progress=progress or _silent))


def _fill(tasks: Tasks, plan: StudyPlan, folder: Path, *, progress: Progress) -> None:
    """Have every group made of which a part is missing."""
    store, planned = PartStore(folder), sum(plan.sizes.values())
    progress(plan.done(store), planned)
    for _ in tasks.run(functools.partial(_make_group, folder=folder), plan.lacking(store)):
        progress(plan.done(store), planned)


def _open(place: "Place", *, spec: StudySpec, folder: Path) -> Runner:
    """In a worker: the study, ready to run."""
    return Runner(prepare_study(spec, device=place.device(spec.device)), PartStore(folder, tag=place.tag))


def _describe(runner: Runner, _item: None) -> StudyPlan:
    return runner.plan


def _make_group(runner: Runner, group: Group, *, folder: Path) -> None:
    if not (folder / RECORD).exists():
        raise ClusterError(
            f"{folder} is another folder for a worker than for this process: it has no {RECORD} there. The output must "
            "lie on a file system that all machines of the cluster share."
        )
    runner.run_group(group, _silent)


def _silent(*_done: int) -> None:
    return
