"""Models that are no diffusers pipelines: a GAN's generator, an autoencoder, and the parts of a pipeline."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from outcrop.capture.modules import ModuleSource, load_module_source
from outcrop.capture.run import capture
from outcrop.capture.source import open_source
from outcrop.capture.spec import CaptureSpec, parse_spec
from outcrop.data.errors import InputError

GAN = """
import torch
from torch import nn
from outcrop.capture.modules import ModuleSource

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv, self.grow = nn.Conv2d(width, width, 3, padding=1), nn.Upsample(scale_factor=2)

    def forward(self, x):
        return self.conv(self.grow(x)).relu()

class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.start = nn.Linear(6, 8 * 4)
        self.layers = nn.ModuleList([Block(8), Block(8)])
        self.to_rgb = nn.Conv2d(8, 3, 1)

    def forward(self, z):
        x = self.start(z).unflatten(1, (8, 2, 2))
        for layer in self.layers:
            x = layer(x)
        return self.to_rgb(x).tanh()

def source():
    torch.manual_seed(0)
    return ModuleSource(Generator(), latent=(6,))

def nothing():
    return None
"""


@pytest.fixture
def gan(tmp_path: Path) -> str:
    (tmp_path / "gan.py").write_text(GAN)
    return f"python:{tmp_path / 'gan.py'}:source"


def test_a_generator_is_captured_end_to_end(gan: str, tmp_path: Path) -> None:
    fields = {"model": gan, "prompts": {"texts": ["face"]}, "seeds": {"per_prompt": 5}, "steps": 1, "batch": 2}
    fields |= {"sites": ["all"], "reduction": "full", "dtype": "float32"}
    ds = capture(parse_spec(fields, where="the test"), tmp_path / "ds")
    assert len(ds) == 5
    assert list(ds.sites.index) == ["start", "layers.0.grow", "layers.0", "layers.1.grow", "layers.1", "to_rgb"]
    assert [tuple(shape) for shape in ds.sites["shape"]][2::2] == [(8, 4, 4), (8, 8, 8)]
    model = load_module_source(gan).denoiser
    for seed, image in enumerate(ds.images()):
        latent = torch.randn(6, generator=torch.Generator().manual_seed(seed))[None]
        kept: list[Tensor] = []
        handle = model.get_submodule("layers.0").register_forward_hook(lambda *got, kept=kept: kept.append(got[2]))
        with torch.no_grad():
            pixels = model(latent)[0]
        handle.remove()
        np.testing.assert_allclose(ds.activations("layers.0", step=0)[seed], kept[0][0].numpy(), atol=1e-6)
        assert np.abs(np.asarray(image) - ((pixels + 1) * 127.5).movedim(0, -1).numpy()).max() <= 1


def test_an_autoencoder_is_a_source() -> None:
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    vae = AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=4)
    source = ModuleSource(vae.decoder, latent=(4, 8, 4))
    shapes = {site.name: site.shape for site in source.sites()}
    assert shapes["up_blocks.0"] == (8, 8, 4)
    assert {"mid_block", "mid_block.attentions.0", "up_blocks.0.resnets.0"} <= shapes.keys()


def test_weights_decide_the_fingerprint() -> None:
    layer = nn.Conv2d(1, 3, 1)
    before = ModuleSource(layer, latent=(1, 4, 4)).fingerprint
    assert ModuleSource(layer, latent=(1, 4, 4)).fingerprint == before
    nn.init.zeros_(layer.bias)
    assert ModuleSource(layer, latent=(1, 4, 4)).fingerprint != before


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (":nothing", "must be a function that returns a ModuleSource"),
        (":other", "must be a function"),
        ("", "python:FILE"),
    ],
)
def test_a_name_that_leads_to_no_source_is_told(gan: str, end: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_source(gan.removesuffix(":source") + end)


def test_a_module_that_makes_no_images_is_told() -> None:
    with pytest.raises(InputError, match=r"must put out images .*Got \(2, 5\)"):
        ModuleSource(nn.Linear(4, 5), latent=(4,)).sites()
    with pytest.raises(InputError, match="one step without guidance"):
        ModuleSource(nn.Identity(), latent=(3, 4, 4)).generate([], steps=2, guidance=1.0)


@pytest.mark.parametrize(
    ("part", "site", "stream"),
    [("text_encoder", "*layers.0", "text"), ("vae", "layers.3", "image")],
)
def test_parts_of_a_pipeline_are_recorded_on_request(
    part: str, site: str, stream: str, new_spec: Callable[..., CaptureSpec], tmp_path: Path
) -> None:
    ds = capture(new_spec(part=part, sites=[site], record=1, half="cond"), tmp_path / "ds")
    assert len(ds) == 6
    assert len(ds.steps) == 1
    assert set(ds.sites["stream"]) == {stream}
    values = ds.activations(ds.sites.index[0], step=0)
    assert len(np.unique(values, axis=0)) == 6  # by prompt, and by seed


def test_a_part_that_is_not_there_is_told(new_spec: Callable[..., CaptureSpec], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no part 'vea'. It has vae, text_encoder, unet"):
        capture(new_spec(part="vea"), tmp_path / "ds")
