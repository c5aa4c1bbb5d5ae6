"""Any ``torch.nn.Module`` that turns latents into images as a source: a GAN's generator, an autoencoder's decoder.

A model of your own is named ``python:FILE:FUNCTION``; the function is called without arguments and returns a
:class:`ModuleSource`. Nothing else of the capture changes::

    # my_gan.py
    from outcrop.capture.modules import ModuleSource

    def source():
        return ModuleSource(load_my_generator(), latent=(512,))

    $ outcrop capture --model python:my_gan.py:source --prompt face --per-prompt 100 --out runs/gan
"""

import importlib.util
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from outcrop.capture.discovery import discover_sites
from outcrop.capture.guidance import UNGUIDED, GuidanceLayout
from outcrop.capture.models import hash_weights
from outcrop.capture.outputs import tensors_in
from outcrop.capture.seeding import seeded_by
from outcrop.capture.sites import Site
from outcrop.data.errors import InputError
from outcrop.data.samples import Sample
from outcrop.data.schema import StepRecord

SCHEME = "python:"


class ModuleSource:
    """A module that makes images in one step from a Gaussian latent of shape ``latent``, drawn with the sample's seed.

    ``call`` is how a batch (n, *latent) becomes images, (n, 3 or 1, height, width) within [-1, 1]; left out, the module
    is called with it. Prompts are only kept, unless ``call`` takes them: ``call(latents, prompts)``.
    """

    default_guidance = 1.0
    timesteps = 1
    part = "denoiser"
    one_step = True

    def __init__(
        self,
        module: nn.Module,
        *,
        latent: Sequence[int],
        call: Callable[..., Any] | None = None,
        takes_prompts: bool = False,
    ) -> None:
        self.denoiser = module.eval()
        self.name = type(module).__name__
        self.image_shape: tuple[int, ...] = ()
        self.takes_prompts = takes_prompts
        self._latent, self._call = tuple(latent), call or module
        self.device = next((str(parameter.device) for parameter in module.parameters()), "cpu")

    @cached_property
    def fingerprint(self) -> str:
        """A hash over the names and values of the weights."""
        return hash_weights({self.name: self.denoiser})

    @property
    def versions(self) -> dict[str, str]:
        return {"module": self.name}

    def sites(self, **_options: float) -> list[Site]:
        """All sites in execution order, by one dry pass."""
        probes = [Sample(id="0" * 16, prompt="", seed=seed) for seed in range(2)]
        return discover_sites(self.denoiser, lambda: self.generate(probes, steps=1, guidance=1.0))

    def guidance_layout(self, _guidance: float, _prompts: Sequence[str] = (), **_options: float) -> GuidanceLayout:
        return UNGUIDED

    def count_timesteps(self, steps: int, **_options: float) -> int:
        """One. Raises :class:`InputError` where more are asked for."""
        self._check_single(steps, guidance=1.0)
        return 1

    def step_records(self, _steps: int, _recorded: Sequence[int], **_options: float) -> tuple[StepRecord, ...]:
        """A single one."""
        return (StepRecord(index=0, timestep=0, log_snr=0, noise=0),)

    def generate(
        self, samples: Sequence[Sample], *, steps: int, guidance: float, **options: float
    ) -> NDArray[np.uint8]:
        """Images (n, height, width, 3) of one batch. Raises :class:`InputError` for what a single step cannot do."""
        self._check_single(steps, guidance=max(guidance, options.get("true_cfg_scale", 1)))
        latents = torch.stack([self._draw(sample.seed) for sample in samples]).to(self.device)
        prompts = ([sample.prompt for sample in samples],) if self.takes_prompts else ()
        with torch.no_grad(), seeded_by(samples, device=self.device):
            output = self._call(latents, *prompts)
        images = next((tensor for _, tensor in tensors_in(output)), None)
        if images is None or images.ndim != 4 or images.shape[1] not in {1, 3}:
            raise InputError(f"{self.name} must put out images (n, 3 or 1, height, width). Got {_shape(images)}.")
        pixels = to_pixels(images)
        self.image_shape = pixels.shape[1:]
        return pixels

    def _check_single(self, steps: int, *, guidance: float) -> None:
        if steps != 1 or guidance > 1:
            raise InputError(f"{self.name} makes images in one step without guidance: use steps 1 and guidance 1.")

    def _draw(self, seed: int) -> Tensor:
        return torch.randn(self._latent, generator=torch.Generator().manual_seed(seed))


def to_pixels(images: Tensor) -> NDArray[np.uint8]:
    """Images (n, 3 or 1, height, width) within [-1, 1] as (n, height, width, 3)."""
    pixels = ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).expand(-1, 3, -1, -1)
    return pixels.movedim(1, -1).cpu().numpy()


def call_function(name: str) -> object:
    """What the function that ``python:FILE:FUNCTION`` names returns. It runs the code in FILE: name only your own."""
    path, _, function = name.removeprefix(SCHEME).rpartition(":")
    if not path or not Path(path).is_file():
        raise InputError(f"A model of your own is named python:FILE:FUNCTION, with an existing FILE. Got {name!r}.")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is no Python file.")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    make = getattr(loaded, function, None)
    if not callable(make):
        raise InputError(f"{path} has no function {function!r}.")
    made: object = make()
    return made


def _shape(images: Tensor | None) -> str:
    return "no tensor" if images is None else str(tuple(images.shape))
