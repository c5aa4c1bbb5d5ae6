"""The one-step models of the zoo, untrained: tests of what they do must not wait for what they have learned."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from outcrop.capture.modules import ModuleSource
from outcrop.data.samples import Sample

Draw = Callable[..., NDArray[np.uint8]]


@pytest.fixture(scope="session", params=["gan", "vae"])
def untrained(request: pytest.FixtureRequest) -> ModuleSource:
    from outcrop.zoo.gan import LATENT as GAN_LATENT
    from outcrop.zoo.gan import build_gan
    from outcrop.zoo.vae import LATENT as VAE_LATENT
    from outcrop.zoo.vae import build_vae

    torch.manual_seed(0)
    if request.param == "gan":
        return ModuleSource(build_gan(), latent=(GAN_LATENT,), takes_prompts=True)
    model = build_vae()
    model.prior.means.normal_()
    return ModuleSource(model, latent=(VAE_LATENT,), takes_prompts=True)


@pytest.fixture(scope="session")
def draw() -> Draw:
    """Pictures of a one-step source for prompts and seeds."""

    def pictures(source: ModuleSource, prompts: Sequence[str], seeds: Sequence[int]) -> NDArray[np.uint8]:
        samples = [Sample(id="0" * 16, prompt=p, seed=s) for p, s in zip(prompts, seeds, strict=True)]
        return source.generate(samples, steps=1, guidance=1.0)

    return pictures
