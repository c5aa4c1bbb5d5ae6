"""Every figure function tells in one error what it takes, what came, and how to come by the right thing."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import outcrop as oc
from outcrop import viz
from outcrop.data.errors import InputError
from outcrop.viz.accepts import choose_names, choose_numbers

Draw = Callable[[Any], object]
FIGURES: dict[str, tuple[Draw, str]] = {
    "plot_heatmap": (viz.plot_heatmap, "a probe table"),
    "plot_profiles": (viz.plot_profiles, "a probe table"),
    "plot_architecture": (viz.plot_architecture, "a probe table"),
    "plot_steps": (viz.plot_steps, "a probe table"),
    "plot_selectivity": (viz.plot_selectivity, "a probe table"),
    "plot_head_map": (viz.plot_head_map, "a probe table"),
    "write_figures": (lambda given: viz.write_figures(given, "never"), "a probe table"),
    "plot_effects": (viz.plot_effects, "an EffectTable"),
    "plot_effect_map": (viz.plot_effect_map, "an EffectTable"),
    "plot_dose_response": (lambda given: viz.plot_dose_response(given, site="mid_block"), "an EffectTable"),
    "plot_interventions": (viz.plot_interventions, "the Outcomes of a study"),
    "plot_agreement": (viz.plot_agreement, "an Agreement"),
    "plot_families": (viz.plot_families, "a Labour under the name of each family"),
    "plot_learning_curve": (viz.plot_learning_curve, "a learning curve"),
    "plot_transfer": (lambda given: viz.plot_transfer(given, chance=0.25), "a transfer matrix"),
    "plot_alignment": (lambda given: viz.plot_alignment(given, ["mid_block"]), "an array of alignments"),
    "plot_atlas": (lambda given: viz.plot_atlas(given, "style"), "an Atlas"),
    "atlas": (oc.atlas, "a data set"),
    "plot_word_maps": (lambda given: viz.plot_word_maps(given, "sample", {"star": (1,)}), "a data set"),
    "save_figure": (lambda given: viz.save_figure(given, "never"), "a matplotlib Figure"),
    "write_figure": (lambda given: viz.write_figure(given, "never.png"), "a matplotlib Figure"),
}
WRONG = {
    "None": None,
    "a dict": {1: 2},
    "the text 'runs/demo'": "runs/demo",
    "a DataFrame": pd.DataFrame({"accuracy": [1.0]}),
    "a SimpleNamespace": SimpleNamespace(frame=None),
    "the class DataFrame itself": pd.DataFrame,
}


def test_every_figure_function_is_tried() -> None:
    assert {name for name in viz.__all__ if name.startswith("plot_")} <= set(FIGURES)


@pytest.mark.parametrize("came", WRONG)
@pytest.mark.parametrize("figure", FIGURES)
def test_the_wrong_thing_is_named_beside_the_right_one(figure: str, came: str) -> None:
    draw, takes = FIGURES[figure]
    if (figure, came) == ("plot_families", "a dict"):
        came = "an int"  # a dictionary is right, what it holds is not
        given: object = {1: 2}
    else:
        given = WRONG[came]
    with pytest.raises(InputError) as caught:
        draw(given)
    text = str(caught.value)
    assert text.startswith(f"{figure} takes {takes}")
    assert f"; {came} " in text
    assert " came. " in text
    assert "outcrop." in text.split(" came. ")[1]  # how to come by the right thing


@pytest.mark.parametrize("figure", ["plot_heatmap", "plot_effects", "plot_learning_curve", "plot_transfer"])
def test_a_table_without_rows_is_called_that(figure: str) -> None:
    with pytest.raises(InputError, match="with at least one row; one without rows came"):
        FIGURES[figure][0](pd.DataFrame())


def test_many_missing_columns_are_not_all_listed() -> None:
    with pytest.raises(
        InputError, match="without the columns property, site, step, timestep, noise, depth and 14 more"
    ):
        viz.plot_heatmap(pd.DataFrame({"accuracy": [1.0]}))


def test_scores_are_wanted_where_each_picture_has_its_bars() -> None:
    parts = {"record": SimpleNamespace(cells=[SimpleNamespace(control="none")]), "pairs": [0], "donors": [0]}
    outcomes: Any = SimpleNamespace(**parts, receivers=[0], cell_images=lambda _: [0])
    frame: Any = pd.DataFrame({"effect": [1.0]})
    with pytest.raises(InputError, match="plot_interventions takes an EffectTable; a DataFrame came"):
        viz.plot_interventions(outcomes, frame)


@pytest.mark.parametrize("wanted", ["style", 5, [], ["stlye"]])
def test_names_are_a_list_of_known_ones(wanted: object) -> None:
    with pytest.raises(InputError, match="style"):
        choose_names(wanted, ["content", "style"], what="properties", of="this table")
    assert choose_names(None, ["content", "style"], what="properties", of="this table") == ("content", "style")


@pytest.mark.parametrize("wanted", [3, [3], [], ["a"], [0.5], "0"])
def test_numbers_are_a_list_of_known_ones(wanted: object) -> None:
    with pytest.raises(InputError, match="pairs must be a list of at least one of 0 to 2"):
        choose_numbers(wanted, range(3), what="pairs")
    assert choose_numbers((np.int64(2), 0), (0, 2), what="steps") == [2, 0]


@pytest.mark.parametrize("path", [None, "", 3])
def test_a_figure_needs_a_path(path: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="a path for the figure"):
        viz.save_figure(Figure(), path)
    assert not list(tmp_path.iterdir())
