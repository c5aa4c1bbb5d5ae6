import numpy as np
import pandas as pd
import pytest

from outcrop.viz.grid import property_grid
from outcrop.viz.labels import rivals
from outcrop.viz.sentences import answer, caveats, heatmap_alt, methods, reading_guide
from outcrop.viz.site_names import short_site_names


@pytest.fixture
def planted(frame: pd.DataFrame) -> pd.DataFrame:
    """Nothing but one cell, for content; the rest lies at chance."""
    flat = frame.assign(accuracy=frame["chance"], low=frame["chance"] - 0.05, high=frame["chance"] + 0.05, control=0.2)
    cell = (flat["property"] == "content") & (flat["site"] == "mid_block.attentions.0") & (flat["step"] == 3)
    flat.loc[cell, ["accuracy", "low", "high"]] = [0.97, 0.94, 0.99]
    return flat


def test_the_planted_cell_is_the_answer(planted: pd.DataFrame) -> None:
    grid = property_grid(planted, "content")
    found = answer(grid, short_site_names(grid.sites), confidence=0.95)
    assert found.decodable
    assert found.claim.replace("\N{NO-BREAK SPACE}", " ") == "Content is decodable best at mid · attn 0, noise 62."
    assert found.figures == ("Accuracy .97, 95 % interval .94–.99; chance .12, majority level .15, control task .20.")
    assert "None of the other 175 cells" in found.context
    assert "At no step" in found.context


def test_nothing_planted_nothing_claimed(planted: pd.DataFrame) -> None:
    grid = property_grid(planted, "style")
    found = answer(grid, short_site_names(grid.sites), confidence=None)
    assert not found.decodable
    assert "not shown to be decodable" in found.claim
    assert found.context == ""


def test_cells_within_the_interval_of_the_best_are_counted(planted: pd.DataFrame) -> None:
    others = (planted["property"] == "content") & (planted["step"] == 4) & (planted["order"] < 11)
    planted.loc[others, ["accuracy", "low"]] = [0.94, 0.9]
    found = answer(property_grid(planted, "content"), dict.fromkeys(planted["site"], "x"), confidence=0.95)
    assert "11 of the other 175 cells reach the same interval" in found.context
    assert "At noise 50 it is decodable at half of the sites or more." in found.context


@pytest.mark.parametrize(
    ("count", "others", "said"),
    [(0, 0, ""), (0, 1, "The only other cell does not reach"), (1, 1, "The only other cell reaches"), (1, 2, "1 of")],
)
def test_few_rivals_are_told_in_words(count: int, others: int, said: str) -> None:
    assert rivals(count, others).startswith(said)
    assert bool(rivals(count, others)) == bool(said)


def test_alternative_text_names_the_best_cells(planted: pd.DataFrame) -> None:
    grids = [property_grid(planted, name) for name in ("content", "style")]
    text = heatmap_alt(grids, short_site_names(grids[0].sites))
    assert "22 sites in rows" in text
    assert "content: best .97 at noise 62, at mid · attn 0" in text


def test_methods_state_the_settings(frame: pd.DataFrame) -> None:
    text = " ".join(methods(frame, settings={"folds": 5, "confidence": 0.9}))
    assert "3 properties were probed at 22 sites and 8 steps (176 places, 528 probes)" in text
    assert "on 480 images that the probe had not seen, in 5 folds" in text
    assert "the same template or the same seed" in text
    assert "there were 60 groups" in text
    assert "90 % interval" in text
    assert "the same prompt were never" in " ".join(methods(frame, settings={"kept_apart": ["seed", "prompt"]}))
    assert "folds?" not in " ".join(methods(frame.drop(columns="strength"), settings={}))


def test_caveats_depend_on_the_table(frame: pd.DataFrame) -> None:
    text = " ".join(caveats(frame, settings={}))
    assert "Decodable is not causal" in text
    assert "largest of 176 estimates, hence optimistic" in text
    assert "only" not in text
    assert "unequal size" not in text
    uneven = frame.assign(groups=8, majority=frame["chance"] + np.float64(0.3))
    few = " ".join(caveats(uneven, settings={"confounded": [["style", "content"]]}))
    assert "Style and content vary together" in few
    assert "only 8 groups" in few
    assert "unequal size" in few


def test_only_words_that_occur_are_explained(frame: pd.DataFrame) -> None:
    grid = property_grid(frame, "style")
    text = " ".join(reading_guide(grid, short_site_names(grid.sites)))
    assert "attn is an attention part" in text
    assert "cross is" not in text
