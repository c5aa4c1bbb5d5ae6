"""Recipes that patch activations of the donor into the receiver: whole layers, and skip connections."""

from collections.abc import Sequence
from dataclasses import dataclass

from outcrop.attribution.cells import Cell
from outcrop.attribution.interventions import ActivationPatch
from outcrop.attribution.places import after_middle, middle, named, of_role
from outcrop.attribution.recipe import Card, Hypothesis, NotTestableError, RecipePlan, Side
from outcrop.capture.sites import Site

SHAPE, LOOK = ("content", "layout"), ("style",)


def patch_cell(name: str, sites: Sequence[str]) -> Cell:
    """The donor's activations at all of ``sites`` together."""
    return Cell(interventions=(ActivationPatch(sites=tuple(sites)),), name=name)


@dataclass(frozen=True)
class LayerSwap:
    """Structure lives in the bottleneck, style in the layers right after it."""

    card = Card(
        "layer-swap",
        "the output of the bottleneck carries structure, that of the first layers after it style",
        "Schaerf 2025, feature-inject: SD1.4 mid_block, SD2 up_blocks.1.resnets, SDXL mid_block and up_blocks.0",
        "the donor's layer at every step, read by the labels of the pictures where they are known",
    )

    def plan(self, sites: Sequence[Site]) -> RecipePlan:
        structure = named(sites, "mid_block.resnets.1", "mid_block.attentions.0") or middle(sites)
        style = (
            (named(sites, "up_blocks.0.attentions.0", "up_blocks.0.resnets.0") if _is_sdxl(sites) else ())
            or named(sites, "up_blocks.1.resnets.0", "up_blocks.1.resnets.1")
            or after_middle(sites)
        )
        return RecipePlan(
            cells=(patch_cell("structure", structure), patch_cell("style", style)),
            hypotheses=(
                Hypothesis(
                    "structure layers move shape more than look",
                    Side(SHAPE, ("structure",)),
                    Side(LOOK, ("structure",)),
                ),
                Hypothesis("style layers move look more than shape", Side(LOOK, ("style",)), Side(SHAPE, ("style",))),
            ),
            mapping={"structure": structure, "style": style},
        )


@dataclass(frozen=True)
class SkipInject:
    """Spatial content lives in the skip connections of the second coarsest resolution."""

    card = Card(
        "skip-inject",
        "the skip connections of the second coarsest resolution (l = 4 and 5) carry most spatial content, not style",
        "Schaerf et al. 2025, arXiv 2501.14524, SD2 (abstract)",
        "the donor's skip connections at every step",
    )

    def plan(self, sites: Sequence[Site]) -> RecipePlan:
        skips = of_role(sites, "skip")
        if not skips:
            raise NotTestableError("the model has no skip connections")
        sizes = sorted({site.shape[1:] for site in skips})
        if len(sizes) < 3:
            raise NotTestableError("its skip connections have fewer than three resolutions")
        chosen = tuple(site.name for site in skips if site.shape[1:] == sizes[1])
        others = tuple(site.name for site in skips if site.name not in chosen)
        return RecipePlan(
            cells=(patch_cell("chosen skips", chosen), patch_cell("other skips", others)),
            hypotheses=(
                Hypothesis("they move content and layout", Side(SHAPE, ("chosen skips",))),
                Hypothesis("more than all other skips", Side(SHAPE, ("chosen skips",)), Side(SHAPE, ("other skips",))),
                Hypothesis(
                    "and more than they move style", Side(SHAPE, ("chosen skips",)), Side(LOOK, ("chosen skips",))
                ),
            ),
            mapping={"chosen skips": chosen, "other skips": others},
        )


def _is_sdxl(sites: Sequence[Site]) -> bool:
    """Three levels with attention at the lower two only, as in SDXL."""
    known = {site.name for site in sites}
    return (
        "down_blocks.2.attentions.1" in known
        and "down_blocks.3" not in known
        and "down_blocks.0.attentions.0" not in known
    )
