"""Sites: found by structure, in execution order, chosen by pattern."""

import pytest

from outcrop.capture.sites import Site, select_sites
from outcrop.capture.source import DiffusersSource
from outcrop.data.errors import InputError
from outcrop.data.samples import Sample


@pytest.fixture(scope="module")
def sites(source: DiffusersSource) -> list[Site]:
    return source.sites()


def test_sites_stand_in_the_order_in_which_plain_hooks_fire(
    source: DiffusersSource, sites: list[Site], samples: list[Sample]
) -> None:
    fired: list[str] = []
    handles = [
        source.denoiser.get_submodule(name).register_forward_hook(lambda *_, name=name: fired.append(name))
        for name in {site.read_at.module for site in sites}
    ]
    source.generate(samples[:1], steps=1, guidance=1.0)
    for handle in handles:
        handle.remove()
    assert list(dict.fromkeys(site.read_at.module for site in sites)) == fired


def test_skip_connections_follow_the_block_that_makes_them(sites: list[Site]) -> None:
    skips = [(site.name, site.shape) for site in sites if site.role == "skip"]
    assert skips == [
        ("down_blocks.0.skip.0", (8, 4, 4)),
        ("down_blocks.0.skip.1", (8, 2, 2)),
        ("down_blocks.1.skip.0", (16, 2, 2)),
    ]
    assert select_sites(sites, ["skips"]) == [site for site in sites if site.role == "skip"]


def test_tokens_of_a_picture_are_a_map(sites: list[Site]) -> None:
    shapes = {site.name: site.shape for site in sites}
    assert shapes["down_blocks.1.attentions.0.transformer_blocks.0.attn2"] == (16, 2, 2)
    assert {site.stream for site in sites} == {"image"}


def test_roles_and_depths_describe_the_model(sites: list[Site]) -> None:
    roles = {site.name: site.role for site in sites}
    attention = "down_blocks.1.attentions.0"
    assert roles["mid_block"] == "bottleneck"
    assert roles["up_blocks.0"] == roles["down_blocks.1"] == "block"
    assert roles[attention] == "attention"
    assert roles[f"{attention}.transformer_blocks.0"] == "transformer-block"
    assert roles[f"{attention}.transformer_blocks.0.attn1"] == "self-attention"
    assert roles[f"{attention}.transformer_blocks.0.attn2"] == "cross-attention"
    assert roles[f"{attention}.transformer_blocks.0.ff"] == "feed-forward"
    assert roles["up_blocks.1.resnets.0"] == "resnet"
    assert roles["down_blocks.0.downsamplers.0"] == "downsampler"
    assert roles["up_blocks.0.upsamplers.0"] == "upsampler"
    assert roles["conv_in"] == roles["conv_out"] == "convolution"
    depths = [site.depth for site in sites]
    assert depths == sorted(depths)
    assert (depths[0], depths[-1]) == (0, 1)


def test_finding_sites_leaves_no_hook_behind(source: DiffusersSource, sites: list[Site]) -> None:
    assert sites
    assert not any(module._forward_hooks for module in source.denoiser.modules())


def names_of(sites: list[Site]) -> list[str]:
    return [site.name for site in sites]


def test_patterns_are_groups_roles_and_globs(sites: list[Site]) -> None:
    blocks = names_of(select_sites(sites, ["blocks"]))
    assert blocks == ["down_blocks.0", "down_blocks.1", "mid_block", "up_blocks.0", "up_blocks.1"]
    assert select_sites(sites, ["all"]) == [site for site in sites if not site.inside_attention]
    assert {site.role for site in select_sites(sites, ["cross-attention"])} == {"cross-attention"}
    assert names_of(select_sites(sites, ["up_blocks.?"])) == ["up_blocks.0", "up_blocks.1"]
    assert names_of(select_sites(sites, ["up_blocks.1", "mid_*k", "up_blocks.1"])) == ["mid_block", "up_blocks.1"]


def test_what_is_inside_attention_is_asked_for_by_its_ending_role_or_group(sites: list[Site]) -> None:
    cross = "down_blocks.1.attentions.0.transformer_blocks.0.attn2"
    inside = [f"{cross}.head.0", f"{cross}.head.1", f"{cross}.entropy", f"{cross}.head-mean", f"{cross}.words"]
    assert [site.name for site in sites if site.name.startswith(f"{cross}.")] == inside
    assert names_of(select_sites(sites, ["down_blocks.1.*attn2.head.*"])) == inside[:2]
    assert names_of(select_sites(sites, [f"{cross}.head.1"])) == inside[1:2]
    assert not any(site.inside_attention for site in select_sites(sites, ["*", "down_blocks.1.*", "*attn2*"]))
    assert {site.role for site in select_sites(sites, ["heads"])} == {"head"}
    assert {site.inside_attention for site in select_sites(sites, ["word-map"])} == {".words"}
    shapes = {site.name: site.shape for site in sites}
    assert [shapes[name] for name in inside] == [(8, 2, 2), (8, 2, 2), (2, 2, 2), (2, 16), (16, 2, 2)]
    depths = {site.name: site.depth for site in sites}
    assert {depths[name] for name in inside} == {depths[cross]}


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("mid_blok", "matches nothing in this model.*Did you mean 'mid_block'"),
        ("block", None),
        ("atentions", "Did you mean 'attentions'"),
        ("UP_BLOCKS.*", "matches nothing"),
        ("7", "is a bare index, which means different layers"),
        ("-1", "is a bare index"),
    ],
)
def test_a_pattern_that_matches_nothing_names_near_misses(sites: list[Site], pattern: str, message: str | None) -> None:
    if message is None:
        assert select_sites(sites, [pattern])
        return
    with pytest.raises(InputError, match=message):
        select_sites(sites, ["mid_block", pattern])
