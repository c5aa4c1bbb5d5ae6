import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from outcrop.data.errors import InputError
from outcrop.viz.effects import plot_effects
from outcrop.viz.ranges import effect_limits

SITES = ("down_blocks.0", "mid_block", "up_blocks.0")


def effect_frame(
    *, properties: tuple[str, ...] = ("content", "style"), sites: tuple[str, ...] = SITES, control: bool = True
) -> pd.DataFrame:
    """Each site causes a little more than the one before, its control nothing."""
    kinds = ("none", "random-site") if control else ("none",)
    rows = [
        {"property": name, "cell": 10 * at + kinds.index(kind), "site": site, "window": "0-3", "control": kind,
         "effect": value, "low": value - 0.1, "high": value + 0.1}
        for name in properties
        for at, site in enumerate(sites)
        for kind in kinds
        for value in [0.8 * at / len(sites) if kind == "none" else 0.0]
    ]  # fmt: skip
    return pd.DataFrame(rows)


def marks(axes: Axes) -> list[Line2D]:
    return [line for line in axes.lines if len(line.get_xdata()) == 1 and line.get_label() != "cut"]


def test_effects_stand_in_the_row_of_their_site_blue_where_above_0() -> None:
    axes = plot_effects(effect_frame(), title="layer-swap").axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["down 0", "mid", "up 0"]
    own = [mark for mark in marks(axes) if mark.get_marker() == "o"]
    assert [(mark.get_xdata()[0], mark.get_ydata()[0]) for mark in own] == [(0, 0), (0.8 / 3, 1), (1.6 / 3, 2)]
    assert [mark.get_color() for mark in own] == ["#7a7a7a", "#0072B2", "#0072B2"]


def test_controls_are_hollow_and_in_the_row_of_what_they_control() -> None:
    figure = plot_effects(effect_frame(), title="layer-swap")
    hollow = [mark for mark in marks(figure.axes[0]) if mark.get_markerfacecolor() == "white"]
    assert [int(mark.get_ydata()[0]) for mark in hollow] == [0, 1, 2]
    assert {mark.get_marker() for mark in hollow} == {"s"}
    assert "control: random site" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_key_speaks_of_controls_only_where_there_are_some() -> None:
    figure = plot_effects(effect_frame(control=False), title="layer-swap")
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["interval above 0", "interval reaches 0"]


@pytest.mark.parametrize("count", [3, 60])
def test_nine_properties_stand_in_two_lines_without_overlap_and_on_one_scale(count: int) -> None:
    sites = tuple(f"up_blocks.{at}" for at in range(count))
    names = tuple(f"property {at}" for at in range(9))
    figure = plot_effects(effect_frame(properties=names, sites=sites, control=False), title="many")
    boxes = [axes.get_position() for axes in figure.axes]
    assert len({round(box.y0, 6) for box in boxes}) == 2
    assert not any(one.overlaps(other) for at, one in enumerate(boxes) for other in boxes[at + 1 :])
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    assert figure.get_figwidth() < 10
    assert min(box.height for box in boxes) * figure.get_figheight() / count >= 0.1  # inches a row


def test_windows_and_doses_tell_the_cells_of_one_site_apart() -> None:
    first = effect_frame(sites=("mid_block",), control=False)
    frame = pd.concat([first.assign(dose=1.0), first.assign(window="4-7", dose=2.0)])
    names = [text.get_text() for text in plot_effects(frame, title="two").axes[0].get_yticklabels()]
    assert names == ["mid (steps 0–3, dose 1)", "mid (steps 4–7, dose 2)"]


def test_an_interval_that_reaches_far_is_cut_and_marked() -> None:
    frame = effect_frame(control=False)
    frame.loc[2, "low"] = -10.0
    axes = plot_effects(frame, title="wide").axes[0]
    (arrow,) = [line for line in axes.lines if line.get_label() == "cut"]
    assert (arrow.get_marker(), arrow.get_xdata()[0], arrow.get_ydata()[0]) == ("<", axes.get_xlim()[0], 2)
    assert axes.get_xlim()[0] > -1
    assert axes.get_xlim() == effect_limits(frame)


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(InputError, match="takes an EffectTable with at least one row"):
        plot_effects(effect_frame().iloc[:0], title="none")
    blank = effect_frame().assign(effect=np.nan, low=np.nan, high=np.nan)
    assert "cannot be read" in [text.get_text() for text in plot_effects(blank, title="none").axes[0].texts]
