"""A diffusers pipeline as a source of images, with the denoiser as the place where sites live."""

import inspect
from collections.abc import Callable, Sequence
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from outcrop.capture.discovery import discover_sites
from outcrop.capture.guidance import GuidanceLayout, observe_layout
from outcrop.capture.loading import check_device, load_pipeline
from outcrop.capture.models import MODULES, fingerprint, hash_weights
from outcrop.capture.modules import SCHEME, ModuleSource, call_function
from outcrop.capture.noise import step_records
from outcrop.capture.seeding import seeded_by
from outcrop.capture.sites import Site
from outcrop.capture.streams import Stream
from outcrop.capture.taps import Grid
from outcrop.data.errors import InputError, OutcropError
from outcrop.data.patterns import near_misses
from outcrop.data.samples import Sample
from outcrop.data.schema import StepRecord

DENOISERS = ("unet", "transformer", "prior")
TEXTS = ("a", "b")
TRIAL_STEPS = 2  # some pipelines take another way where there is a single one


class DiffusersSource:
    """Any diffusers pipeline that makes images from prompts or classes. Made by :func:`open_source`.

    ``part`` is what is recorded: the denoiser, or another part by the pipeline's own name for it (``text_encoder``,
    ``vae``: its decoder), which has a single step.
    """

    def __init__(
        self, name: str, pipeline: Any, *, weights: Callable[[], str], device: str, part: str = "denoiser"
    ) -> None:
        self.name, self.device, self.part = name, device, part
        self.image_shape: tuple[int, ...] = ()
        """Height, width and channels of the last picture; the dry pass of :meth:`sites` makes one."""
        self._pipeline, self._weights = pipeline, weights
        self._pipeline.set_progress_bar_config(disable=True)
        self._accepted = inspect.signature(self._pipeline.__call__).parameters

    @property
    def network(self) -> nn.Module | None:
        """The network that is called at every step, whatever part is recorded."""
        found = (getattr(self._pipeline, attribute, None) for attribute in DENOISERS)
        return next((module for module in found if isinstance(module, nn.Module)), None)

    @cached_property
    def fingerprint(self) -> str:
        """What tells the weights from others."""
        return self._weights()

    @cached_property
    def denoiser(self) -> nn.Module:
        """The network that is recorded; for the part ``denoiser`` the one that is called at every step."""
        for attribute in DENOISERS if self.part == "denoiser" else (self.part,):
            module = getattr(self._pipeline, attribute, None)
            if isinstance(module, nn.Module):
                return getattr(module, "decoder", module) if self.part == "vae" else module
        known = [name for name, module in self._pipeline.components.items() if isinstance(module, nn.Module)]
        wanted = "denoiser (" + " or ".join(DENOISERS) + ")" if self.part == "denoiser" else f"part {self.part!r}"
        raise InputError(f"{type(self._pipeline).__name__} of {self.name} has no {wanted}. It has {', '.join(known)}.")

    @property
    def versions(self) -> dict[str, str]:
        """The pipeline's and scheduler's class."""
        return {
            "pipeline": type(self._pipeline).__name__,
            "scheduler": type(self._pipeline.scheduler).__name__,
            "denoiser": type(self.denoiser).__name__,
        }

    @cached_property
    def default_guidance(self) -> float:
        """The guidance scale that the pipeline uses when none is given."""
        parameter = self._accepted.get("guidance_scale")
        return float(parameter.default) if parameter is not None else 1.0

    def sites(self, **options: float) -> list[Site]:
        """All sites in execution order, by one dry pass."""

        def dry_pass() -> None:
            self.generate(self._probes([self._texts[0]] * 2), steps=TRIAL_STEPS, guidance=1.0, **options)

        def aspect() -> Grid:
            return self.image_shape[0], self.image_shape[1]

        stream: Stream = "text" if self.part.startswith("text_encoder") else "image"
        return discover_sites(self.denoiser, dry_pass, aspect=aspect, stream=stream)

    def guidance_layout(self, guidance: float, prompts: Sequence[str] = (), **options: float) -> GuidanceLayout:
        """Which rows of the denoiser's batch are conditional at this scale: seen in two short runs.

        ``prompts`` are some that the model knows. Raises :class:`InputError` where the rows cannot be told.
        """
        first, other, *_ = dict.fromkeys([*prompts, *self._texts])

        def run(texts: Sequence[str]) -> None:
            self.generate(self._probes(texts), steps=TRIAL_STEPS, guidance=guidance, **options)

        return observe_layout(self.denoiser, run, (first, other, first), steps=lambda: self.timesteps)

    @property
    def timesteps(self) -> int:
        """How many timesteps the last run had."""
        return len(self._pipeline.scheduler.timesteps) if self.part == "denoiser" else 1

    def step_records(self, steps: int, recorded: Sequence[int], **options: float) -> tuple[StepRecord, ...]:
        """Timesteps and noise levels of the ``recorded`` ones of ``steps``, as the pipeline itself sets them.

        What it tells its scheduler (the shift of Flux and SD3 for the size of the picture, sigmas of its own) cannot be
        known otherwise.
        """
        if self.part != "denoiser":
            return (StepRecord(index=0, timestep=0, log_snr=0, noise=0),)
        self.count_timesteps(steps, **options)
        return step_records(self._pipeline.scheduler, recorded)

    def count_timesteps(self, steps: int, **options: float) -> int:
        """How many timesteps the pipeline makes of ``steps``: some schedulers make more (Heun nearly twice as many).

        The pipeline is run up to its first call of the denoiser.
        """
        if self.part != "denoiser":
            return 1
        handle = self.denoiser.register_forward_pre_hook(_stop)
        try:
            self.generate(self._probes([self._texts[0]]), steps=steps, guidance=1.0, **options)
        except _ReachedError:
            pass
        finally:
            handle.remove()
        return self.timesteps

    def generate(
        self, samples: Sequence[Sample], *, steps: int, guidance: float, **options: float
    ) -> NDArray[np.uint8]:
        """Images (n, height, width, 3) of one batch; every sample has a generator of its own, seeded by its seed.

        What the pipeline draws beside them is seeded by the seeds of the batch. ``options`` are ``height``, ``width``
        and ``true_cfg_scale``. Raises :class:`InputError` for one that the pipeline does not take, and for what it
        refuses itself.
        """
        refused = [name for name in options if name not in self._accepted]
        if refused:
            raise InputError(f"{type(self._pipeline).__name__} takes no {refused[0]}. Leave it out.")
        arguments: dict[str, Any] = self._conditions(samples, second=options.get("true_cfg_scale", 1) > 1) | options
        arguments |= {
            "num_inference_steps": steps,
            "guidance_scale": guidance,
            "generator": [torch.Generator().manual_seed(sample.seed) for sample in samples],
            "output_type": "np",
        }
        if "use_resolution_binning" in self._accepted:
            arguments["use_resolution_binning"] = False  # the size is the one that was asked for, or the model's own
        if "clean_caption" in self._accepted:
            arguments["clean_caption"] = _cleans_captions()  # said outright, diffusers need not warn at every call
        optional = {"guidance_scale"}
        taken = {name: value for name, value in arguments.items() if name in self._accepted or name not in optional}
        with seeded_by(samples, device=self.device):
            images = np.asarray((self._run(taken).images * 255).round(), dtype=np.uint8)
        self.image_shape = images.shape[1:]
        return images

    def _run(self, arguments: dict[str, Any]) -> Any:
        try:
            return self._pipeline(**arguments)
        except OutcropError:
            raise
        except ValueError as error:
            raise InputError(
                f"{type(self._pipeline).__name__} refuses {arguments['num_inference_steps']} steps with "
                f"{type(self._pipeline.scheduler).__name__}, or another argument: {error}"
            ) from error

    @property
    def _texts(self) -> tuple[str, ...]:
        """Conditions that differ."""
        return TEXTS if "prompt" in self._accepted else ("0", "1")

    def _probes(self, texts: Sequence[str]) -> list[Sample]:
        return [Sample(id="0" * 16, prompt=text, seed=seed) for seed, text in enumerate(texts)]

    def _conditions(self, samples: Sequence[Sample], *, second: bool) -> dict[str, Any]:
        """Prompts, or the numbers or names of classes; ``second`` asks for negative prompts, be they empty."""
        if "class_labels" in self._accepted:
            return {"class_labels": [self._class_of(sample.prompt) for sample in samples]}
        if "prompt" not in self._accepted:
            raise InputError(f"{type(self._pipeline).__name__} takes neither prompts nor classes.")
        negatives = [sample.negative_prompt for sample in samples]
        if any(negatives) and "negative_prompt" not in self._accepted:
            raise InputError(f"{type(self._pipeline).__name__} takes no negative prompts. Remove them.")
        prompts: dict[str, Any] = {"prompt": [sample.prompt for sample in samples]}
        return prompts | ({"negative_prompt": negatives} if second or any(negatives) else {})

    def _class_of(self, prompt: str) -> int:
        names: dict[str, int] = getattr(self._pipeline, "labels", None) or {}
        if prompt.isdigit():
            return int(prompt)
        if prompt not in names:
            raise InputError(
                f"{self.name} is conditioned on classes: a prompt must be the number or name of one. Got {prompt!r}."
                f"{near_misses(prompt, names) if names else ''}"
            )
        return int(names[prompt])


def _cleans_captions() -> bool:
    """Whether diffusers can rewrite prompts as it would by default (it needs two packages): what it does in either
    case, and so the pictures, stay the same.
    """
    from diffusers.utils import is_bs4_available, is_ftfy_available

    return bool(is_bs4_available() and is_ftfy_available())


class _ReachedError(Exception):
    """The denoiser was reached."""


def _stop(*_: object) -> None:
    raise _ReachedError


def open_source(name: str, *, device: str = "cpu", part: str = "denoiser") -> DiffusersSource:
    """Load ``name`` (``outcrop:NAME``, a folder, a hub id, ``python:FILE:FUNCTION``).

    Raises :class:`InputError` if that is not possible.
    """
    check_device(device)
    if name in MODULES:
        return _whole(import_module(MODULES[name]).source(), name, part)
    if not name.startswith(SCHEME):
        pipeline, folder = load_pipeline(name, device=device)
        return DiffusersSource(name, pipeline, weights=lambda: fingerprint(folder), device=device, part=part)
    made: Any = call_function(name)
    if isinstance(made, ModuleSource):
        return _whole(made, name, part)
    if not hasattr(made, "components"):
        raise InputError(f"{name} must return a ModuleSource or a diffusers pipeline. Got {type(made).__name__}.")
    parts = {key: module for key, module in made.components.items() if isinstance(module, nn.Module)}
    own = str(made._execution_device)  # where an offloaded pipeline computes is told nowhere else
    return DiffusersSource(name, made, weights=lambda: hash_weights(parts), device=own, part=part)


def _whole(source: ModuleSource, name: str, part: str) -> DiffusersSource:
    if part != "denoiser":
        raise InputError(f"{name} is one network and has no part {part!r}: leave the part out.")
    return source  # type: ignore[return-value]  # the same interface
