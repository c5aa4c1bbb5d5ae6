"""How much memory recorded data may take at once, and how it is spent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from outcrop.data.background import PICTURE_BATCHES
from outcrop.data.errors import InputError
from outcrop.data.layout import lay_out
from outcrop.data.samples import LabelValue, Sample
from outcrop.data.schema import DatasetRecord

MOST_BUFFERS = 4


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes: ``batch`` is one batch of activations, ``pictures`` one of pixels, ``shard`` one shard.

    A batch lies in memory twice (the recorder's planes, and their stack), and ``buffers`` shards are filled, waiting or
    being written. The model and what it computes with come on top.
    """

    batch: int
    pictures: int
    shard: int
    buffers: int

    @property
    def total(self) -> int:
        """The most that recorded data take at once."""
        return self._fixed + self.buffers * self.shard

    @property
    def _fixed(self) -> int:
        return 2 * self.batch + PICTURE_BATCHES * self.pictures

    def within(self, cap: int | None) -> "MemoryPlan":
        """As many buffers as ``cap`` bytes allow; two, one filled while the other is written, if it is ``None``.

        Raises :class:`InputError` for a cap that is too small for one.
        """
        if cap is None:
            return self
        buffers = (cap - self._fixed) // self.shard
        if buffers < 1:
            least = self._fixed + self.shard
            raise InputError(
                f"memory must be at least {least / 1e6:.1f} MB for this capture: two batches of activations of "
                f"{self.batch / 1e6:.1f} MB, {PICTURE_BATCHES} batches of pixels of {self.pictures / 1e6:.1f} MB, one "
                f"shard of {self.shard / 1e6:.1f} MB. Got {cap / 1e6:.1f} MB. Give more, or lower batch or "
                "shard_samples (another data set), or record less."
            )
        return MemoryPlan(self.batch, self.pictures, self.shard, min(buffers, MOST_BUFFERS))


def plan_memory(
    record: DatasetRecord, samples: Sequence[Sample], *, batch: int, image_shape: tuple[int, ...]
) -> MemoryPlan:
    """The plan, with two buffers, for a data set of ``samples`` with pictures of ``image_shape``."""
    count = min(record.shard_samples, len(samples))
    shard = lay_out(record, [_widest(samples)] * count).size
    if record.filled_bytes > record.sample_bytes:  # it is filled beside its bytes
        shard += count * record.filled_bytes
    return MemoryPlan(batch * record.filled_bytes, batch * math.prod(image_shape), shard, buffers=2)


def _widest(samples: Sequence[Sample]) -> Sample:
    """A sample whose texts are as long as the longest: no shard is larger than one of its kind."""
    fields = ("prompt", "negative_prompt", "template", "image")
    texts = {name: _longest([getattr(sample, name) for sample in samples]) for name in fields}
    labels = {name: _longest([sample.labels[name] for sample in samples]) for name in samples[0].labels}
    return replace(samples[0], **texts, labels=labels)


def _longest(values: Sequence[LabelValue]) -> Any:
    return max(values, key=lambda value: len(str(value).encode()))
