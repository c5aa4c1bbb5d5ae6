"""A random text-to-image pipeline of the smallest size, saved once as a folder that diffusers loads."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from outcrop.capture.run import capture
from outcrop.capture.source import DiffusersSource, open_source
from outcrop.capture.spec import CaptureSpec, parse_spec
from outcrop.data.dataset import Dataset
from outcrop.data.samples import Sample

WIDTH = 16
FACTORS = {"content": ["disc", "star"], "style": ["flat", "neon", "dotted"]}
SITES = ["mid_block", "up_blocks.1", "down_blocks.1.attentions.0.transformer_blocks.0.attn2"]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from diffusers import AutoencoderTiny, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from outcrop.zoo.training.denoiser import bind_pipeline
    from outcrop.zoo.training.tokenizer import MAX_LENGTH, build_tokenizer

    torch.manual_seed(0)
    tokenizer = build_tokenizer(prompts=200)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=1,
        max_position_embeddings=MAX_LENGTH,
        projection_dim=WIDTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    unet = UNet2DConditionModel(
        sample_size=4,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    vae = AutoencoderTiny(
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
        latent_channels=4,
        scaling_factor=1.0,
    )
    pipeline = bind_pipeline(vae, CLIPTextModel(text), tokenizer, unet)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def source(tiny_model: Path) -> DiffusersSource:
    return open_source(str(tiny_model))


@pytest.fixture
def samples() -> list[Sample]:
    prompts = ("a flat disc", "a neon star", "a dotted disc on the left")
    return [Sample(f"{k:016x}", prompt, seed=40 + k) for k, prompt in enumerate(prompts)]


@pytest.fixture(scope="session")
def new_spec(tiny_model: Path) -> Callable[..., CaptureSpec]:
    """Six samples in shards of two, two of three steps; fields may be changed by keyword."""

    def make(**changes: object) -> CaptureSpec:
        fields = {
            "model": str(tiny_model),
            "prompts": {"factors": FACTORS, "templates": ["a {style} {content}"]},
            "sites": SITES,
            "steps": 3,
            "record": 2,
            "guidance": 3.0,
            "batch": 2,
            "shard_samples": 2,
        }
        return parse_spec(fields | changes, where="the test")

    return make


@pytest.fixture(scope="session")
def whole(new_spec: Callable[..., CaptureSpec], tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The uninterrupted capture of ``new_spec()``."""
    return capture(new_spec(), tmp_path_factory.mktemp("whole") / "ds")
