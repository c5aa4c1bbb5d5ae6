"""Where the recipes look, in the published models: their sites from their configurations."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from outcrop.attribution.interventions import PromptInjection
from outcrop.attribution.places import coarse_to_fine
from outcrop.attribution.recipe import NotTestableError
from outcrop.attribution.recipes.registry import RECIPES
from outcrop.capture.blank import blank_sites
from outcrop.capture.sites import Site

CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
UNET = {"in_channels": 4, "out_channels": 4, "layers_per_block": 2, "norm_num_groups": 8, "attention_head_dim": 8}
CONFIGURATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "sd15": ("UNet2DConditionModel", UNET | {
        "sample_size": 64, "block_out_channels": [32, 64, 96, 96], "down_block_types": [CROSS, CROSS, CROSS, PLAIN],
        "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3], "cross_attention_dim": 32,
    }),
    "sdxl": ("UNet2DConditionModel", UNET | {
        "sample_size": 128, "block_out_channels": [32, 64, 96], "down_block_types": [PLAIN, CROSS, CROSS],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"], "cross_attention_dim": 32,
        "transformer_layers_per_block": [1, 2, 10],
    }),
    "sd3": ("SD3Transformer2DModel", {
        "sample_size": 32, "patch_size": 2, "in_channels": 4, "out_channels": 4, "num_layers": 8,
        "num_attention_heads": 2, "attention_head_dim": 8, "joint_attention_dim": 16, "caption_projection_dim": 16,
        "pooled_projection_dim": 16, "pos_embed_max_size": 32,
    }),
    "flux": ("FluxTransformer2DModel", {
        "in_channels": 16, "num_layers": 2, "num_single_layers": 4, "attention_head_dim": 16, "num_attention_heads": 2,
        "joint_attention_dim": 16, "pooled_projection_dim": 16, "axes_dims_rope": [4, 6, 6],
    }),
}  # fmt: skip
"""Depths and kinds of block as published, widths made small."""


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[Site]]:
    found: dict[str, list[Site]] = {}

    def of(name: str) -> list[Site]:
        if name not in found:
            kind, config = CONFIGURATIONS[name]
            folder = tmp_path_factory.mktemp(name)
            part = "unet" if kind.startswith("UNet") else "transformer"
            (folder / part).mkdir()
            (folder / part / "config.json").write_text(json.dumps(config))
            (folder / "model_index.json").write_text(json.dumps({part: ["diffusers", kind]}))
            found[name] = blank_sites(str(folder), height=256, width=256)
        return found[name]

    return of


def parents(names: Sequence[str]) -> set[str]:
    return {name.partition(".transformer_blocks.")[0] for name in names}


def test_sdxl_is_looked_at_where_the_papers_say(sites: Callable[[str], list[Site]]) -> None:
    sdxl = sites("sdxl")
    swap = RECIPES["layer-swap"].plan(sdxl).mapping
    assert swap["style"] == ("up_blocks.0.attentions.0", "up_blocks.0.resnets.0")
    lora = RECIPES["b-lora"].plan(sdxl).mapping
    assert parents(lora["content block"]) == {"up_blocks.0.attentions.0"}
    assert parents(lora["style block"]) == {"up_blocks.0.attentions.1"}
    assert len(lora["style block"]) == 10
    assert parents(RECIPES["instant-style"].plan(sdxl).mapping["layout block"]) == {"down_blocks.2.attentions.1"}


def test_sd15_is_looked_at_where_the_papers_say(sites: Callable[[str], list[Site]]) -> None:
    sd15 = sites("sd15")
    swap = RECIPES["layer-swap"].plan(sd15).mapping
    assert swap["structure"] == ("mid_block.resnets.1", "mid_block.attentions.0")
    assert swap["style"] == ("up_blocks.1.resnets.0", "up_blocks.1.resnets.1")
    loco = RECIPES["locogen"].plan(sd15)
    assert len(loco.mapping["the window"]) == 4
    assert len(loco.mapping["the other layers"]) == 12
    injection = loco.cells[0].interventions[0]
    assert isinstance(injection, PromptInjection)
    assert injection.half == "cond"
    skips = RECIPES["skip-inject"].plan(sd15).mapping["chosen skips"]
    assert {name.partition(".skip.")[0] for name in skips} <= {"down_blocks.1", "down_blocks.2"}
    coarse = RECIPES["prompt-plus"].plan(sd15).mapping["coarse half"]
    assert len(coarse) == 8
    assert "mid_block" in {name.partition(".")[0] for name in coarse}


@pytest.mark.parametrize("name", ["sd3", "flux"])
def test_a_transformer_is_told_from_a_unet(sites: Callable[[str], list[Site]], name: str) -> None:
    found = sites(name)
    plan = RECIPES["layer-swap"].plan(found)
    assert all("transformer_blocks" in place for place in plan.mapping["structure"])
    for recipe in ("skip-inject", "b-lora", "instant-style", "prompt-plus"):
        with pytest.raises(NotTestableError):
            RECIPES[recipe].plan(found)
    window = RECIPES["locogen"].plan(found).mapping["the window"]
    assert all("transformer_blocks" in place for place in window)


def test_coarse_comes_before_fine(sites: Callable[[str], list[Site]]) -> None:
    attentions = [site for site in sites("sd15") if site.role == "cross-attention"]
    areas = [site.shape[1] for site in coarse_to_fine(attentions)]
    assert areas == sorted(areas)
    assert coarse_to_fine(attentions)[0].name.startswith("mid_block")
