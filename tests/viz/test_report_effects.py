from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from outcrop.data.errors import InputError
from outcrop.viz.report_effects import (
    agreement_rows,
    causes,
    comparable_cells,
    effect_data,
    effect_methods,
    effect_tables,
)

Make = Callable[..., Any]
SITES = ("down_blocks.0", "mid_block", "up_blocks.0", "up_blocks.1")


def test_the_strongest_effect_is_told_and_none_where_there_is_none(make_effects: Make) -> None:
    effects, _ = make_effects(SITES)
    content, style = causes(effects)
    assert content.claim.startswith("Content is not shown to be caused anywhere")
    assert style.claim == "Style is caused most at up\N{NO-BREAK SPACE}0, steps 0–3."
    assert style.figures.replace("\N{NO-BREAK SPACE}", " ").startswith(
        "Effect .90, 95 % interval .85 to .95, q = .001, over 30 pairs; the largest of 8"
    )
    assert style.context == "None of the other 7 cells has a value within its interval."
    others = (effects.frame["property"] == "style") & (effects.frame["effect"] < 0.9)
    effects.frame.loc[others, "effect"] = 0.87
    assert causes(effects)[1].context.startswith("7 of the other 7 cells reach the same interval")
    assert [cause.title for cause in causes(effects, probed=["style", "layout"])] == ["Style"]


def test_of_few_pairs_nothing_is_concluded(make_effects: Make) -> None:
    effects, _ = make_effects(SITES)
    effects.frame["n"] = 4
    assert {cause.claim for cause in causes(effects)} == {
        "What causes content cannot be told from so few pairs.",
        "What causes style cannot be told from so few pairs.",
    }


def test_an_effect_that_does_not_survive_the_correction_is_not_claimed(make_effects: Make) -> None:
    effects, _ = make_effects(SITES)
    effects.frame["q_value"] = 0.2
    assert all("not shown" in cause.claim for cause in causes(effects))


def test_every_cell_stands_in_its_place(make_effects: Make) -> None:
    effects, _ = make_effects(SITES)
    data = effect_data(effects)
    assert (data["names"], data["windows"]) == (["down 0", "mid", "up 0", "up 1"], ["0–3", "4–7"])
    style = data["properties"][1]
    assert style["best"] == [2, 0]
    assert [cell["cell"] for cell in style["cells"]] == list(range(8))
    assert style["cells"][4] == {"effect": 0.9, "low": 0.85, "high": 0.95, "q_value": 0.001, "n": 30, "cell": 4}


def test_cells_of_one_site_and_window_are_told_apart(make_effects: Make) -> None:
    effects, _ = make_effects(SITES)
    frame = effects.frame
    more = frame.assign(cell=frame["cell"] + 8, intervention="ablation", dose=0.5)
    data = effect_data(type(effects)(pd.concat([frame, more]), effects.provenance))
    assert "up 0 (activation patch)" in data["names"]
    assert "up 0 (ablation, dose 0.5)" in data["names"]


def test_what_was_not_tried_is_empty(make_effects: Make) -> None:
    effects, _ = make_effects(SITES)
    data = effect_data(type(effects)(effects.frame[effects.frame["cell"] != 3], effects.provenance))
    assert data["properties"][0]["cells"][3] is None


def test_the_tables_hold_every_cell(make_effects: Make) -> None:
    effects, _ = make_effects(SITES)
    content, style = effect_tables(effects)
    assert len(content.rows) == len(style.rows) == 8
    assert style.rows[4] == ("up 0", "up_blocks.0", "0-3", ".90", ".85 to .95", "30", "0.001")


def test_methods_are_those_of_the_table(make_effects: Make) -> None:
    effects, _ = make_effects(SITES)
    text = " ".join(effect_methods(effects))
    told = ("8 interventions (activation patch)", "8 steps at guidance 3", "40 pairs", "2,000 bootstrap", "No controls")
    assert [part for part in told if part not in text] == []


def test_cells_for_comparison_are_of_one_window_and_on_known_sites(make_effects: Make) -> None:
    effects, _ = make_effects(SITES)
    assert comparable_cells(effects, SITES[1:]) == [2, 4, 6]
    assert comparable_cells(effects, ("other",)) == []


def test_a_table_without_effects_is_refused(make_effects: Make) -> None:
    effects, _ = make_effects(SITES)
    with pytest.raises(InputError, match="missing: effect"):
        causes(type(effects)(effects.frame.drop(columns="effect"), effects.provenance))
    with pytest.raises(InputError, match="at least one cell"):
        causes(type(effects)(effects.frame.assign(effect=np.nan), effects.provenance))


def test_every_mark_of_decodable_against_causal_stands_in_the_table() -> None:
    planted = {
        "property": "style", "site": "up_blocks.1", "decodable": 0.9, "decodable_low": 0.85, "decodable_high": 0.95,
        "effect": 0.02, "low": -0.03, "high": 0.07, "reading": "decodable but unused",
    }  # fmt: skip
    (row,) = agreement_rows(pd.DataFrame([planted]))
    told = (".90 (.85 to .95)", ".02 (−.03 to .07)")
    assert row == ("style", "up 1", "up_blocks.1", *told, "decodable but unused")
