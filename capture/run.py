"""Generate, record and commit: the capture itself."""

import io
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from outcrop.capture.guidance import GuidanceLayout
from outcrop.capture.hooks import Recorder
from outcrop.capture.noise import evenly
from outcrop.capture.plan import Plan, make_plan, shard_size
from outcrop.capture.prompts import check_labels
from outcrop.capture.reduction import Reduction
from outcrop.capture.sites import Site, select_sites
from outcrop.capture.source import DiffusersSource, open_source
from outcrop.capture.spec import CaptureSpec
from outcrop.data.atomic import write_atomic
from outcrop.data.dataset import Dataset, open_dataset
from outcrop.data.errors import InputError
from outcrop.data.samples import Sample
from outcrop.data.schema import STORED_DTYPE, DatasetRecord, SiteRecord
from outcrop.data.writer import ShardWriter, open_writer

Progress = Callable[[int, int], None]
"""Called with the samples done and planned."""


@dataclass(frozen=True)
class _Job:
    """What stays the same for every batch."""

    spec: CaptureSpec
    source: DiffusersSource
    sites: tuple[Site, ...]
    steps: tuple[int, ...]
    guidance: float

    @property
    def size(self) -> dict[str, int]:
        wanted = {"height": self.spec.height, "width": self.spec.width}
        return {name: value for name, value in wanted.items() if value is not None}


def capture(spec: CaptureSpec, out: str | Path, *, progress: Progress | None = None) -> Dataset:
    """Run ``spec`` and write format 1 to the folder ``out``; go on where an earlier run of the same spec stopped.

    The images are the ones that the pipeline gives without us, bit for bit; samples of a finished shard are never
    made again. Raises :class:`~outcrop.data.errors.InputError` before any generation for a request that cannot
    work, :class:`~outcrop.data.errors.ConflictError` if ``out`` holds something else, and
    :class:`~outcrop.data.errors.StorageError` when the disk refuses.
    """
    folder = Path(out)
    job, plan = _prepare(spec)
    record = _describe(job, plan)
    with open_writer(folder, record) as writer:
        _run(job, plan, writer, progress or _silent)
        writer.seal(plan.samples)
    return open_dataset(folder)


def describe_run(spec: CaptureSpec) -> DatasetRecord:
    """The record that :func:`capture` would write, from a dry pass of one step. Nothing is written."""
    return _describe(*_prepare(spec))


def _prepare(spec: CaptureSpec) -> tuple[_Job, Plan]:
    """Everything that can be wrong with a request, what is quickest to tell first."""
    check_labels(spec.prompts.expand())
    source = open_source(spec.model, device=spec.device, part=spec.part)
    guidance = source.default_guidance if spec.guidance is None else spec.guidance
    if spec.half != "cond" and guidance <= 1:
        raise InputError(
            f"half={spec.half!r} needs guidance above 1, or there is no unconditional half. Got {guidance}."
        )
    spec = spec.model_copy(update={"guidance": guidance})
    job = _Job(spec, source, (), _recorded(spec), guidance)
    sites = select_sites(source.sites(**job.size), spec.sites)
    return replace(job, sites=tuple(sites)), make_plan(spec, weights=source.fingerprint)


def _recorded(spec: CaptureSpec) -> tuple[int, ...]:
    """The steps that are recorded; what runs once an image has a single one."""
    return evenly(spec.steps, spec.record) if spec.part == "denoiser" else (0,)


def _describe(job: _Job, plan: Plan) -> DatasetRecord:
    spec = job.spec
    stored = [_stored_shape(job, site) for site in job.sites]
    sites = tuple(
        SiteRecord(
            name=site.name, role=site.role, depth=site.depth, stream=site.stream, source_shape=site.shape, shape=shape
        )
        for site, shape in zip(job.sites, stored, strict=True)
    )
    fields = {
        "uuid": plan.uuid,
        "model": spec.model,
        "dtype": spec.dtype,
        "reduction": spec.reduction,
        "half": spec.half,
        "sites": sites,
        "steps": job.source.step_records(spec.steps, job.steps, **job.size),
        "labels": plan.labels,
        "planned_samples": len(plan.samples),
        "spec": spec.model_dump(mode="json"),
        "provenance": _provenance(job.source),
        "licences": spec.licences,
    }
    trial = DatasetRecord.model_validate(fields | {"shard_samples": 1})
    return DatasetRecord.model_validate(fields | {"shard_samples": shard_size(spec, trial.sample_bytes)})


def _stored_shape(job: _Job, site: Site) -> tuple[int, ...]:
    import torch

    reduced = Reduction.parse(job.spec.reduction).apply(torch.zeros((1, *site.shape)))
    halves = (2,) if job.spec.half == "both" else ()
    return (*halves, *reduced.shape[1:])


def _provenance(source: DiffusersSource) -> dict[str, str]:
    packages = {name: metadata.version(name) for name in ("torch", "diffusers", "transformers", "numpy", "h5py")}
    return {"weights_sha256": source.fingerprint, "python": platform.python_version()} | source.versions | packages


def _run(job: _Job, plan: Plan, writer: ShardWriter, progress: Progress) -> None:
    size, planned = writer.dataset.shard_samples, len(plan.samples)
    done = sum(len(shard.samples) for shard in writer.committed.values())
    progress(done, planned)
    pending = [index for index in range(-(-planned // size)) if index not in writer.committed]
    reduction = Reduction.parse(job.spec.reduction)
    recorder = Recorder(
        job.source.denoiser,
        job.sites,
        steps=job.steps,
        reduction=reduction,
        dtype=job.spec.dtype,
        half=job.spec.half,
        layout=_layout(job, plan),
    )
    with recorder:
        for index in pending:
            samples = plan.shard(index, size)
            columns = _empty_columns(writer.dataset, len(samples))
            for start in range(0, len(samples), job.spec.batch):
                batch = samples[start : start + job.spec.batch]
                images = _record_batch(job, recorder, batch, columns, start)
                if job.spec.images:
                    _write_images(writer.folder, batch, images)
                done += len(batch)
                progress(done, planned)
            writer.commit(index, samples, columns)


def _layout(job: _Job, plan: Plan) -> GuidanceLayout:
    """Which rows are conditional, tried with prompts of the plan."""
    prompts = list(dict.fromkeys(sample.prompt for sample in plan.samples))[:2]
    return job.source.guidance_layout(job.guidance, prompts, **job.size)


def _empty_columns(record: DatasetRecord, samples: int) -> dict[str, NDArray[np.generic]]:
    kind = STORED_DTYPE[record.dtype]
    return {site.name: np.empty((len(record.steps), samples, *site.shape), kind) for site in record.sites}


def _record_batch(
    job: _Job, recorder: Recorder, batch: Sequence[Sample], columns: dict[str, NDArray[np.generic]], start: int
) -> NDArray[np.uint8]:
    recorder.begin(len(batch))
    images = job.source.generate(batch, steps=job.spec.steps, guidance=job.guidance, **job.size)
    if recorder.calls != job.source.timesteps:
        raise InputError(
            f"The denoiser of {job.spec.model} ran {recorder.calls} times for {job.source.timesteps} timesteps. Steps "
            "can be told apart only where it runs once a timestep; where guidance is a second run, use guidance 1."
        )
    for name, values in recorder.take().items():
        columns[name][:, start : start + len(batch)] = values
    return images


def _write_images(folder: Path, batch: Sequence[Sample], images: NDArray[np.uint8]) -> None:
    for sample, pixels in zip(batch, images, strict=True):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format="png")
        write_atomic(folder / sample.image, buffer.getvalue())


def _silent(_done: int, _planned: int) -> None:
    return
