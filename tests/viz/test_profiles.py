from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from outcrop.data.errors import InputError
from outcrop.viz.profiles import plot_profiles
from outcrop.viz.steps import plot_steps

Make = Callable[..., pd.DataFrame]


def line(axes: Axes, label: str) -> Line2D:
    (found,) = [each for each in axes.lines if each.get_label() == label]
    return found


def rows_of(frame: pd.DataFrame, name: str, step: int) -> pd.DataFrame:
    return frame[(frame["property"] == name) & (frame["step"] == step)].sort_values("order")


def test_lines_are_the_table_at_the_step(frame: pd.DataFrame) -> None:
    (axes,) = plot_profiles(frame.sample(frac=1, random_state=2), step=3).axes
    for name in ("content", "style", "layout"):
        rows = rows_of(frame, name, 3)
        assert (line(axes, f"accuracy {name}").get_ydata() == rows["accuracy"]).all()
        assert (line(axes, f"control {name}").get_ydata() == rows["control"]).all()
        assert line(axes, f"chance {name}").get_ydata() == pytest.approx([rows["chance"].iloc[0]])
        assert line(axes, f"majority {name}").get_ydata() == pytest.approx([rows["majority"].iloc[0]])


def test_bands_are_the_intervals(frame: pd.DataFrame) -> None:
    (axes,) = plot_profiles(frame, properties=["style"], step=3).axes
    rows = rows_of(frame, "style", 3)
    (band,) = axes.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert set(rows["low"]) | set(rows["high"]) == set(heights)


def test_the_control_has_a_band_if_the_table_has_one(frame: pd.DataFrame) -> None:
    wider = frame.assign(control_low=frame["control"] - 0.01, control_high=frame["control"] + 0.01)
    (axes,) = plot_profiles(wider, properties=["style"], step=3).axes
    assert len(axes.collections) == 2


def test_without_a_step_there_are_an_early_a_middle_and_a_late_panel(frame: pd.DataFrame) -> None:
    panels = plot_profiles(frame).axes
    assert [axes.get_title(loc="left") for axes in panels] == ["early: noise 88", "middle: noise 50", "late: noise 25"]
    for axes, step in zip(panels, (1, 4, 6), strict=True):
        assert (line(axes, "accuracy style").get_ydata() == rows_of(frame, "style", step)["accuracy"]).all()


@pytest.mark.parametrize(("steps", "panels"), [(1, 1), (2, 2), (3, 3), (50, 3)])
def test_few_steps_make_few_panels(make_frame: Make, steps: int, panels: int) -> None:
    assert len(plot_profiles(make_frame(("a.0", "a.1"), steps=steps)).axes) == panels


def test_colours_stay_with_their_property(frame: pd.DataFrame) -> None:
    (every,) = plot_profiles(frame, step=0).axes
    (one,) = plot_profiles(frame, properties=["layout"], step=0).axes
    assert line(one, "accuracy layout").get_color() == line(every, "accuracy layout").get_color()


def test_names_of_sites_are_thinned_regularly(make_frame: Make, site_sets: dict[int, tuple[str, ...]]) -> None:
    ticks = plot_profiles(make_frame(site_sets[140]), step=0).axes[0].get_xticks()
    assert ticks[0] == 0
    assert 40 < len(ticks) < 140
    assert len(set(np.diff(ticks))) == 1


def test_a_step_that_was_not_probed(frame: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="got 8"):
        plot_profiles(frame, step=8)


def test_steps_show_the_best_site_of_each_role(frame: pd.DataFrame) -> None:
    figure = plot_steps(frame)
    assert [axes.get_label() for axes in figure.axes] == ["steps content", "steps style", "steps layout"]
    axes = figure.axes[1]
    style = frame[frame["property"] == "style"]
    bests = style.loc[style.groupby("role")["accuracy"].idxmax(), "site"]
    drawn = {str(each.get_label()).removeprefix("accuracy ") for each in axes.lines} - {"chance", "majority"}
    assert drawn == set(bests)
    for site in bests:
        rows = style[style["site"] == site].sort_values("step")
        curve = line(axes, f"accuracy {site}")
        assert (curve.get_ydata() == rows["accuracy"]).all()
        assert (curve.get_xdata() == rows["noise"]).all()


def test_noise_runs_from_left_to_right_downwards(frame: pd.DataFrame) -> None:
    for axes in plot_steps(frame).axes:
        left, right = axes.get_xlim()
        assert left > right


def test_named_sites(frame: pd.DataFrame) -> None:
    (axes,) = plot_steps(frame, properties=["style"], sites=["conv_out", "mid_block.resnets.0"]).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["conv out", "mid · res 0"]
    with pytest.raises(InputError, match="'nowhere'"):
        plot_steps(frame, sites=["nowhere"])
