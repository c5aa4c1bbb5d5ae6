from itertools import pairwise

import pytest

from outcrop.viz.floorplan import FloorPlan, block_of, floor_plan

FLUX = tuple(
    [f"transformer_blocks.{i}{stream}" for i in range(19) for stream in ("", ".text")]
    + [f"single_transformer_blocks.{i}" for i in range(38)]
)
GAN = ("mapping", "blocks.0", "blocks.1", "blocks.2", "to_rgb")


@pytest.fixture(params=[7, 22, 140, "flux", "gan"])
def sites(request: pytest.FixtureRequest, site_sets: dict[int, tuple[str, ...]]) -> tuple[str, ...]:
    return {**site_sets, "flux": FLUX, "gan": GAN}[request.param]


def test_every_site_has_a_cell_of_its_own_within_the_extent(sites: tuple[str, ...]) -> None:
    plan = floor_plan(sites)
    assert list(plan.cells) == list(sites)
    assert len(set(plan.cells.values())) == len(sites)
    assert all(0 <= x <= plan.columns - 1 and 0 <= y <= plan.rows - 1 for x, y in plan.cells.values())


def test_every_cell_lies_in_the_outline_of_its_block(sites: tuple[str, ...]) -> None:
    plan = floor_plan(sites)
    for site in sites:
        name = plan.block_at(site).name
        assert site.startswith(name), (site, name)


def test_outlines_do_not_overlap(sites: tuple[str, ...]) -> None:
    blocks = floor_plan(sites).blocks
    for column in {block.column for block in blocks}:
        stacked = sorted((b for b in blocks if b.column == column), key=lambda b: b.top)
        assert all(above.top + above.rows < below.top for above, below in pairwise(stacked))


def u_plan(site_sets: dict[int, tuple[str, ...]]) -> FloorPlan:
    return floor_plan(site_sets[22])


def test_a_unet_is_a_u_that_is_followed_down_and_up(site_sets: dict[int, tuple[str, ...]]) -> None:
    plan = u_plan(site_sets)
    assert plan.shape == "u"
    down = [y for site, (x, y) in plan.cells.items() if site.startswith("down")]
    up = [y for site, (x, y) in plan.cells.items() if site.startswith("up")]
    middle = [y for site, (x, y) in plan.cells.items() if site.startswith("mid")]
    assert down == sorted(down)
    assert up == sorted(up, reverse=True)
    assert min(middle) > max(down + up)


def test_skips_join_blocks_of_one_resolution(site_sets: dict[int, tuple[str, ...]]) -> None:
    plan = u_plan(site_sets)
    named = {(plan.blocks[a].name, plan.blocks[b].name) for a, b in plan.skips}
    assert named == {(f"down_blocks.{i}", f"up_blocks.{2 - i}") for i in range(3)}


def test_text_streams_stand_beside_their_image_streams() -> None:
    plan = floor_plan(FLUX)
    assert plan.shape == "stack"
    for i in range(19):
        (x, y), text = plan.cells[f"transformer_blocks.{i}"], plan.cells[f"transformer_blocks.{i}.text"]
        assert text == (x + 1, y)


def test_a_model_without_an_upward_arm_is_a_stack() -> None:
    assert floor_plan(GAN).shape == "stack"
    assert floor_plan(("decoder.mid_block", "decoder.up_blocks.0", "decoder.up_blocks.1")).shape == "stack"


@pytest.mark.parametrize(
    ("site", "block"),
    [
        ("down_blocks.1.attentions.0", "down_blocks.1"),
        ("mid_block.resnets.0", "mid_block"),
        ("decoder.up_blocks.2", "decoder.up_blocks.2"),
        ("conv_in", ""),
    ],
)
def test_the_block_of_a_site(site: str, block: str) -> None:
    assert block_of(site) == block
