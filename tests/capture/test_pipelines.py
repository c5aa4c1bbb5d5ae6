"""Whole pipelines of the smallest size, captured end to end from a local folder."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
import transformers

from outcrop.capture.hooks import Recorder
from outcrop.capture.noise import evenly
from outcrop.capture.reduction import Reduction
from outcrop.capture.run import capture
from outcrop.capture.sites import select_sites
from outcrop.capture.source import open_source
from outcrop.capture.spec import parse_spec
from outcrop.data.errors import InputError
from outcrop.data.samples import Sample

WIDTH = 16
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:diffusers"),
    pytest.mark.filterwarnings("ignore::FutureWarning:transformers"),
]


def tokenizer() -> Any:
    from outcrop.zoo.training.tokenizer import build_tokenizer

    return build_tokenizer(prompts=200)


def clip(kind: type = transformers.CLIPTextModel) -> Any:
    words = tokenizer()
    return kind(
        transformers.CLIPTextConfig(
            vocab_size=len(words),
            hidden_size=WIDTH,
            intermediate_size=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=16,
            projection_dim=WIDTH,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
    )


def t5(width: int = WIDTH) -> Any:
    return transformers.T5EncoderModel(
        transformers.T5Config(vocab_size=2600, d_model=width, d_kv=8, d_ff=WIDTH, num_layers=1, num_heads=2)
    )


def vae(**changes: Any) -> Any:
    fields: dict[str, Any] = {
        "block_out_channels": (8, 8),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "latent_channels": 4,
        "norm_num_groups": 4,
        "layers_per_block": 1,
        "sample_size": 16,
        "scaling_factor": 1.0,
    }
    return diffusers.AutoencoderKL(**fields | changes)


def unet(**changes: Any) -> Any:
    fields: dict[str, Any] = {
        "sample_size": 8,
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": 2,
        "cross_attention_dim": WIDTH,
    }
    return diffusers.UNet2DConditionModel(**fields | changes)


def stable_diffusion() -> Any:
    return diffusers.StableDiffusionPipeline(
        vae=vae(),
        text_encoder=clip(),
        tokenizer=tokenizer(),
        unet=unet(),
        scheduler=diffusers.PNDMScheduler(skip_prk_steps=True, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def stable_diffusion_xl() -> Any:
    denoiser = unet(
        cross_attention_dim=2 * WIDTH,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + WIDTH,
    )
    return diffusers.StableDiffusionXLPipeline(
        vae=vae(),
        text_encoder=clip(),
        text_encoder_2=clip(transformers.CLIPTextModelWithProjection),
        tokenizer=tokenizer(),
        tokenizer_2=tokenizer(),
        unet=denoiser,
        scheduler=diffusers.EulerDiscreteScheduler(timestep_spacing="leading", steps_offset=1),
        add_watermarker=False,
    )


def stable_diffusion_3() -> Any:
    denoiser = diffusers.SD3Transformer2DModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=2 * WIDTH,
        caption_projection_dim=16,
        pooled_projection_dim=2 * WIDTH,
        pos_embed_max_size=8,
    )
    return diffusers.StableDiffusion3Pipeline(
        vae=vae(shift_factor=0.0),
        text_encoder=clip(transformers.CLIPTextModelWithProjection),
        text_encoder_2=clip(transformers.CLIPTextModelWithProjection),
        text_encoder_3=t5(2 * WIDTH),
        tokenizer=tokenizer(),
        tokenizer_2=tokenizer(),
        tokenizer_3=tokenizer(),
        transformer=denoiser,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    )


def flux() -> Any:
    denoiser = diffusers.FluxTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        axes_dims_rope=(4, 4, 8),
    )
    return diffusers.FluxPipeline(
        vae=vae(shift_factor=0.0),
        text_encoder=clip(),
        text_encoder_2=t5(),
        tokenizer=tokenizer(),
        tokenizer_2=tokenizer(),
        transformer=denoiser,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    )


def pixart() -> Any:
    denoiser = diffusers.PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        cross_attention_dim=16,
        num_layers=2,
        sample_size=8,
        caption_channels=WIDTH,
        norm_num_groups=4,
        use_additional_conditions=False,
    )
    return diffusers.PixArtAlphaPipeline(
        tokenizer=tokenizer(),
        text_encoder=t5(),
        vae=vae(),
        transformer=denoiser,
        scheduler=diffusers.DPMSolverMultistepScheduler(use_karras_sigmas=True),
    )


def sana() -> Any:
    denoiser = diffusers.SanaTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=2,
        num_cross_attention_heads=2,
        cross_attention_head_dim=8,
        cross_attention_dim=16,
        caption_channels=WIDTH,
        sample_size=8,
    )
    decoder = diffusers.AutoencoderDC(
        latent_channels=4,
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1),
        attention_head_dim=4,
        encoder_qkv_multiscales=((), ()),
        decoder_qkv_multiscales=((), ()),
        encoder_block_types="ResBlock",
        decoder_block_types="ResBlock",
        decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
        scaling_factor=1.0,
    )
    text = transformers.Gemma2Config(
        vocab_size=2600,
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
    )
    return diffusers.SanaPipeline(
        tokenizer=tokenizer(),
        text_encoder=transformers.Gemma2Model(text),
        vae=decoder,
        transformer=denoiser,
        scheduler=diffusers.DPMSolverMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
    )


def dit() -> Any:
    denoiser = diffusers.DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        sample_size=8,
        norm_num_groups=4,
        num_embeds_ada_norm=1000,
    )
    return diffusers.DiTPipeline(transformer=denoiser, vae=vae(), scheduler=diffusers.DDIMScheduler())


MAKERS: dict[str, Callable[[], Any]] = {
    "sd": stable_diffusion,
    "sdxl": stable_diffusion_xl,
    "sd3": stable_diffusion_3,
    "flux": flux,
    "pixart": pixart,
    "sana": sana,
    "dit": dit,
}
LAYOUTS = {"dit": (("cond", "uncond"),), "flux": (("cond",),)}
SIZES: dict[str, dict[str, int]] = {"dit": {}, "sana": {"height": 32, "width": 32}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            torch.manual_seed(0)
            pipeline = MAKERS[name]()
            for part in pipeline.components.values():
                if isinstance(part, torch.nn.Module):
                    for parameter in part.parameters():
                        torch.nn.init.normal_(parameter, std=0.1)
            made[name] = tmp_path_factory.mktemp("pipelines") / name
            pipeline.save_pretrained(made[name])
        return made[name]

    return make


def prompts_of(name: str) -> list[str]:
    return ["1", "2", "1"] if name == "dit" else ["a disc", "a star", "a neon star"]


@pytest.mark.parametrize("name", MAKERS)
def test_a_pipeline_is_captured_end_to_end(name: str, folder: Callable[[str], Path], tmp_path: Path) -> None:
    size = SIZES.get(name, {"height": 16, "width": 16})
    fields = {
        "model": str(folder(name)),
        "prompts": {"texts": prompts_of(name)},
        "sites": ["blocks", "attentions"],
        "steps": 3,
        "record": 2,
        "guidance": 3.0,
        "batch": 2,
        "dtype": "float32",
        "reduction": "full",
    }
    ds = capture(parse_spec(fields | size, where="the test"), tmp_path / "ds")
    assert len(ds) == 3
    noise = list(ds.steps["noise"])
    assert noise == sorted(noise, reverse=True)
    source = open_source(str(folder(name)))
    layout = source.guidance_layout(3.0, prompts_of(name), **size)
    assert layout.calls == LAYOUTS.get(name, (("uncond", "cond"),))
    samples = [Sample(key, row["prompt"], int(row["seed"])) for key, row in ds.samples.iterrows()][:2]
    bare = source.generate(samples, steps=3, guidance=3.0, **size)
    np.testing.assert_array_equal(
        np.stack([np.asarray(image) for image in ds.images(list(ds.samples.index[:2]))]), bare
    )
    sites = select_sites(source.sites(**size), ["blocks", "attentions"])
    assert [site.name for site in sites] == list(ds.sites.index)
    recorder = Recorder(
        source.denoiser,
        sites,
        steps=evenly(source.count_timesteps(3, **size), 2),  # PNDM makes 4 of 3
        reduction=Reduction("full"),
        dtype="float32",
        half="cond",
        layout=layout,
    )
    with recorder:
        recorder.begin(2)
        np.testing.assert_array_equal(source.generate(samples, steps=3, guidance=3.0, **size), bare)
        recorded = recorder.take()
    for site, values in recorded.items():
        for step in ds.steps.index:
            np.testing.assert_array_equal(ds.activations(site, step=step)[:2], values[step])


def test_a_second_prediction_of_flux_is_told_from_the_first(folder: Callable[[str], Path], tmp_path: Path) -> None:
    size = {"height": 16, "width": 16}
    fields = {"model": str(folder("flux")), "prompts": {"texts": ["a disc", "a star"]}, "half": "both"}
    fields |= {"steps": 2, "batch": 2, "dtype": "float32", "true_cfg": 2.0, "sites": ["blocks"]}
    ds = capture(parse_spec(fields | size, where="the test"), tmp_path / "ds")
    source = open_source(str(folder("flux")))
    assert source.guidance_layout(3.5, ["a disc", "a star"], **size, true_cfg_scale=2.0).calls == (
        ("cond",),
        ("uncond",),
    )
    samples = [Sample(key, row["prompt"], int(row["seed"])) for key, row in ds.samples.iterrows()]
    seen: list[torch.Tensor] = []
    handle = source.denoiser.get_submodule("single_transformer_blocks.0").register_forward_hook(
        lambda *got: seen.append(got[2][1].mean(1))
    )
    bare = source.generate(samples, steps=2, guidance=3.5, **size, true_cfg_scale=2.0)
    handle.remove()
    np.testing.assert_array_equal(np.stack([np.asarray(image) for image in ds.images()]), bare)
    assert len(seen) == 4  # two calls a step: with the prompt, without it
    for step in range(2):
        values = ds.activations("single_transformer_blocks.0", step=step)
        np.testing.assert_allclose(values[:, 1], seen[2 * step], rtol=1e-5)
        np.testing.assert_allclose(values[:, 0], seen[2 * step + 1], rtol=1e-5)


def test_a_site_that_cannot_be_reduced_as_asked_is_named(folder: Callable[[str], Path], tmp_path: Path) -> None:
    fields = {"model": str(folder("flux")), "prompts": {"texts": ["a disc"]}, "reduction": "grid:2", "steps": 2}
    fields |= {"height": 16, "width": 16, "sites": ["blocks"]}
    with pytest.raises(InputError, match=r"Site 'transformer_blocks\.0\.text': grid:K needs a map"):
        capture(
            parse_spec(fields | {"height": 16, "width": 16, "sites": ["blocks"]}, where="the test"), tmp_path / "ds"
        )
    assert not (tmp_path / "ds").exists()


def test_prompts_are_read_as_by_default_and_without_a_warning_at_every_call(folder: Callable[[str], Path]) -> None:
    said: list[str] = []
    listener = logging.Handler()
    listener.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    diffusers_log = logging.getLogger("diffusers")
    source = open_source(str(folder("pixart")))
    sample = Sample("0" * 16, "a Disc &amp; a star ", 3)
    diffusers_log.addHandler(listener)
    try:
        ours = source.generate([sample], steps=2, guidance=3.0, height=16, width=16)
    finally:
        diffusers_log.removeHandler(listener)
    assert [text for text in said if "caption" in text or "ftfy" in text] == []
    made = diffusers.PixArtAlphaPipeline.from_pretrained(folder("pixart"))(
        sample.prompt, height=16, width=16, num_inference_steps=2, guidance_scale=3.0, output_type="np",
        use_resolution_binning=False, generator=torch.Generator().manual_seed(3),
    )  # fmt: skip
    np.testing.assert_array_equal(ours, (made.images * 255).round().astype(np.uint8))
