import re

import numpy as np
import pytest

from outcrop.viz.grid import StepAxis
from outcrop.viz.labels import (
    enumerate_words,
    number,
    property_title,
    step_name,
    step_ticks,
)
from outcrop.viz.site_names import short_site_names, site_group

INNER = ("attn1", "attn2", "ff", "norm1", "attn1.to_q", "attn2.to_v", "ff.net.0.proj")
UNET = [
    f"{block}.{kind}.{i}"
    for block in ("down_blocks.0", "down_blocks.1", "mid_block", "up_blocks.0", "up_blocks.1")
    for kind in ("attentions", "resnets")
    for i in range(3)
]
DEEP_UNET = [
    name
    for site in UNET
    for name in (
        site,
        *(f"{site}.transformer_blocks.{k}" for k in range(3) if "attentions" in site),
        *(f"{site}.transformer_blocks.{k}.{part}" for k in range(3) for part in INNER if "attentions" in site),
    )
]
FLUX = [f"transformer_blocks.{i}{part}" for i in range(19) for part in ("", ".attn", ".ff", ".ff_context")]
FLUX += [f"single_transformer_blocks.{i}" for i in range(38)]
OTHERS = [
    "conv_in", "conv_out", "conv_norm_out", "mid_block", "down_blocks.0", "down_blocks.0.downsamplers.0",
    "decoder.up_blocks.0.resnets.0", "encoder.down_blocks.0.resnets.0", "encoder.layers.3", "encoder.layers.3.mlp",
    "synthesis.b16.conv0", "synthesis.b16.conv1", "blocks.3", "blocks.03", "a.b.c", "head", "", "transformer_blocks",
    "transformer_blocks.0@text", "transformer_blocks.0@image", "down 0", "down_blocks.0.x.y", "down_blocks.0.x",
]  # fmt: skip


@pytest.mark.parametrize(
    ("site", "short"),
    [
        ("down_blocks.0.attentions.0.transformer_blocks.0.attn2", "down 0 · attn 0 · cross"),
        ("mid_block.attentions.0", "mid · attn 0"),
        ("up_blocks.2.resnets.1", "up 2 · res 1"),
        ("transformer_blocks.11", "block 11"),
        ("single_transformer_blocks.7", "single 7"),
        ("conv_in", "conv in"),
        ("decoder.up_blocks.0.resnets.0", "decoder · up 0 · res 0"),
        ("synthesis.b16.conv0", "synthesis.b16.conv0"),
        ("down_blocks.1.attentions.0.transformer_blocks.0.ff.net.0.proj", "down 1 · attn 0 · ff.net.0.proj"),
    ],
)
def test_short_name(site: str, short: str) -> None:
    assert short_site_names([site]) == {site: short}


@pytest.mark.parametrize("sites", [UNET, DEEP_UNET, FLUX, OTHERS, UNET + DEEP_UNET + FLUX + OTHERS])
def test_short_names_are_unique(sites: list[str]) -> None:
    sites = list(dict.fromkeys(sites))
    names = short_site_names(sites)
    assert list(names) == sites
    assert len(set(names.values())) == len(sites)


def test_two_layers_in_one_attention_are_told_apart() -> None:
    sites = [f"down_blocks.1.attentions.0.transformer_blocks.{k}.attn2" for k in range(2)]
    assert list(short_site_names(sites).values()) == [f"down 1 · attn 0 · layer {k} · cross" for k in range(2)]


def test_numbers_of_modules_survive() -> None:
    """Alone, a name may lose only the transformer block inside an attention; every other number stays, in order."""
    for site in DEEP_UNET + FLUX + OTHERS:
        kept = re.sub(r"(attentions\.\d+)\.transformer_blocks\.\d+", r"\1", site)
        digits = re.findall(r"\d+", re.sub(r"attn[12]", "", kept))
        assert re.findall(r"\d+", re.sub(r"attn[12]", "", short_site_names([site])[site])) == digits


@pytest.mark.parametrize(
    ("site", "group"),
    [
        ("down_blocks.0.attentions.1", "down"),
        ("mid_block", "mid"),
        ("up_blocks.2.resnets.1", "up"),
        ("vae.decoder.up_blocks.0", "decoder up"),
        ("transformer_blocks.3", "blocks"),
        ("single_transformer_blocks.3", "single"),
        ("conv_in", ""),
        ("down_blocks.0.attentions.0.transformer_blocks.0.attn1", "down"),
    ],
)
def test_group(site: str, group: str) -> None:
    assert site_group(site) == group


@pytest.mark.parametrize(
    ("value", "text"), [(0.97, ".97"), (1, "1.00"), (0, ".00"), (-0.034, "−.03"), (-0.001, ".00"), (np.nan, "–")]
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


def test_titles_and_lists() -> None:
    assert property_title("named_colour") == "Named colour"
    assert [enumerate_words(words) for words in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


def test_steps_are_named_by_their_scale() -> None:
    axis = StepAxis((0, 1), "timestep", np.array([999.0, 0.0]))
    assert step_ticks(axis) == ("999", "0")
    assert step_name(axis, 0) == "timestep 999"
