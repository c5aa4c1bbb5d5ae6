"""A capture on a cluster: a task is a shard; this process alone keeps the journal (docs/decisions/0014-cluster.md)."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from outcrop.capture.plan import Plan, make_plan
from outcrop.capture.shards import ShardMaker
from outcrop.capture.spec import CaptureSpec
from outcrop.cluster.tasks import Cluster, Tasks
from outcrop.cluster.versions import CAPTURE
from outcrop.data.dataset import Dataset, open_dataset
from outcrop.data.errors import ClusterError, DataError
from outcrop.data.object_store import check_reachable
from outcrop.data.places import Place, absolute
from outcrop.data.samples import Sample
from outcrop.data.schema import DatasetRecord, ShardRecord
from outcrop.data.store import is_remote
from outcrop.data.writer import ShardWriter, open_writer

if TYPE_CHECKING:
    from outcrop.cluster.context import Place as Worker

Progress = Callable[[int, int], None]
"""Called with the samples done and planned."""


def capture_on(
    cluster: Cluster,
    spec: CaptureSpec,
    out: str | Path,
    *,
    progress: Progress | None = None,
    memory: int | None = None,
) -> Dataset:
    """:func:`outcrop.capture.run.capture` with the shards made by the workers of ``cluster``, the same to the byte.

    Each worker loads the model once, and holds at most ``memory`` bytes of recorded data. ``out`` must lie on a
    file system or in an object store that the workers share with this process, which alone announces shards and seals.
    A worker that ends costs at most the shard in its hand. Raises what ``capture`` raises, and :class:`ClusterError`.
    """
    check_reachable(out)
    place = absolute(out)
    make = functools.partial(_open, spec=spec, memory=memory)
    with cluster.tasks(make, packages=CAPTURE) as tasks:
        record = DatasetRecord.model_validate_json(tasks.once(_describe))
        plan = _plan_of(record)
        with open_writer(place, record) as writer:
            _gather(tasks, plan, writer, progress=progress or _silent)
            writer.seal(plan.samples)
    return open_dataset(place)


def _gather(tasks: Tasks, plan: Plan, writer: ShardWriter, *, progress: Progress) -> None:
    """Have every missing shard made, and announce it."""
    size, planned = writer.dataset.shard_samples, len(plan.samples)
    missing = [index for index in range(-(-planned // size)) if index not in writer.committed]
    progress(sum(writer.committed.values()), planned)
    room_checked = False
    for index, line in tasks.run(functools.partial(_make_shard, out=absolute(writer.place.location)), missing):
        record, samples = ShardRecord.model_validate_json(line), plan.shard(index, size)
        if not room_checked:
            writer.check_room(image_bytes=_image_bytes(writer.place, samples))
            room_checked = True
        writer.announce(record)
        progress(sum(writer.committed.values()), planned)


def _plan_of(record: DatasetRecord) -> Plan:
    """The plan as this process makes it from what a worker said of the model."""
    plan = make_plan(CaptureSpec.model_validate(record.spec), weights=record.provenance["weights_sha256"])
    if plan.uuid != record.uuid:
        raise ClusterError("A worker reads other prompts than this process. Do both see the same prompt file?")
    return plan


def _image_bytes(place: Place, samples: Sequence[Sample]) -> float:
    """The mean size of the pictures of ``samples``, which a worker has written."""
    found = [place.found(sample.image) for sample in samples if sample.image]
    return sum(len(content) for content in found if content is not None) / len(found) if found else 0.0


def _open(worker: "Worker", *, spec: CaptureSpec, memory: int | None) -> tuple[ShardMaker, str]:
    """In a worker: the capture, ready to run, and the tag of the worker's temporary files."""
    return ShardMaker(spec, device=worker.device(spec.device), memory=memory), worker.tag


def _describe(state: tuple[ShardMaker, str], _item: None) -> str:
    return state[0].record.model_dump_json()


def _make_shard(state: tuple[ShardMaker, str], index: int, *, out: str | Path) -> str:
    maker, tag = state
    try:
        return maker.make(out, index, tag=tag).model_dump_json()
    except DataError as error:
        if is_remote(out) or (Path(out) / "dataset.json").exists():
            raise
        raise ClusterError(
            f"{out} is another folder for a worker than for this process: it has no dataset.json there. The output "
            "must lie on a file system that all machines of the cluster share."
        ) from error


def _silent(_done: int, _planned: int) -> None:
    return
