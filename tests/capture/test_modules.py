"""Models that are no diffusers pipelines: a GAN's generator, an autoencoder, and the parts of a pipeline."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from outcrop.capture.job import Job
from outcrop.capture.modules import ModuleSource
from outcrop.capture.run import capture
from outcrop.capture.sites import select_sites
from outcrop.capture.source import open_source
from outcrop.capture.spec import CaptureSpec, parse_spec
from outcrop.data.dataset import Dataset
from outcrop.data.errors import DataError, InputError
from outcrop.data.samples import Sample

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
    model = open_source(gan).denoiser
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


class Wordy(nn.Module):
    """One position for each word, and ``more``."""

    def __init__(self, more: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3 * 4 * 4))])
        self.more = more

    def forward(self, latents: Tensor, prompts: list[str]) -> Tensor:
        words = self.more + len(prompts[0].split())
        return self.layers[0](latents[:, None].expand(-1, words, -1)).mean(1).unflatten(1, (3, 4, 4))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (2, r"Site 'layers.0' put out \(4, 48\) a sample, in the trial run \(2, 48\)\..*the reduction mean"),
        (4, r"'layers.0' has 6 positions, where a map of 2 x 2 was found in the trial run"),
    ],
)
def test_a_site_whose_shape_is_not_that_of_the_trial_run_is_told(more: int, message: str) -> None:
    def capture_with(reduction: str, text: str) -> dict[str, np.ndarray]:
        fields = {"model": "own", "prompts": {"texts": [text]}, "reduction": reduction, "steps": 1}
        source = ModuleSource(Wordy(more), latent=(4,), takes_prompts=True)
        sites = tuple(select_sites(source.sites(), ["blocks"]))
        job = Job(parse_spec(fields, where="the test"), source, sites, (0,), guidance=1.0)
        with job.recorder() as recorder:
            return job.record(recorder, [Sample("0" * 16, text, 0)])[1]

    assert capture_with("full", "")["layers.0"].shape[:2] == (1, 1)
    with pytest.raises(DataError, match=message):
        capture_with("full", "a disc")
    if more == 2:
        assert capture_with("mean", "a disc")["layers.0"].shape == (1, 1, 48)


def test_weights_decide_the_fingerprint() -> None:
    layer = nn.Conv2d(1, 3, 1)
    before = ModuleSource(layer, latent=(1, 4, 4)).fingerprint
    assert ModuleSource(layer, latent=(1, 4, 4)).fingerprint == before
    nn.init.zeros_(layer.bias)
    assert ModuleSource(layer, latent=(1, 4, 4)).fingerprint != before


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (":nothing", "must return a ModuleSource or a diffusers pipeline. Got NoneType"),
        (":other", "has no function 'other'"),
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


class Noisy(nn.Module):
    def forward(self, latents: Tensor) -> Tensor:
        return latents + torch.randn_like(latents)


def test_noise_that_a_model_draws_itself_comes_again_with_its_batch() -> None:
    source = ModuleSource(Noisy(), latent=(3, 4, 4))
    batch = [Sample(f"{seed:016x}", "", seed) for seed in range(3)]
    before = torch.get_rng_state()
    images = source.generate(batch, steps=1, guidance=1.0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.randn(1)
    np.testing.assert_array_equal(source.generate(batch, steps=1, guidance=1.0), images)
    assert (source.generate(batch[:2], steps=1, guidance=1.0) != images[:2]).any()


OWN = """
import torch
from diffusers import DPMSolverMultistepScheduler, HeunDiscreteScheduler, StableDiffusionPipeline

def plain():
    return StableDiffusionPipeline.from_pretrained(FOLDER, use_safetensors=True)

def adapted():
    from peft import LoraConfig
    pipeline = plain()
    torch.manual_seed(0)
    pipeline.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v", "conv1"], init_lora_weights=False))
    return pipeline

def offloaded():
    pipeline = plain()
    pipeline.enable_model_cpu_offload(device="cpu")
    return pipeline

def sequential():
    pipeline = plain()
    pipeline.enable_sequential_cpu_offload(device="cpu")
    return pipeline

def second_order():
    pipeline = plain()
    pipeline.scheduler = HeunDiscreteScheduler.from_config(pipeline.scheduler.config)
    return pipeline

def scheduled():
    pipeline = plain()
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    return pipeline
"""


@pytest.fixture
def own(tmp_path: Path, tiny_model: Path, new_spec: Callable[..., CaptureSpec]) -> Callable[[str], Dataset]:
    """The capture of what a function of one's own puts together."""
    path = tmp_path / "own.py"
    path.write_text(OWN.replace("FOLDER", repr(str(tiny_model))))

    def run(name: str) -> Dataset:
        return capture(new_spec(model=f"python:{path}:{name}"), tmp_path / name)

    return run


def test_a_pipeline_of_ones_own_gives_what_its_folder_gives(own: Callable[[str], Dataset], whole: Dataset) -> None:
    for name in ("plain", "offloaded"):
        ds = own(name)
        for site in whole.sites.index:
            np.testing.assert_array_equal(ds.activations(site, step=1), whole.activations(site, step=1))


def test_an_adapter_is_recorded_with_the_model_that_it_changes(own: Callable[[str], Dataset], whole: Dataset) -> None:
    ds = own("adapted")
    pd.testing.assert_frame_equal(ds.sites, whole.sites)
    for site in whole.sites.index:
        assert (ds.activations(site, step=1) != whole.activations(site, step=1)).any()
    assert ds.info.provenance["weights_sha256"] != own("plain").info.provenance["weights_sha256"]
    source = open_source(ds.info.model)
    kept: list[Tensor] = []
    handle = source.denoiser.get_submodule("mid_block").register_forward_hook(lambda *got: kept.append(got[2]))
    samples = [Sample(str(name), row["prompt"], int(row["seed"])) for name, row in ds.samples.iloc[:2].iterrows()]
    source.generate(samples, steps=3, guidance=3.0)
    handle.remove()
    wanted = kept[2][2:].mean((2, 3)).half().numpy()
    np.testing.assert_array_equal(ds.activations("mid_block", step=1)[:2], wanted)


def test_another_scheduler_sets_the_noise_levels(own: Callable[[str], Dataset], whole: Dataset) -> None:
    ds = own("scheduled")
    assert ds.info.provenance["scheduler"] == "DPMSolverMultistepScheduler"
    assert list(ds.steps["noise"]) != list(whole.steps["noise"])


def test_steps_are_those_that_the_scheduler_makes(own: Callable[[str], Dataset]) -> None:
    """Heun's makes five of three: the last is recorded, not the third."""
    ds = own("second_order")
    assert len(ds.steps) == 2
    source = open_source(ds.info.model)
    assert source.count_timesteps(3) == 5
    last = source.step_records(3, range(5))[-1]
    assert ds.steps["timestep"].iloc[-1] == last.timestep
    assert ds.steps["noise"].iloc[-1] == last.noise


def test_what_a_pipeline_refuses_is_told(tiny_model: Path) -> None:
    source = open_source(str(tiny_model))
    with pytest.raises(InputError, match=r"StableDiffusionPipeline refuses .*divisible by 8"):
        source.generate([Sample("0" * 16, "a disc", 0)], steps=1, guidance=1.0, height=9, width=8)


def test_weights_that_are_not_in_memory_are_refused(own: Callable[[str], Dataset]) -> None:
    with pytest.raises(InputError, match=r"not in memory.*Use enable_model_cpu_offload instead"):
        own("sequential")


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


@pytest.mark.parametrize("name", ["outcrop:vae", None])
def test_a_generator_of_one_network_has_no_parts(name: str | None, gan: str) -> None:
    with pytest.raises(InputError, match="is one network and has no part 'vae': leave the part out"):
        open_source(name or gan, part="vae")
