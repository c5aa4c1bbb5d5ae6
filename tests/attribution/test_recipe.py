import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from outcrop.attribution.bootstrap import Resampling
from outcrop.attribution.cells import Cell
from outcrop.attribution.contrast import contrast
from outcrop.attribution.effects import effects
from outcrop.attribution.interventions import ActivationPatch
from outcrop.attribution.outcomes import Outcomes
from outcrop.attribution.readouts import Classifier
from outcrop.attribution.recipe import Card, Hypothesis, RecipePlan, Side, Verdict, judge
from outcrop.attribution.recipes.run import Setting, save_verdict

New = Callable[..., Outcomes]
CARD = Card("planted", "mid carries content and not style", "the test")
PLAN = RecipePlan(
    cells=(Cell(interventions=(ActivationPatch(sites=("mid",)),)),),
    hypotheses=(
        Hypothesis("mid carries content", Side(("content",), ("mid",))),
        Hypothesis("more than style", Side(("content",), ("mid",)), Side(("style",), ("mid",))),
    ),
    mapping={"the middle": ("mid",)},
)
QUICK = Resampling(resamples=300)


@pytest.mark.parametrize(
    ("chances", "outcome", "readings"),
    [
        ({"content": 0.9, "style": 0.1}, "holds", ["shown", "shown"]),
        ({"content": 0.2, "style": 0.9}, "does not hold", ["shown", "the reverse is shown"]),
        ({"content": 0.5, "style": 0.5}, "does not hold", ["shown", "not shown"]),
        ({"content": 0.0, "style": 0.0}, "does not hold", ["not shown", "not shown"]),
    ],
)
def test_a_verdict_follows_what_was_planted(
    new_outcomes: New, reader: Classifier, chances: dict[str, float], outcome: str, readings: list[str]
) -> None:
    found = judge(CARD, PLAN, effects(new_outcomes({"mid": chances}), [reader], resampling=QUICK))
    assert found.outcome == outcome
    assert list(found.figures["reading"]) == readings
    assert "the middle: mid" in found.to_text()
    assert outcome.upper() in found.to_text()


def test_what_too_few_pairs_show_is_not_tested(new_outcomes: New, reader: Classifier) -> None:
    few = judge(CARD, PLAN, effects(new_outcomes({"mid": {"content": 1.0}}, n=6), [reader], resampling=QUICK))
    assert few.outcome == "not tested: too few pairs"


def test_descriptors_do_not_stand_for_a_reading_of_too_few_pairs(new_outcomes: New, reader: Classifier) -> None:
    table = effects(new_outcomes({"mid": {"content": 1.0}}, n=40), [reader], resampling=QUICK)
    content = table.scores["content"]
    few = replace(content, toward_span=np.where(np.arange(40) < 9, content.toward_span, np.nan))
    both = replace(table, scores={**table.scores, "content": few, "keypoints": content})
    assert judge(CARD, PLAN, both).outcome == "not tested: too few pairs"
    only = {name: one for name, one in table.scores.items() if name != "content"} | {"keypoints": content}
    assert judge(CARD, PLAN, replace(table, scores=only, frame=renamed(table.frame))).outcome == "holds"


def renamed(frame: pd.DataFrame) -> pd.DataFrame:
    """With keypoints in place of content, as where no classifier is at hand."""
    return frame.assign(property=frame["property"].replace("content", "keypoints"))


def test_a_contrast_is_paired(new_outcomes: New, reader: Classifier) -> None:
    follow = {"down.0": {"content": 0.5}, "mid": {"content": 0.5}}
    table = effects(new_outcomes(follow), [reader], resampling=QUICK)
    same = contrast(table, [("content", 0)], [("content", 0)])
    assert (same.value, same.low, same.high) == (0, 0, 0)
    against_nothing = contrast(table, [("content", 0)])
    row = table.frame.iloc[0]
    assert against_nothing.value == pytest.approx(row["effect"])
    assert (against_nothing.low, against_nothing.high) == pytest.approx((row["low"], row["high"]))
    lost = contrast(table, [("content", 0)], measure="necessity")
    assert lost.value == pytest.approx(row["necessity"])


def test_a_verdict_is_written(tmp_path: Path) -> None:
    verdict = Verdict(CARD, "outcrop:unet", "holds", "so", mapping={"a": ("b",)}, basis={"pairs read": {"style": 41}})
    save_verdict(verdict, tmp_path, setting=Setting(pairs=44, steps=12))
    written = json.loads((tmp_path / "verdict.json").read_text())
    assert written["outcome"] == "holds"
    assert written["mapping"] == {"a": ["b"]}
    assert (written["settings"]["pairs"], written["settings"]["steps"]) == (44, 12)
    assert written["basis"] == {"pairs read": {"style": 41}}
