"""Single shards of a capture: filled one after the other by a process alone, or made on request for an engine."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from outcrop.capture.hooks import Recorder
from outcrop.capture.job import Job, describe, open_request
from outcrop.capture.memory import plan_memory
from outcrop.capture.spec import CaptureSpec
from outcrop.data.background import BackgroundWriter
from outcrop.data.places import open_place
from outcrop.data.samples import Sample
from outcrop.data.schema import ShardRecord
from outcrop.data.shard import OpenShard
from outcrop.data.writer import DelegateWriter

Made = Callable[[int], None]
"""Called with the samples of each batch that was made."""


class ShardMaker:
    """A capture that is ready to make any of its shards; its model is loaded once.

    ``record`` is the data set's. Raises what :func:`outcrop.capture.run.capture` raises for a request that cannot work.
    """

    def __init__(self, spec: CaptureSpec, *, device: str | None = None, memory: int | None = None) -> None:
        request = open_request(spec, device=device)
        self._job, self._plan = request.job(), request.plan
        self.record = describe(self._job, self._plan)
        shape = self._job.source.image_shape
        plan_memory(self.record, self._plan.samples, batch=spec.batch, image_shape=shape).within(memory)
        self._recorder = self._job.recorder()

    def make(self, out: str | Path, index: int, *, tag: str) -> ShardRecord:
        """Write shard ``index`` and its pictures to the data set at ``out``, which another process announces.

        A shard that is there already, whole, is not made again.
        """
        writer = DelegateWriter(open_place(out, tag=tag), self.record)
        samples = self._plan.shard(index, self.record.shard_samples)
        with self._recorder as recorder, BackgroundWriter(writer, buffers=1) as background:
            shard = background.open_shard(index, samples)
            if not writer.take_over(shard):
                fill(shard, self._job, recorder, background)
                background.commit(shard)
        return writer.records[0]


def fill(
    shard: OpenShard, job: Job, recorder: Recorder, background: BackgroundWriter, *, made: Made | None = None
) -> None:
    """Generate and record the samples of ``shard``, batch by batch, and have their pictures written."""
    for start in range(0, len(shard.samples), job.spec.batch):
        batch = shard.samples[start : start + job.spec.batch]
        images = _record_into(shard, start, job=job, recorder=recorder, batch=batch)
        if job.spec.images:
            background.write_images(batch, images)
        if made is not None:
            made(len(batch))


def _record_into(
    shard: OpenShard, start: int, *, job: Job, recorder: Recorder, batch: Sequence[Sample]
) -> NDArray[np.uint8]:
    """Fill the rows of ``batch``; its pictures. The recorder's own arrays are let go on return."""
    images, values = job.record(recorder, batch)
    for name, column in shard.columns.items():
        column[:, start : start + len(batch)] = values[name]
    return images
