"""A diffusers pipeline as a source of images, with the denoiser as the place where sites live."""

import inspect
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from outcrop.capture.models import fingerprint, locate_model
from outcrop.capture.noise import step_records
from outcrop.capture.sites import Site, discover_sites
from outcrop.data.errors import InputError
from outcrop.data.samples import Sample
from outcrop.data.schema import StepRecord

DENOISERS = ("unet", "transformer")


class DiffusersSource:
    """Any text-to-image pipeline with a denoiser. Made by :func:`open_source`."""

    def __init__(self, name: str, location: str, pipeline: Any, *, device: str) -> None:
        self.name, self.device = name, device
        self.fingerprint = fingerprint(location)
        self.image_shape: tuple[int, ...] = ()
        """Height, width and channels of the last picture; the dry pass of :meth:`sites` makes one."""
        self._pipeline = pipeline.to(device)
        self._pipeline.set_progress_bar_config(disable=True)

    @cached_property
    def denoiser(self) -> nn.Module:
        """The network that is called at every step."""
        for attribute in DENOISERS:
            module = getattr(self._pipeline, attribute, None)
            if isinstance(module, nn.Module):
                return module
        raise InputError(f"{type(self._pipeline).__name__} of {self.name} has no denoiser ({' or '.join(DENOISERS)}).")

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
        parameter = inspect.signature(self._pipeline.__call__).parameters.get("guidance_scale")
        return float(parameter.default) if parameter is not None else 1.0

    def sites(self, **size: int) -> list[Site]:
        """All sites in execution order, by one dry pass of a single step."""
        probe = Sample(id="0" * 16, prompt="a", seed=0)
        return discover_sites(self.denoiser, lambda: self.generate([probe], steps=1, guidance=1.0, **size))

    @property
    def timesteps(self) -> int:
        """How many timesteps the last run had."""
        return len(self._pipeline.scheduler.timesteps)

    def step_records(self, steps: int, recorded: Sequence[int]) -> tuple[StepRecord, ...]:
        """Timesteps and noise levels of the ``recorded`` ones of ``steps``."""
        self._pipeline.scheduler.set_timesteps(steps)
        return step_records(self._pipeline.scheduler, recorded)

    def generate(self, samples: Sequence[Sample], *, steps: int, guidance: float, **size: int) -> NDArray[np.uint8]:
        """Images (n, height, width, 3) of one batch; every sample has a generator of its own, seeded by its seed."""
        generators = [torch.Generator().manual_seed(sample.seed) for sample in samples]
        negatives = [sample.negative_prompt for sample in samples]
        output = self._pipeline(
            prompt=[sample.prompt for sample in samples],
            **({"negative_prompt": negatives} if any(negatives) else {}),
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=generators,
            output_type="np",
            **size,
        )
        images = np.asarray((output.images * 255).round(), dtype=np.uint8)
        self.image_shape = images.shape[1:]
        return images


def open_source(name: str, *, device: str = "cpu") -> DiffusersSource:
    """Load ``name`` (``outcrop:NAME``, a folder, a hub id). Raises :class:`InputError` if that is not possible."""
    location = locate_model(name)
    check_device(device)
    precision = torch.float32 if device == "cpu" else torch.float16
    with _quiet_loading():
        from diffusers import DiffusionPipeline
        from safetensors import SafetensorError

        try:
            pipeline = DiffusionPipeline.from_pretrained(
                location,
                dtype=precision,
                local_files_only=Path(location).is_dir(),
                use_safetensors=True,  # nothing is unpickled
            )
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"Model {name!r} could not be loaded: {reason}") from error
    return DiffusersSource(name, location, pipeline, device=device)


def check_device(device: str) -> None:
    """Raises :class:`InputError` for a device that this machine does not have."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"Device {device!r} is not available here ({str(error).splitlines()[0]}). Use 'cpu'."
        ) from error


@contextmanager
def _quiet_loading() -> Iterator[None]:
    """Loading a pipeline prints bars and advice (no safety checker, ...); keep errors only."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    before = diffusers_logging.get_verbosity(), transformers_logging.get_verbosity()
    diffusers_logging.set_verbosity(logging.ERROR)
    transformers_logging.set_verbosity(logging.ERROR)
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        diffusers_logging.set_verbosity(before[0])
        transformers_logging.set_verbosity(before[1])
        diffusers_logging.enable_progress_bar()
        transformers_logging.enable_progress_bar()
