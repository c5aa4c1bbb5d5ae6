from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from outcrop.data.errors import InputError
from outcrop.viz import style
from outcrop.viz.architecture import plot_architecture

Make = Callable[..., pd.DataFrame]


def panel(figure: Figure, name: str) -> Axes:
    return next(axes for axes in figure.axes if axes.get_label() == f"architecture {name}")


def cell(axes: Axes, site: str) -> Rectangle:
    (found,) = [p for p in axes.patches if p.get_label() == f"site {site}" and isinstance(p, Rectangle)]
    return found


def test_cells_have_the_colour_of_their_accuracy_at_the_step(frame: pd.DataFrame) -> None:
    axes = panel(plot_architecture(frame, properties=["style"], step=3), "style")
    rows = frame[(frame["property"] == "style") & (frame["step"] == 3)]
    scale = Normalize(rows["chance"].iloc[0], 1, clip=True)
    for row in rows.itertuples():
        expected = mpl.colormaps[style.COLOUR_MAP](scale(row.accuracy))
        assert np.allclose(cell(axes, str(row.site)).get_facecolor(), expected)


def test_without_a_step_each_property_is_shown_at_the_step_of_its_best_cell(frame: pd.DataFrame) -> None:
    figure = plot_architecture(frame)
    for name in ("content", "style", "layout"):
        rows = frame[frame["property"] == name]
        best = rows.loc[rows["accuracy"].idxmax()]
        outlined = cell(panel(figure, name), best["site"])
        assert to_hex(outlined.get_edgecolor()) == style.INK
        assert f"{best['accuracy']:.2f}".lstrip("0") in [t.get_text() for t in panel(figure, name).texts]


def test_dots_mark_sites_that_are_not_above_the_floor(frame: pd.DataFrame) -> None:
    axes = panel(plot_architecture(frame, properties=["layout"], step=5), "layout")
    rows = frame[(frame["property"] == "layout") & (frame["step"] == 5)]
    unclear = rows[rows["low"] <= rows["majority"]]["site"]
    assert {line.get_label() for line in axes.lines} == {f"unclear {site}" for site in unclear}
    assert 0 < len(unclear) < len(rows)


def test_a_cell_that_was_not_probed_is_grey(frame: pd.DataFrame) -> None:
    gone = (frame["property"] == "style") & (frame["site"] == "conv_out") & (frame["step"] == 3)
    axes = panel(plot_architecture(frame[~gone], properties=["style"], step=3), "style")
    assert to_hex(cell(axes, "conv_out").get_facecolor()) == style.ABSENT


def test_selectivity_runs_from_zero(frame: pd.DataFrame) -> None:
    axes = panel(plot_architecture(frame, properties=["style"], step=3, value="selectivity"), "style")
    row = frame[(frame["property"] == "style") & (frame["step"] == 3) & (frame["site"] == "conv_out")].iloc[0]
    expected = mpl.colormaps[style.COLOUR_MAP](Normalize(0, 1 - row["chance"])(row["selectivity"]))
    assert np.allclose(cell(axes, "conv_out").get_facecolor(), expected)


@pytest.mark.parametrize("count", [7, 22, 140])
def test_every_site_is_drawn_and_names_stand_where_they_fit(
    make_frame: Make, site_sets: dict[int, tuple[str, ...]], count: int
) -> None:
    figure = plot_architecture(make_frame(site_sets[count], steps=2))
    axes = panel(figure, "style")
    assert sum(str(p.get_label()).startswith("site ") for p in axes.patches) == len(site_sets[count])
    assert sum(isinstance(p, FancyArrowPatch) and p.get_label() == "skip" for p in axes.patches) >= 3
    row = figure.get_figheight() * axes.get_position().height / abs(float(np.diff(axes.get_ylim())[0]))
    sizes = [text.get_fontsize() / 72 for text in axes.texts if text.get_text()]
    assert max(sizes) <= row * 1.2 or count == 140
    assert figure.get_figwidth() <= 20
    assert figure.get_figheight() <= 12


def test_bad_input(frame: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="probed step"):
        plot_architecture(frame, step=99)
    with pytest.raises(InputError, match="'colour'"):
        plot_architecture(frame, properties=["colour"])
