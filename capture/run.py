"""Generate, record and commit: the capture itself."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from outcrop.capture.job import Job, describe, open_request
from outcrop.capture.memory import plan_memory
from outcrop.capture.plan import Plan
from outcrop.capture.ranks import Rank
from outcrop.capture.shards import fill
from outcrop.capture.spec import CaptureSpec
from outcrop.data.background import BackgroundWriter
from outcrop.data.dataset import Dataset, open_dataset
from outcrop.data.object_store import check_reachable
from outcrop.data.places import Place, open_place
from outcrop.data.schema import DatasetRecord
from outcrop.data.writer import ShardWriter, open_writer, stored_record

Progress = Callable[[int, int], None]
"""Called with the samples done and planned."""


@dataclass(frozen=True)
class Share:
    """What a rank has done: ``samples`` of its own; ``committed`` of all ranks so far, of ``planned``."""

    rank: Rank
    samples: int
    committed: int
    planned: int

    @property
    def complete(self) -> bool:
        """Whether all ranks are done, and the data set is sealed."""
        return self.committed == self.planned

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"complete": self.complete}

    def to_text(self) -> str:
        state = "the data set is complete" if self.complete else "other ranks are not done"
        return (
            f"rank {self.rank.index} of {self.rank.world} has its {self.samples} samples; "
            f"{self.committed} of {self.planned} are committed, {state}"
        )


def capture(
    spec: CaptureSpec, out: str | Path, *, progress: Progress | None = None, memory: int | None = None
) -> Dataset:
    """Run ``spec`` and write a data set to ``out``; go on where an earlier run of the same spec stopped.

    ``out`` is a folder, or the URL of one in an object store: ``s3://bucket/folder``, ``gs://``, ``az://``.

    The images are the ones that the pipeline gives without us, bit for bit; samples of a finished shard are never
    made again. Recorded data take at most ``memory`` bytes at once, however many samples there are; the model comes on
    top. Raises :class:`~outcrop.data.errors.InputError` before any generation for a request that cannot
    work, :class:`~outcrop.data.errors.ConflictError` if ``out`` holds something else, and
    :class:`~outcrop.data.errors.StorageError` when the disk refuses.
    """
    _execute(spec, out, Rank(0, 1), progress=progress or _silent, memory=memory)
    return open_dataset(out)


def capture_share(
    spec: CaptureSpec, out: str | Path, rank: Rank, *, progress: Progress | None = None, memory: int | None = None
) -> Share:
    """:func:`capture` for one of several processes that write to the same folder ``out``.

    The last one to be done seals the data set. A number of ranks that differs from an earlier run's is no matter.
    """
    samples, planned = _execute(spec, out, rank, progress=progress or _silent, memory=memory)
    committed = sum(len(record.samples) for record in open_place(out).journal())
    return Share(rank, samples, committed, planned)


def _execute(
    spec: CaptureSpec, out: str | Path, rank: Rank, *, progress: Progress, memory: int | None
) -> tuple[int, int]:
    """The rank's share, and the seal if it is the last one; samples of the share and of the plan."""
    check_reachable(out)
    place = open_place(out)
    request = open_request(spec, device=rank.device(spec.device))
    number = rank.index if rank.world > 1 else None
    if (finished := _finished(place, request.plan)) is not None:
        with open_writer(out, finished, rank=number) as writer:  # no trial is needed, but the seal may be missing
            writer.seal(request.plan.samples)
            own = sum(count for index, count in writer.committed.items() if rank.owns(index))
        progress(own, own)
        return own, len(request.plan.samples)
    job, plan = request.job(), request.plan
    record = describe(job, plan)
    wanted = plan_memory(record, plan.samples, batch=spec.batch, image_shape=job.source.image_shape).within(memory)
    with open_writer(out, record, rank=number) as writer:
        with BackgroundWriter(writer, buffers=wanted.buffers) as background:
            done = _run(job, plan, writer, background, rank=rank, progress=progress)
        writer.seal(plan.samples)
    return done, len(plan.samples)


def _finished(place: Place, plan: Plan) -> DatasetRecord | None:
    """The record of the data set that is there, if it is the plan's and every sample is committed."""
    if place.find("dataset.json") is None:
        return None
    record = stored_record(place)
    committed = sum(len(shard.samples) for shard in place.journal())
    return record if record.uuid == plan.uuid and committed == len(plan.samples) else None


def _run(
    job: Job, plan: Plan, writer: ShardWriter, background: BackgroundWriter, *, rank: Rank, progress: Progress
) -> int:
    """Make every shard of the rank that is not committed yet; how many samples the rank then has."""
    size, known = writer.dataset.shard_samples, dict(writer.committed)
    own = [index for index in range(-(-len(plan.samples) // size)) if rank.owns(index)]
    planned = sum(len(plan.shard(index, size)) for index in own)
    done = sum(known.get(index, 0) for index in own)
    progress(done, planned)

    def count(fresh: int) -> None:
        nonlocal done
        done += fresh
        progress(done, planned)

    with job.recorder() as recorder:
        for index in own:
            if index in known:
                continue
            shard = background.open_shard(index, plan.shard(index, size))
            fill(shard, job, recorder, background, made=count)
            background.commit(shard)
    return done


def _silent(_done: int, _planned: int) -> None:
    return
