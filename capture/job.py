"""A capture that is ready to run: the model loaded, the sites chosen, every request checked."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import metadata

import numpy as np
from numpy.typing import NDArray

from outcrop.capture import baselines
from outcrop.capture.blank import check_patterns
from outcrop.capture.guidance import UNGUIDED, GuidanceLayout
from outcrop.capture.hooks import Recorder
from outcrop.capture.noise import evenly
from outcrop.capture.plan import Plan, make_plan, shard_size
from outcrop.capture.prompts import check_labels
from outcrop.capture.reduction import Reduction
from outcrop.capture.sites import Site, select_sites
from outcrop.capture.source import DiffusersSource, open_source
from outcrop.capture.spec import CaptureSpec
from outcrop.data.errors import DataError, InputError
from outcrop.data.samples import Sample
from outcrop.data.schema import DatasetRecord, SiteRecord, format_of


@dataclass(frozen=True)
class Job:
    """What stays the same for every batch."""

    spec: CaptureSpec
    source: DiffusersSource
    sites: tuple[Site, ...]
    steps: tuple[int, ...]
    guidance: float
    layout: GuidanceLayout = UNGUIDED

    @property
    def options(self) -> dict[str, float]:
        """Of the pipeline: height and width of the pictures and the second guidance, where they are asked for."""
        wanted = {"height": self.spec.height, "width": self.spec.width, "true_cfg_scale": self.spec.true_cfg}
        return {name: value for name, value in wanted.items() if value is not None}

    @cached_property
    def stored_shapes(self) -> dict[str, tuple[int, ...]]:
        """Per site what is stored of one sample and step, by the trial run; (2, *feature) where both halves are."""
        halves = (2,) if self.spec.half == "both" else ()
        return {site.name: (*halves, *reduced_shape(site, self.spec.reduction)) for site in self.sites}

    def recorder(self) -> Recorder:
        """A recorder of the sites and steps, to be opened."""
        recorder = Recorder(
            self.source.denoiser,
            self.sites,
            steps=self.steps,
            reduction=Reduction.parse(self.spec.reduction),
            dtype="float32" if self.spec.dtype == "int8" else self.spec.dtype,
            half=self.spec.half,
            layout=self.layout,
        )
        if baselines.UNTRAINED in self.spec.sites:
            recorder.accompany(baselines.untrained_copy(self.source.denoiser))
        return recorder

    def record(
        self, recorder: Recorder, batch: Sequence[Sample]
    ) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.generic]]]:
        """Pictures (n, height, width, 3) of a batch, and per site the activations (step, n, *feature)."""
        recorder.begin(len(batch))
        images = self.source.generate(batch, steps=self.spec.steps, guidance=self.guidance, **self.options)
        if recorder.calls != self.source.timesteps:
            raise InputError(
                f"The denoiser of {self.spec.model} made {recorder.calls} steps for {self.source.timesteps} timesteps. "
                "Steps can be told apart only where each has the same calls: give a scheduler or guidance that does so."
            )
        values = recorder.take()
        for name, shape in self.stored_shapes.items():
            _check_shape(name, values[name].shape[2:], shape)
        return images, values


@dataclass(frozen=True)
class Request:
    """A specification with its model loaded and its samples planned; nothing was run yet."""

    spec: CaptureSpec
    source: DiffusersSource
    guidance: float
    plan: Plan

    def job(self) -> Job:
        """What a dry pass and the trial runs tell: sites, and how guidance is laid out."""
        spec = self.spec
        job = Job(spec, self.source, (), (), self.guidance)
        sites = _chosen_sites(job)
        prompts = list(dict.fromkeys(sample.prompt for sample in self.plan.samples))[:2]
        layout = self.source.guidance_layout(self.guidance, prompts, **job.options)
        steps = evenly(self.source.count_timesteps(spec.steps, **job.options), spec.record)
        return replace(job, sites=tuple(sites), steps=steps, layout=layout)


def open_request(spec: CaptureSpec, *, device: str | None = None) -> Request:
    """Check what can be told without a run, the quickest first. ``device`` overrides."""
    check_labels(spec.prompts.expand())
    patterns = baselines.of_the_model(spec.sites)
    if spec.part == "denoiser":
        check_patterns(spec.model, patterns)
    source = open_source(spec.model, device=device or spec.device, part=spec.part)
    guidance = source.default_guidance if spec.guidance is None else spec.guidance
    if spec.half != "cond" and max(guidance, spec.true_cfg or 1) <= 1:
        raise InputError(
            f"half={spec.half!r} needs guidance above 1, or there is no unconditional half. Got {guidance}."
        )
    spec = spec.model_copy(update={"guidance": guidance})
    return Request(spec, source, guidance, make_plan(spec, weights=source.fingerprint))


def prepare(spec: CaptureSpec, *, device: str | None = None) -> tuple[Job, Plan]:
    """A capture that is ready to run. Raises :class:`InputError` for everything that can be wrong with a request."""
    request = open_request(spec, device=device)
    return request.job(), request.plan


def _chosen_sites(job: Job) -> list[Site]:
    """The sites of the specification, with baselines where they are among them."""
    with baselines.watched_inputs(job.source.denoiser) as inputs:
        sites = job.source.sites(**job.options)
    patterns = [pattern for pattern in job.spec.sites if pattern != baselines.UNTRAINED]
    if baselines.wanted(patterns):
        sites = [*inputs.sites, *sites]
    chosen = select_sites(sites, patterns)
    return baselines.with_untrained(chosen) if len(patterns) < len(job.spec.sites) else chosen


def describe(job: Job, plan: Plan) -> DatasetRecord:
    """The record of the data set that the job will write."""
    spec = job.spec
    sites = tuple(
        SiteRecord(
            name=site.name,
            role=site.role,
            depth=site.depth,
            stream=site.stream,
            source_shape=site.shape,
            shape=job.stored_shapes[site.name],
        )
        for site in job.sites
    )
    fields = {
        "uuid": plan.uuid,
        "model": spec.model,
        "format": format_of(spec.dtype),
        "dtype": spec.dtype,
        "reduction": spec.reduction,
        "half": spec.half,
        "sites": sites,
        "steps": job.source.step_records(spec.steps, job.steps, **job.options),
        "labels": plan.labels,
        "planned_samples": len(plan.samples),
        "spec": spec.model_dump(mode="json"),
        "provenance": provenance(job.source),
        "licences": spec.licences,
    }
    trial = DatasetRecord.model_validate(fields | {"shard_samples": 1})
    return DatasetRecord.model_validate(fields | {"shard_samples": shard_size(spec, trial.filled_bytes)})


def reduced_shape(site: Site, reduction: str) -> tuple[int, ...]:
    """What is stored of a sample and step at ``site``. Raises :class:`InputError` where the reduction does not fit."""
    import torch

    blank = torch.empty((1, *site.shape), device="meta")
    own = baselines.reduction_of(site, Reduction.parse(reduction))
    try:
        return tuple(site.reduce(own, blank).shape[1:])
    except InputError as error:
        raise InputError(f"Site {site.name!r}: {error}") from None


def _check_shape(name: str, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if found != expected:
        raise DataError(
            f"Site {name!r} put out {found} a sample, in the trial run {expected}. The model does not pad its prompts "
            "to one length: record what has text tokens with the reduction mean."
        )


def provenance(source: DiffusersSource) -> dict[str, str]:
    """The weights' fingerprint, and the versions of what runs them."""
    packages = {name: metadata.version(name) for name in ("torch", "diffusers", "transformers", "numpy", "h5py")}
    return {"weights_sha256": source.fingerprint, "python": platform.python_version()} | source.versions | packages
