"""What a capture will take, before any of it is spent."""

import resource
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from outcrop.capture.job import Job, describe, prepare
from outcrop.capture.memory import plan_memory
from outcrop.capture.plan import Plan
from outcrop.capture.spec import CaptureSpec
from outcrop.data.background import encode_png
from outcrop.data.errors import StorageError
from outcrop.data.layout import lay_out
from outcrop.data.listing import check_listing
from outcrop.data.object_store import check_reachable
from outcrop.data.places import absolute, open_place
from outcrop.data.schema import DatasetRecord

TRIAL_SAMPLES = 2


@dataclass(frozen=True)
class Forecast:
    """Sizes in bytes, of the whole capture; ``free`` is the room on the disk of the output folder, None for an
    object store.

    ``site_bytes`` are the activations of each site; ``total_bytes`` those of all sites, ``disk_bytes`` the files of all
    shards and images; ``memory_bytes`` the most that recorded data take at once, ``process_bytes`` the same with the
    process as it stood after the trial. ``seconds`` and the images' share come from two trial samples.
    """

    samples: int
    committed: int
    sites: int
    steps: int
    sample_bytes: int
    site_bytes: dict[str, int]
    total_bytes: int
    shards: int
    shard_bytes: int
    image_bytes: int
    disk_bytes: int
    memory_bytes: int
    process_bytes: int
    seconds: float
    free: int | None

    @property
    def needed(self) -> int:
        """Bytes that the samples which are not committed yet will take on disk."""
        return round(self.disk_bytes * (1 - self.committed / self.samples))

    def check_room(self) -> None:
        """Raises :class:`StorageError` for a capture that cannot fit on the disk."""
        if self.free is not None and self.needed > self.free:
            raise StorageError(
                f"The capture needs {self.needed / 1e9:.2f} GB on a disk with {self.free / 1e9:.2f} GB free "
                f"({self.image_bytes / 1e9:.2f} GB of it for images). Make room, record fewer sites or steps, use a "
                "smaller reduction, or leave the images out."
            )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"needed": self.needed}

    def to_text(self) -> str:
        width = max(map(len, self.site_bytes))
        sites = "\n".join(f"  {name:{width}}  {_size(size):>10}" for name, size in self.site_bytes.items())
        left = self.seconds * (1 - self.committed / self.samples)
        return (
            f"{self.samples} samples x {self.sites} sites x {self.steps} steps"
            f"{f', {self.committed} samples of them done' if self.committed else ''}\n"
            f"activations by site\n{sites}\n"
            f"on disk: {_size(self.disk_bytes)}: {self.shards} shards of at most {_size(self.shard_bytes)} "
            f"({_size(self.sample_bytes)} of activations a sample), {_size(self.image_bytes)} of images\n"
            f"in memory: {_size(self.memory_bytes)} of recorded data, "
            f"about {_size(self.process_bytes)} with the model\n"
            f"time: about {_duration(left)}, at {self.seconds / self.samples:.2f} s a sample in the trial\n"
            f"{'goes to an object store' if self.free is None else f'free on the disk: {_size(self.free)}'}"
        )


def forecast(spec: CaptureSpec, out: str | Path, *, memory: int | None = None) -> Forecast:
    """Load the model, make two trial samples, and add up. Nothing is written."""
    check_reachable(out)
    job, plan = prepare(spec)
    record = describe(job, plan)
    check_listing(record)
    seconds, image_bytes = _trial(job, plan)
    wanted = plan_memory(record, plan.samples, batch=spec.batch, image_shape=job.source.image_shape).within(memory)
    sizes = _shard_sizes(record, plan)
    images = round(image_bytes * len(plan.samples)) if spec.images else 0
    place = open_place(absolute(out))
    return Forecast(
        samples=record.planned_samples,
        committed=sum(len(shard.samples) for shard in place.journal()),
        sites=len(record.sites),
        steps=len(record.steps),
        sample_bytes=record.sample_bytes,
        site_bytes={site.name: size * record.planned_samples for site, size in _site_sizes(record)},
        total_bytes=record.sample_bytes * record.planned_samples,
        shards=len(sizes),
        shard_bytes=max(sizes),
        image_bytes=images,
        disk_bytes=sum(sizes) + images,
        memory_bytes=wanted.total,
        process_bytes=1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + wanted.total,
        seconds=seconds * len(plan.samples),
        free=place.free,
    )


def _trial(job: Job, plan: Plan) -> tuple[float, float]:
    """Seconds and bytes of the image, a sample."""
    batch = plan.samples[:TRIAL_SAMPLES]
    with job.recorder() as recorder:
        started = time.perf_counter()
        images, _ = job.record(recorder, batch)
        spent = time.perf_counter() - started
    return spent / len(batch), sum(len(encode_png(picture)) for picture in images) / len(batch)


def _shard_sizes(record: DatasetRecord, plan: Plan) -> list[int]:
    """Of all shards: as the first, and the last as it is."""
    count = -(-len(plan.samples) // record.shard_samples)
    first, last = (lay_out(record, plan.shard(index, record.shard_samples)).size for index in (0, count - 1))
    return [first] * (count - 1) + [last]


def _site_sizes(record: DatasetRecord) -> list[tuple[Any, int]]:
    """Bytes a sample of each site, over all steps."""
    return [(site, record.model_copy(update={"sites": (site,)}).sample_bytes) for site in record.sites]


def _size(count: int) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
