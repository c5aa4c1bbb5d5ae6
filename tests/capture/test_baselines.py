"""Baselines are what the denoiser was given, and what a copy that learned nothing makes of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from outcrop.capture.baselines import of_the_model, untrained_copy
from outcrop.capture.run import capture
from outcrop.capture.source import DiffusersSource
from outcrop.capture.spec import CaptureSpec
from outcrop.data.dataset import Dataset
from outcrop.data.errors import InputError


@pytest.fixture(scope="module")
def with_all(new_spec: Callable[..., CaptureSpec], tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    spec = new_spec(sites=["mid_block", "baselines", "untrained"], dtype="float32")
    return capture(spec, tmp_path_factory.mktemp("baselines") / "ds")


def test_baselines_stand_beside_the_sites(with_all: Dataset) -> None:
    assert list(with_all.sites.index) == ["baseline.latent", "baseline.prompt", "mid_block", "untrained.mid_block"]
    assert list(with_all.sites["role"]) == ["baseline", "baseline", "bottleneck", "baseline"]
    assert with_all.sites["depth"]["untrained.mid_block"] == with_all.sites["depth"]["mid_block"]


def test_pictures_and_sites_stay_as_they_are(with_all: Dataset, whole: Dataset) -> None:
    for image, other in zip(with_all.images(), whole.images(), strict=True):
        np.testing.assert_array_equal(np.asarray(image), np.asarray(other))
    own = with_all.activations("mid_block", step=1).astype(np.float16)
    np.testing.assert_array_equal(own, whole.activations("mid_block", step=1))


def test_latent_and_prompt_are_what_the_denoiser_was_given(with_all: Dataset, source: DiffusersSource) -> None:
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def look(_module: nn.Module, args: tuple[torch.Tensor, ...], kwargs: dict[str, torch.Tensor]) -> None:
        seen.append((args[0].clone(), kwargs["encoder_hidden_states"].clone()))

    from outcrop.data.samples import Sample

    rows = [Sample(name, row["prompt"], int(row["seed"])) for name, row in with_all.samples.iloc[:2].iterrows()]
    handle = source.denoiser.register_forward_pre_hook(look, with_kwargs=True)
    try:
        source.generate(rows, steps=3, guidance=3.0)
    finally:
        handle.remove()
    for step, call in ((0, 0), (1, 2)):
        latent, prompt = (tensor[2:] for tensor in seen[call])  # the conditional half
        pooled = functional.adaptive_avg_pool2d(latent, 8)
        np.testing.assert_array_equal(with_all.activations("baseline.latent", step=step)[:2], pooled.numpy())
        np.testing.assert_array_equal(with_all.activations("baseline.prompt", step=step)[:2], prompt.mean(1).numpy())


def test_the_copy_is_untrained_and_the_same_again(
    with_all: Dataset, source: DiffusersSource, new_spec: Callable[..., CaptureSpec], tmp_path: Path
) -> None:
    trained, untrained = (with_all.activations(name, step=0) for name in ("mid_block", "untrained.mid_block"))
    assert trained.shape == untrained.shape
    assert np.abs(np.corrcoef(trained.ravel(), untrained.ravel())[0, 1]) < 0.9
    state = torch.random.get_rng_state()
    first, again = (dict(untrained_copy(source.denoiser).named_parameters()) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    own = dict(source.denoiser.named_parameters())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], own[name]) for name in first if name.endswith("conv1.weight"))


def test_a_copy_of_no_site_is_refused() -> None:
    assert of_the_model(["blocks", "untrained", "baselines"]) == ["blocks"]
    with pytest.raises(InputError, match=r"none is chosen\. Name sites beside it"):
        of_the_model(["untrained", "baseline.prompt"])


def test_a_copy_that_would_keep_what_was_learned_is_refused() -> None:
    class Learned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.ones(3))

    made = untrained_copy(nn.Sequential(nn.Linear(3, 3), nn.ReLU()))
    assert isinstance(made, nn.Sequential)
    with pytest.raises(InputError, match=r"0 \(Learned\) has parameters and no reset_parameters"):
        untrained_copy(nn.Sequential(Learned()))
