"""The study of strict and broad synthesis, on families whose truth is planted."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from outcrop.attribution.bootstrap import Resampling
from outcrop.attribution.effects import effects
from outcrop.attribution.interventions import ActivationPatch, LatentSwap, PromptInjection
from outcrop.attribution.outcomes import CellInfo, Outcomes
from outcrop.attribution.readouts import Classifier
from outcrop.attribution.recipes.run import Setting
from outcrop.attribution.recipes.strict_or_broad import (
    PATCH,
    TOLD,
    UNLABELLED,
    WHEN,
    Family,
    comparison_table,
    conclude,
    latent_pairs,
    obeyed,
    read_family,
    study_cells,
)
from outcrop.attribution.recipes.strict_page import answers, write_page
from outcrop.capture.sites import Site

New = Callable[..., Outcomes]
Plant = Callable[..., Family]
NAMES = ("content", "style", "layout")
QUICK = Resampling(resamples=300)
ALL = dict.fromkeys(NAMES, 1.0)
OWN: Mapping[str, Mapping[str, float]] = {
    "mid": {"content": 0.9}, "up.0": {"style": 0.9}, "up.1": {"layout": 0.9},
}  # fmt: skip
"""A place for each property."""


def cells(*, told: bool, windows: bool) -> tuple[CellInfo, ...]:
    sites = ("down.0", "mid", "up.0", "up.1")
    made = [CellInfo(intervention="latent-swap", site="latent", window="0-9")]
    made += [CellInfo(intervention=PATCH, site=site, window="0-9") for site in sites]
    made += [CellInfo(intervention=TOLD, site=site, window="0-9") for site in sites if told]
    made += [CellInfo(intervention=TOLD, site=WHEN, window=window) for window in ("0-4", "5-9") if windows]
    return tuple(made)


@pytest.fixture
def plant(new_outcomes: New, reader: Classifier) -> Plant:
    """A family in which a place carries what ``follow`` says; ``latent`` is what the latent carries."""

    def make(model: str, follow: Mapping[str, Mapping[str, float]], *, one_step: bool, **options: bool) -> Family:
        latent = ALL if one_step else {}
        flags = {"told": False, "windows": False} | options
        outcomes = new_outcomes({**follow, "latent": latent}, cells=cells(**flags), stray=0.05)
        return read_family(model, effects(outcomes, [reader], resampling=QUICK), one_step=one_step)

    return make


def test_the_claim_holds_where_it_is_planted(plant: Plant) -> None:
    broad = plant("broad", OWN, one_step=False, told=True)
    strict = plant("strict", dict.fromkeys(("down.0", "mid", "up.0", "up.1"), ALL), one_step=True)
    assert broad.patched.index > 0.95
    assert strict.patched.high < 0.05
    assert strict.told is None
    verdict = conclude([broad, strict])
    assert verdict.outcome == "holds"
    assert len(verdict.figures) == 7
    assert (verdict.figures["reading"] == "shown").all()


def test_it_does_not_hold_the_other_way_round(plant: Plant) -> None:
    alike = dict.fromkeys(("down.0", "mid", "up.0", "up.1"), ALL)
    verdict = conclude([plant("broad", alike, one_step=False), plant("strict", OWN, one_step=True)])
    assert verdict.outcome == "does not hold"
    assert list(verdict.figures["reading"]) == ["shown"] * 6 + ["not shown"]


def test_a_latent_that_settles_nothing_is_seen(plant: Plant) -> None:
    strict = plant("strict", dict.fromkeys(("mid", "up.0"), ALL), one_step=True)
    broad = replace(strict, model="broad", one_step=False)
    readings = list(conclude([broad, strict]).figures["reading"])
    assert readings == ["not shown"] * 3 + ["shown"] * 3 + ["not shown"]


def test_one_kind_of_family_tests_nothing(plant: Plant) -> None:
    assert conclude([plant("broad", OWN, one_step=False)]).outcome == "not testable on this model"


def test_the_page_says_what_was_planted(plant: Plant, tmp_path: Path) -> None:
    alike = dict.fromkeys(("down.0", "mid", "up.0", "up.1"), ALL)
    families = [plant("broad", OWN, one_step=False, told=True, windows=True), plant("strict", alike, one_step=True)]
    first, second = answers(families)
    assert "does not settle content" in first
    assert "output of one block, different places carry content, style and layout" in first
    assert "in one window of steps, no index can be had: nothing is seen to carry content, style and layout" in first
    assert "settles content 1.00" in second or "settles content .9" in second
    assert "nearly the same places carry" in second
    text = write_page(families, conclude(families), setting=Setting(pairs=60), folder=tmp_path).read_text()
    assert "The claim as a whole, on these models: **holds**" in text
    assert "--pairs 60" in text
    table = comparison_table(families)
    assert list(table["model"]) == ["broad", "broad", "broad", "strict"]
    assert table.loc[0, "layout_top"] == "up.1"
    assert (table["low"] <= table["high"]).sum() == 3


def test_cells_of_a_family() -> None:
    sites = [
        Site(name=name, role=role, depth=0.5, shape=(4, 2, 2), stream="image")
        for name, role in (("a", "block"), ("a.attn", "cross-attention"), ("mid", "bottleneck"))
    ]
    made = study_cells(sites, ["a.attn"], steps=8)
    kinds = [type(cell.interventions[0]) for cell in made]
    assert kinds == [LatentSwap, *[ActivationPatch] * 2, *[PromptInjection] * 5]
    assert len(study_cells(sites, ["a.attn"], steps=1)) == 4


def test_pairs_of_latents_share_none() -> None:
    seeds = [side.seed for pair in latent_pairs(Setting(pairs=5)) for side in (pair.donor, pair.receiver)]
    assert len(set(seeds)) == 10


def test_obedience_is_read_off_both_pictures(new_outcomes: New, reader: Classifier) -> None:
    outcomes = new_outcomes({"mid": ALL})
    assert obeyed(outcomes, [reader]) == dict.fromkeys(NAMES, 1.0)
    swapped = replace(outcomes, donors=outcomes.receivers)
    assert all(share == 0.5 for share in obeyed(swapped, [reader]).values())
    assert obeyed(replace(outcomes, pairs=outcomes.pairs[list(UNLABELLED)]), [reader]) == {}
