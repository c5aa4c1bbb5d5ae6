"""Recipes that let a part of the attentions hear the donor's prompt."""

from collections.abc import Sequence
from dataclasses import dataclass

from outcrop.attribution.cells import Cell
from outcrop.attribution.interventions import PromptInjection
from outcrop.attribution.places import attentions_to_text, coarse_to_fine, of_role
from outcrop.attribution.recipe import Card, Hypothesis, NotTestableError, RecipePlan, Side
from outcrop.capture.sites import Site

SUBSETS = 8
WINDOW = 4
LAYERS = 16  # cross-attentions of SD1, of which WINDOW are a quarter
CONTENT, STYLE, LAYOUT = ("content",), ("style",), ("layout",)


def injection_cell(name: str, sites: Sequence[Site]) -> Cell:
    """All of ``sites`` hear the donor's prompt; one of joint attention gives its text on."""
    record = PromptInjection(sites=tuple(site.name for site in sites), half="cond")
    return Cell(interventions=(record,), name=name)


@dataclass(frozen=True)
class PromptPlus:
    """Coarse layers hear what is shown, fine layers how it looks."""

    card = Card(
        "prompt-plus",
        "coarse cross-attention layers set content, fine ones colour and appearance",
        "Voynov et al. 2023, P+, SD1 (abstract)",
        "halves of the layers by resolution decide; growing subsets are shown beside them",
    )

    def plan(self, sites: Sequence[Site]) -> RecipePlan:
        order = coarse_to_fine(attentions_to_text(sites))
        if len({site.shape[1:] for site in order}) < 2:
            raise NotTestableError("all its attentions to the prompt have one resolution")
        half = len(order) // 2
        coarse, fine = order[:half], order[half:]
        counts = sorted({max(1, round(len(order) * k / SUBSETS)) for k in range(1, SUBSETS + 1)})
        growing = [injection_cell(f"coarsest {count}", order[:count]) for count in counts]
        return RecipePlan(
            cells=(injection_cell("coarse half", coarse), injection_cell("fine half", fine), *growing),
            hypotheses=(
                Hypothesis("the coarse half moves content", Side(CONTENT, ("coarse half",))),
                Hypothesis(
                    "the coarse half moves content more than style",
                    Side(CONTENT, ("coarse half",)),
                    Side(STYLE, ("coarse half",)),
                ),
                Hypothesis(
                    "the fine half moves style more than content",
                    Side(STYLE, ("fine half",)),
                    Side(CONTENT, ("fine half",)),
                ),
            ),
            mapping={"coarse half": _names(coarse), "fine half": _names(fine)},
        )


@dataclass(frozen=True)
class BLora:
    """One block hears the content, the next one the style."""

    card = Card(
        "b-lora",
        "the first attention block after the bottleneck hears content, the second style",
        "Frenkel et al. 2024, B-LoRA, SDXL up_blocks.0.attentions.0 and .1 (code); they saw no such split in SD1.5",
        "the donor's prompt in the block, without fine-tuning",
    )

    def plan(self, sites: Sequence[Site]) -> RecipePlan:
        first, second = _attention_blocks_after_middle(sites)
        return RecipePlan(
            cells=(injection_cell("content block", first), injection_cell("style block", second)),
            hypotheses=(
                Hypothesis("the first moves content", Side(CONTENT, ("content block",))),
                Hypothesis(
                    "the first moves content more than style",
                    Side(CONTENT, ("content block",)),
                    Side(STYLE, ("content block",)),
                ),
                Hypothesis("the second moves style", Side(STYLE, ("style block",))),
                Hypothesis(
                    "the second moves style more than content",
                    Side(STYLE, ("style block",)),
                    Side(CONTENT, ("style block",)),
                ),
            ),
            mapping={"content block": _names(first), "style block": _names(second)},
        )


@dataclass(frozen=True)
class InstantStyle:
    """One block after the bottleneck for style, one before it for layout."""

    card = Card(
        "instant-style",
        "the second attention block after the bottleneck sets style, the last one before it layout",
        "Wang et al. 2024, InstantStyle, SDXL up_blocks.0.attentions.1 and down_blocks.2.attentions.1 (code; disputed)",
        "the donor's prompt in place of an image prompt, which needs an adapter",
    )

    def plan(self, sites: Sequence[Site]) -> RecipePlan:
        style = _attention_blocks_after_middle(sites)[1]
        layout = _last_attention_block_before_middle(sites)
        return RecipePlan(
            cells=(injection_cell("style block", style), injection_cell("layout block", layout)),
            hypotheses=(
                Hypothesis("the one moves style", Side(STYLE, ("style block",))),
                Hypothesis("and style more than layout", Side(STYLE, ("style block",)), Side(LAYOUT, ("style block",))),
                Hypothesis("the other moves layout", Side(LAYOUT, ("layout block",))),
                Hypothesis(
                    "and layout more than style", Side(LAYOUT, ("layout block",)), Side(STYLE, ("layout block",))
                ),
            ),
            mapping={"style block": _names(style), "layout block": _names(layout)},
        )


@dataclass(frozen=True)
class LocoGen:
    """What a prompt says sits in a short window of cross-attentions."""

    card = Card(
        "locogen",
        "a quarter of the cross-attention layers, in a row, holds the content and the style of the prompt",
        "Basu et al. 2024, LocoGen, SD1: layers 8 to 11 of 16 (code)",
        "another prompt in place of a neutral one; the published window at its relative place must move more than all "
        "other layers together do",
    )

    def plan(self, sites: Sequence[Site]) -> RecipePlan:
        layers = attentions_to_text(sites)
        width = max(1, round(len(layers) * WINDOW / LAYERS))
        start = round(len(layers) * 8 / LAYERS)
        if len(layers) < 4:
            raise NotTestableError("the model has fewer than four attentions to the prompt")
        window = layers[start : start + width]
        rest = [site for site in layers if site not in window]
        sliding = [
            injection_cell(f"window {at}-{at + width - 1}", layers[at : at + width])
            for at in range(len(layers) - width + 1)
        ]
        kinds = (*CONTENT, *STYLE)
        return RecipePlan(
            cells=(injection_cell("the window", window), injection_cell("the other layers", rest), *sliding),
            hypotheses=tuple(
                Hypothesis(
                    f"the window moves {kind} more than all other layers do",
                    Side((kind,), ("the window",)),
                    Side((kind,), ("the other layers",)),
                )
                for kind in kinds
            ),
            mapping={"the window": _names(window), "the other layers": _names(rest)},
        )


def _attention_blocks_after_middle(sites: Sequence[Site]) -> tuple[list[Site], list[Site]]:
    """The prompt's attentions in the first two attention blocks after the bottleneck."""
    blocks = _blocks(sites, after=True)
    if len(blocks) < 2:
        raise NotTestableError("the model has fewer than two blocks with attention to the prompt after its bottleneck")
    return blocks[0], blocks[1]


def _last_attention_block_before_middle(sites: Sequence[Site]) -> list[Site]:
    blocks = _blocks(sites, after=False)
    if not blocks:
        raise NotTestableError("the model has no block with attention to the prompt before its bottleneck")
    return blocks[-1]


def _blocks(sites: Sequence[Site], *, after: bool) -> list[list[Site]]:
    """Attentions to the prompt by the block that they are in, on one side of the bottleneck."""
    bottlenecks = of_role(sites, "bottleneck")
    if not bottlenecks:
        raise NotTestableError("the model has no bottleneck")
    inside = {site.name for site in sites if site.name.startswith(tuple(f"{one.name}." for one in bottlenecks))}
    edge = max(one.depth for one in bottlenecks)
    groups: dict[str, list[Site]] = {}
    for site in attentions_to_text(sites):
        if site.name not in inside and (site.depth > edge) == after:
            groups.setdefault(site.name.partition(".transformer_blocks.")[0], []).append(site)
    return list(groups.values())


def _names(sites: Sequence[Site]) -> tuple[str, ...]:
    return tuple(site.name for site in sites)
