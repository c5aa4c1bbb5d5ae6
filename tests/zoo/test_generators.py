"""The one-step models: what a latent and a prompt settle, and where the layers are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from outcrop.capture.modules import ModuleSource
from outcrop.data.errors import InputError
from outcrop.zoo import gan, vae
from outcrop.zoo.choices import CHOICES, chosen_labels, resolve
from outcrop.zoo.gan import STYLE_WIDTH, ModulatedConv
from outcrop.zoo.scenes import LABELS
from outcrop.zoo.vae import CHOSEN, CODE, Prior, label_features
from outcrop.zoo.weights import load_weights, save_weights

Draw = Callable[..., NDArray[np.uint8]]


def test_a_seed_settles_the_picture_and_a_prompt_changes_it(untrained: ModuleSource, draw: Draw) -> None:
    pictures = draw(untrained, ["", "", "", "a dotted ring at the top"], [7, 8, 7, 7])
    assert pictures.shape == (4, 64, 64, 3)
    np.testing.assert_array_equal(pictures[0], pictures[2])
    assert (pictures[0] != pictures[1]).any()
    assert (pictures[0] != pictures[3]).any()


def test_every_layer_and_the_one_vector_are_sites(untrained: ModuleSource) -> None:
    shapes = {site.name: site.shape for site in untrained.sites()}
    vector, first = ("mapping", "layers.0") if "mapping" in shapes else ("prior", "blocks.0")
    assert shapes[vector] == ((STYLE_WIDTH,) if vector == "mapping" else (CODE,))
    assert shapes[first] == (128, 4, 4)
    assert shapes["to_latent"] == (8, 16, 16)
    assert shapes["decoder"] == (3, 64, 64)


def test_a_latent_chooses_every_label_equally_often_and_a_prompt_overrules_it() -> None:
    latents = torch.randn((4000, CHOSEN + 2), generator=torch.Generator().manual_seed(0))
    free = resolve(latents)
    assert torch.equal(free[:, CHOSEN:], latents[:, CHOSEN:])
    for start, stop in CHOICES:
        counts = (free[:, start:stop] > 0).sum(0)
        assert counts.sum() == 4000
        expected = 4000 / (stop - start)
        assert (counts - expected).abs().max() < 5 * expected**0.5
    told = chosen_labels(resolve(latents[:2], ["a neon heart on the right", "anything"]))
    assert (told[0]["content"], told[0]["style"], told[0]["layout"]) == ("heart", "neon", "right")
    assert told[0]["colour"] == chosen_labels(free[:1])[0]["colour"]
    assert told[1] == chosen_labels(free[1:2])[0]


def test_scaling_the_activations_is_scaling_the_kernels() -> None:
    """Equations 1 to 3 of Karras et al. 2020, written out for each picture."""
    torch.manual_seed(0)
    layer = ModulatedConv(6, 5)
    x, w = torch.randn(3, 6, 8, 8), torch.randn(3, STYLE_WIDTH)
    with torch.no_grad():
        result = layer(x, w)
        for row in range(3):
            kernel = layer.weight * layer.style(w[row])[None, :, None, None]
            kernel = kernel / (kernel.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
            expected = functional.conv2d(x[row : row + 1], kernel, layer.bias, padding=1)
            torch.testing.assert_close(result[row : row + 1], expected, rtol=1e-4, atol=1e-5)


def test_the_prior_is_a_gaussian_for_every_choice_of_labels() -> None:
    generator = torch.Generator().manual_seed(0)
    prior = Prior()
    prior.means.copy_(torch.randn(prior.means.shape, generator=generator))
    factors = torch.randn(prior.factors.shape, generator=generator).tril()
    prior.factors.copy_(factors)
    latents = torch.randn((20_000, CHOSEN + CODE), generator=generator)
    seen = resolve(latents, ["a flat disc at the top in red"] * len(latents))
    drawn = prior(seen)
    expected = (label_features(seen[:1, :CHOSEN] / 2) @ prior.means)[0]
    covariance = factors[0] @ factors[0].T
    spread = covariance.diagonal().sqrt()
    assert ((drawn.mean(0) - expected).abs() / spread).max() < 5 / len(latents) ** 0.5
    assert (torch.cov(drawn.T) - covariance).abs().max() / covariance.abs().max() < 0.05
    assert label_features(seen[:1, :CHOSEN] / 2).sum() == 1 + len(LABELS) + 6


def test_weights_come_back_and_missing_ones_are_named(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, other = gan.build_gan(), gan.build_gan()
    save_weights(model, tmp_path)
    load_weights(other, name=gan.NAME, folder=tmp_path)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value, rtol=1e-3, atol=1e-6)
    for module in (gan, vae):
        with pytest.raises(InputError, match="No weights are shipped"):
            module.source(tmp_path / "nothing")
