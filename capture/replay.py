"""Proof that data came from the stated model: samples made again from their stored prompts and seeds, and compared."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from outcrop.capture.job import Job, prepare, provenance
from outcrop.capture.spec import CaptureSpec
from outcrop.data.column import widen_bfloat16
from outcrop.data.dataset import Dataset, open_dataset
from outcrop.data.errors import DataError, InputError
from outcrop.data.int8 import channel_shape, encode
from outcrop.data.samples import Sample

SAME_MODEL = 0.1
"""Drift above this share of the distance between two samples is no matter of rounding."""


@dataclass(frozen=True)
class Replay:
    """What came of making ``samples`` again.

    ``identical`` of them agree at all sites and steps to the bit, or within the rounding of int8. ``drift`` is, at the
    worst site and step (``where``), the root mean square of what changed over that of the difference between two
    different samples: 0 is the same, 1 no nearer than a stranger. ``pictures`` is the largest difference of a colour
    value, of 255; ``None`` where no picture is kept.
    """

    samples: int
    identical: int
    drift: float
    where: str
    pictures: int | None
    changed: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether what changed is small enough for another machine or library version."""
        return self.drift <= SAME_MODEL

    def to_text(self) -> str:
        parts = [f"replay: {self.identical} of {self.samples} samples are the same to the bit"]
        if self.identical < self.samples:
            parts.append(f"drift {self.drift:.2g} of the distance between two samples, at {self.where}")
        if self.pictures is not None:
            parts.append(f"pictures differ by at most {self.pictures} of 255")
        if self.changed:
            parts.append(f"other than then: {', '.join(self.changed)}")
        if not self.passed:
            parts.append("these data do not come from this model, these prompts and seeds")
        return "; ".join(parts)


def replay(folder: str | Path, samples: int, *, device: str | None = None) -> Replay:
    """Make at least ``samples`` samples again, in the batches in which they were made, and compare.

    The batches are drawn by the data set's identity. Raises :class:`InputError` for a number below one, and
    :class:`DataError` for a data set that states no capture.
    """
    if samples < 1:
        raise InputError(f"The number of samples to replay must be at least 1. Got {samples}.")
    ds = open_dataset(folder)
    if not ds.info.spec.get("prompts"):
        raise DataError(f"{ds.path} does not state how it was captured: its samples cannot be made again.")
    job, _ = prepare(_stored_spec(ds), device=device)
    rows = _draw(ds, job.spec.batch, samples)
    made = [_make(job, ds, batch) for batch in rows]
    pictures = [part[0] for part in made]
    drifts: dict[str, float] = {}
    same = np.ones(sum(map(len, rows)), bool)
    chosen = np.concatenate(rows)
    for site in ds.sites.index:
        again = np.concatenate([part[1][site] for part in made], axis=1)
        for step in ds.steps.index:
            stored, now = ds.activations(site, step=step), _plain(again[step], ds)
            near = np.abs(stored[chosen] - now) <= _rounding(stored, ds)[chosen]
            same &= near.reshape(len(chosen), -1).all(1)
            drifts[f"{site}, step {step}"] = _drift(stored, chosen, now)
    where = max(drifts, key=lambda name: drifts[name])
    changed = _changed(ds, job)
    kept = _picture_difference(ds, chosen, np.concatenate(pictures)) if job.spec.images else None
    return Replay(len(chosen), int(same.sum()), drifts[where], where, kept, changed)


def _stored_spec(ds: Dataset) -> CaptureSpec:
    """The specification, with the stored prompts in the place of a file that may be gone."""
    fields = dict(ds.info.spec)
    fields["prompts"] = {"texts": list(dict.fromkeys(ds.samples["prompt"]))}
    fields["sites"] = list(ds.sites.index)
    return CaptureSpec.model_validate(fields)


def _draw(ds: Dataset, batch: int, samples: int) -> list[NDArray[np.intp]]:
    """Rows of whole batches: shards hold whole batches, so that a row's batch is known from its place in the shard."""
    shards = np.arange(len(ds)) // ds.info.shard_samples
    places = np.arange(len(ds)) % ds.info.shard_samples // batch
    batches = [np.flatnonzero((shards == s) & (places == p)) for s, p in sorted(set(zip(shards, places, strict=True)))]
    random.Random(ds.uuid).shuffle(batches)
    taken = 0
    for count, rows in enumerate(batches, start=1):
        taken += len(rows)
        if taken >= samples:
            return batches[:count]
    return batches


def _make(job: Job, ds: Dataset, rows: NDArray[np.intp]) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.generic]]]:
    table = ds.samples.iloc[rows]
    batch: Sequence[Sample] = [
        Sample(str(name), row["prompt"], int(row["seed"]), negative_prompt=row["negative_prompt"])
        for name, row in table.iterrows()
    ]
    with job.recorder() as recorder:
        return job.record(recorder, batch)


def _plain(values: NDArray[np.generic], ds: Dataset) -> NDArray[Any]:
    return widen_bfloat16(values) if ds.dtype == "bfloat16" else values


def _rounding(stored: NDArray[Any], ds: Dataset) -> NDArray[Any]:
    """How far from ``stored`` (sample, *feature) a value may lie that is the same: half a level of int8, or 0."""
    shape = stored.shape[1:]
    channels = channel_shape(shape, ds.info.half) if ds.dtype == "int8" else (1,) * len(shape)
    found = np.zeros((len(stored), *channels), np.float32)
    if ds.dtype == "int8":
        for start in range(0, len(stored), ds.info.shard_samples):
            own = slice(start, start + ds.info.shard_samples)
            found[own] = 0.51 * encode(stored[own], channels)[1][1]  # what was decoded has the scales that it had
    return found


def _drift(stored: NDArray[Any], rows: NDArray[np.intp], now: NDArray[Any]) -> float:
    """RMS of what changed over the RMS distance of two samples; infinite if a constant changed."""
    before = stored[rows].astype(np.float64)
    changed = float(np.sqrt(((now.astype(np.float64) - before) ** 2).mean()))
    spread = float(np.sqrt(2 * stored.astype(np.float64).var(0).mean()))
    return changed / spread if spread else (float("inf") if changed else 0.0)


def _changed(ds: Dataset, job: Job) -> tuple[str, ...]:
    now = provenance(job.source)
    then = ds.info.provenance
    return tuple(f"{name} {now[name]} ({then[name]})" for name in then if now.get(name, then[name]) != then[name])


def _picture_difference(ds: Dataset, rows: NDArray[np.intp], now: NDArray[np.uint8]) -> int:
    stored = np.stack([np.asarray(picture) for picture in ds.images(list(ds.samples.index[rows]))])
    return int(np.abs(stored.astype(int) - now.astype(int)).max())
