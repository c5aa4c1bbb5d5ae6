"""The recorder against plain forward hooks: the same values, the same images, and no trace left."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from outcrop.capture.hooks import Recorder
from outcrop.capture.reduction import Reduction
from outcrop.capture.sites import Site, select_sites
from outcrop.capture.source import DiffusersSource
from outcrop.data.errors import DataError, InputError
from outcrop.data.samples import Sample

STEPS = 3


@pytest.fixture
def sites(source: DiffusersSource) -> list[Site]:
    return select_sites(source.sites(), ["blocks", "attentions", "conv_out"])


def record(
    source: DiffusersSource, sites: list[Site], samples: list[Sample], *, guidance: float = 3.0, **options: Any
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    settings = {"steps": (0, 2), "reduction": Reduction("full"), "dtype": "float32", "half": "cond"} | options
    with Recorder(source.denoiser, sites, **settings) as recorder:
        recorder.begin(len(samples))
        images = source.generate(samples, steps=STEPS, guidance=guidance)
        return recorder.take(), images


def plain(source: DiffusersSource, sites: list[Site], samples: list[Sample], *, guidance: float) -> dict[str, Tensor]:
    """Per site (step, row, *feature) by hooks as anyone would write them."""
    seen: dict[str, list[Tensor]] = {site.name: [] for site in sites}

    def keep(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            tensor = output[0] if isinstance(output, tuple) else getattr(output, "sample", output)
            if tensor.ndim == 3:  # the tokens of a square picture
                tensor = tensor.transpose(1, 2).unflatten(2, (math.isqrt(tensor.shape[1]),) * 2)
            seen[name].append(tensor.detach().clone())

        return hook

    handles = [source.denoiser.get_submodule(name).register_forward_hook(keep(name)) for name in seen]
    source.generate(samples, steps=STEPS, guidance=guidance)
    for handle in handles:
        handle.remove()
    return {name: torch.stack(planes) for name, planes in seen.items()}


def test_values_equal_those_of_plain_hooks_bit_for_bit(
    source: DiffusersSource, sites: list[Site], samples: list[Sample]
) -> None:
    n = len(samples)
    expected = plain(source, sites, samples, guidance=3.0)
    for half, rows in {"uncond": slice(0, n), "cond": slice(n, 2 * n)}.items():
        recorded, _ = record(source, sites, samples, half=half)
        for name, values in recorded.items():
            np.testing.assert_array_equal(values, expected[name][[0, 2], rows].numpy())
    both, _ = record(source, sites, samples, half="both")
    for name, values in both.items():
        assert values.shape[:3] == (2, n, 2)
        np.testing.assert_array_equal(values[:, :, 0], expected[name][[0, 2], :n].numpy())
        np.testing.assert_array_equal(values[:, :, 1], expected[name][[0, 2], n:].numpy())


def test_without_guidance_all_rows_are_conditional(
    source: DiffusersSource, sites: list[Site], samples: list[Sample]
) -> None:
    expected = plain(source, sites, samples, guidance=1.0)
    recorded, _ = record(source, sites, samples, guidance=1.0, steps=(1,))
    for name, values in recorded.items():
        np.testing.assert_array_equal(values[0], expected[name][1].numpy())


@pytest.mark.parametrize("text", ["mean", "grid:2", "tokens:3", "project:4"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_what_is_stored_is_the_reduction_of_the_activation(
    source: DiffusersSource, sites: list[Site], samples: list[Sample], text: str, dtype: str
) -> None:
    reduction = Reduction.parse(text)
    full, _ = record(source, sites, samples, steps=(1,))
    stored, _ = record(source, sites, samples, steps=(1,), reduction=reduction, dtype=dtype)
    for name, values in stored.items():
        expected = reduction.apply(torch.from_numpy(full[name][0])).to(getattr(torch, dtype))
        if dtype == "bfloat16":
            expected = expected.view(torch.uint16)
        np.testing.assert_array_equal(values[0], expected.numpy())


def test_recording_does_not_change_the_images(
    source: DiffusersSource, sites: list[Site], samples: list[Sample]
) -> None:
    bare = source.generate(samples, steps=STEPS, guidance=3.0)
    _, images = record(source, sites, samples, reduction=Reduction("mean"), dtype="float16")
    np.testing.assert_array_equal(images, bare)
    assert images.dtype == np.uint8
    assert len(np.unique(images.reshape(len(samples), -1), axis=0)) == len(samples)


def test_an_image_depends_on_its_own_seed_alone(source: DiffusersSource, samples: list[Sample]) -> None:
    together = source.generate(samples, steps=STEPS, guidance=3.0)
    turned = source.generate(samples[::-1], steps=STEPS, guidance=3.0)
    assert np.abs(together[::-1].astype(int) - turned.astype(int)).max() <= 1  # rounding in batches may differ


def hooks_of(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def test_the_hooks_are_gone_after_an_exception(source: DiffusersSource, sites: list[Site]) -> None:
    recorder = Recorder(source.denoiser, sites, steps=(0,), reduction=Reduction("mean"), dtype="float16", half="cond")

    def fail() -> None:
        with recorder:
            assert hooks_of(source.denoiser) == len(sites) + 1
            raise RuntimeError("a fault")

    with pytest.raises(RuntimeError, match="a fault"):
        fail()
    assert hooks_of(source.denoiser) == 0


def test_an_unknown_site_is_refused_and_leaves_no_hook(source: DiffusersSource, sites: list[Site]) -> None:
    unknown = Site("mid_blok", "block", 1, (1,))
    recorder = Recorder(
        source.denoiser, [*sites, unknown], steps=(0,), reduction=Reduction("mean"), dtype="float16", half="cond"
    )
    with pytest.raises(InputError, match=r"has no module 'mid_blok'.*Did you mean 'mid_block'"), recorder:
        pass
    assert hooks_of(source.denoiser) == 0


class Loud(nn.Module):
    """A model whose only site puts out what float16 cannot hold."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.site = nn.Identity()
        self.value = value

    def forward(self, rows: Tensor) -> Tensor:
        return self.site(rows * self.value)


@pytest.mark.parametrize(("value", "dtype"), [(7e4, "float16"), (float("nan"), "float32"), (-7e4, "float16")])
def test_values_that_do_not_fit_are_counted_and_refused(value: float, dtype: Any) -> None:
    model, site = Loud(value), Site("site", "block", 0, (4,))
    recorder = Recorder(model, [site], steps=(0,), reduction=Reduction("mean"), dtype=dtype, half="cond")
    with recorder:
        recorder.begin(2)
        model(torch.ones(2, 4))
        with pytest.raises(DataError, match=f"8 values of site 'site' do not fit {dtype}"):
            recorder.take()


def test_large_values_fit_bfloat16() -> None:
    model, site = Loud(7e4), Site("site", "block", 0, (4,))
    with Recorder(model, [site], steps=(0,), reduction=Reduction("mean"), dtype="bfloat16", half="cond") as recorder:
        recorder.begin(1)
        model(torch.ones(1, 4))
        bits = recorder.take()["site"]
    values = (bits.astype("<u4") << 16).view("<f4")
    np.testing.assert_allclose(values, 7e4, rtol=2**-8)


@pytest.mark.parametrize("half", ["uncond", "both"])
def test_half_a_batch_needs_guidance(half: Any) -> None:
    model, site = Loud(1.0), Site("site", "block", 0, (4,))
    with Recorder(model, [site], steps=(0,), reduction=Reduction("mean"), dtype="float16", half=half) as recorder:
        recorder.begin(2)
        with pytest.raises(
            InputError, match=r"needs a batch doubled by guidance \(4 rows\) at site 'site'. Got 2 rows"
        ):
            model(torch.ones(2, 4))


def test_a_step_that_did_not_come_is_told() -> None:
    model, site = Loud(1.0), Site("site", "block", 0, (4,))
    with Recorder(model, [site], steps=(0, 5), reduction=Reduction("mean"), dtype="float16", half="cond") as recorder:
        recorder.begin(2)
        model(torch.ones(2, 4))
        with pytest.raises(DataError, match="ran at 1 of the 2 steps"):
            recorder.take()
