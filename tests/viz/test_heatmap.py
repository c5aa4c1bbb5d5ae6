from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from outcrop.data.errors import InputError
from outcrop.viz.grid import property_grid
from outcrop.viz.heatmap import plot_heatmap
from outcrop.viz.site_names import short_site_names
from outcrop.viz.style import figure_style

Make = Callable[..., pd.DataFrame]


def axes_of(figure: Figure, label: str) -> Axes:
    return next(axes for axes in figure.axes if axes.get_label() == label)


def texts_overlap(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts that cover one another when drawn, and texts that leave the figure."""
    with figure_style():
        figure.draw_without_rendering()
        drawn = [text for text in figure.findobj(lambda a: hasattr(a, "get_text")) if text.get_visible()]
        shown = [(t.get_text(), t.get_window_extent()) for t in drawn if t.get_text().strip()]
    whole = figure.bbox.padded(1)
    bad = [
        (a, "the edge") for a, box in shown if not (whole.contains(box.x0, box.y0) and whole.contains(box.x1, box.y1))
    ]
    for i, (a, first) in enumerate(shown):
        for b, second in shown[i + 1 :]:
            width = min(first.x1, second.x1) - max(first.x0, second.x0)
            height = min(first.y1, second.y1) - max(first.y0, second.y0)
            if width > 1 and height > 2.5:
                bad.append((a, b))
    return bad


@pytest.mark.parametrize("value", ["accuracy", "selectivity"])
def test_each_panel_draws_the_table(frame: pd.DataFrame, value: str) -> None:
    figure = plot_heatmap(frame, value=value)  # type: ignore[arg-type]
    assert sum(axes.get_label().startswith("heatmap") for axes in figure.axes) == 3
    for name in ("content", "style", "layout"):
        (image,) = axes_of(figure, f"heatmap {name}").images
        rows = frame[frame["property"] == name].sort_values(["order", "step"])
        assert (np.asarray(image.get_array()).ravel() == rows[value].to_numpy()).all()


def test_colours_run_from_chance_to_one(frame: pd.DataFrame) -> None:
    figure = plot_heatmap(frame)
    for name, classes in (("content", 8), ("style", 6), ("layout", 9)):
        assert axes_of(figure, f"heatmap {name}").images[0].get_clim() == pytest.approx((1 / classes, 1))


def test_chance_and_majority_are_marked_on_the_colour_bar(frame: pd.DataFrame) -> None:
    bar = axes_of(plot_heatmap(frame), "colour bar style")
    assert [text.get_text() for text in bar.get_xticklabels()] == ["chance .17", ".58", "1.00"]
    assert [text.get_text() for text in bar.texts] == ["majority .20"]
    (mark,) = [line for line in bar.lines if line.get_label() == "majority"]
    assert mark.get_xdata() == pytest.approx([1 / 6 + 0.03])


def test_a_majority_level_below_chance_is_told_and_has_no_place_on_the_bar(frame: pd.DataFrame) -> None:
    bar = axes_of(plot_heatmap(frame.assign(majority=0.01)), "colour bar style")
    assert [text.get_text() for text in bar.texts] == ["majority .01, below chance"]
    assert not [line for line in bar.lines if line.get_label() == "majority"]


def test_rows_are_sites_from_the_top_and_columns_noise_levels(frame: pd.DataFrame) -> None:
    axes = axes_of(plot_heatmap(frame), "heatmap content")
    sites = frame.drop_duplicates("site").sort_values("order")["site"]
    assert [text.get_text() for text in axes.get_yticklabels()] == list(short_site_names(list(sites)).values())
    assert axes.get_ylim() == (21.5, -0.5)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["100", "88", "75", "62", "50", "38", "25", "12"]


def test_dots_are_exactly_the_cells_that_do_not_clear_the_floor(frame: pd.DataFrame) -> None:
    axes = axes_of(plot_heatmap(frame), "heatmap style")
    dots = [line.get_xydata() for line in axes.lines if str(line.get_label()).startswith("unclear")]
    drawn = {(int(row), int(column)) for xy in dots for column, row in np.asarray(xy)}
    assert drawn == {(int(i), int(j)) for i, j in np.argwhere(property_grid(frame, "style").unclear)}


def test_the_best_cell_is_outlined_with_its_value(frame: pd.DataFrame) -> None:
    axes = axes_of(plot_heatmap(frame), "heatmap style")
    grid = property_grid(frame, "style")
    (outline,) = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert (outline.get_y() + 0.5, outline.get_x() + 0.5) == grid.best
    assert f"{grid.values.max():.2f}".removeprefix("0") in [text.get_text() for text in axes.texts]


def test_parts_of_the_network_are_named_beside_their_rows(frame: pd.DataFrame) -> None:
    axes = axes_of(plot_heatmap(frame), "heatmap content")
    places = {text.get_text(): text.get_position()[1] for text in axes.texts}
    assert (places["down"], places["mid"], places["up"]) == (2.5, 6.5, 13.5)
    rules = [line.get_ydata()[0] for line in axes.lines if str(line.get_label()).startswith("_child")]
    assert rules == [5.5, 7.5, 19.5]


def test_missing_cells_are_masked(frame: pd.DataFrame) -> None:
    kept = frame[(frame["property"] != "style") | (frame["order"] != 3)]
    (image,) = axes_of(plot_heatmap(kept), "heatmap style").images
    mask = np.ma.getmaskarray(np.ma.asarray(image.get_array()))
    assert (mask.any(axis=1) == (np.arange(22) == 3)).all()


@pytest.mark.parametrize("sites", [7, 22, 140])
@pytest.mark.parametrize("steps", [1, 8, 20])
def test_no_text_covers_another_or_leaves_the_figure(
    make_frame: Make, site_sets: dict[int, tuple[str, ...]], sites: int, steps: int
) -> None:
    assert texts_overlap(plot_heatmap(make_frame(site_sets[sites], steps=steps))) == []


def test_names_with_signs_of_mathematics_and_markup_are_drawn_as_they_are(make_frame: Make) -> None:
    sites = ("head.$x_1$", "body.<b>", "tail^2")
    figure = plot_heatmap(make_frame(sites, properties=("price in $ and $$",)))
    axes = axes_of(figure, "heatmap price in $ and $$")
    assert [text.get_text() for text in axes.get_yticklabels()] == list(sites)
    assert texts_overlap(figure) == []


def test_only_what_was_asked_for(frame: pd.DataFrame) -> None:
    figure = plot_heatmap(frame, properties=["layout"])
    assert [axes.get_label() for axes in figure.axes] == ["heatmap layout", "colour bar layout"]
    with pytest.raises(InputError, match="'colour'"):
        plot_heatmap(frame, properties=["colour"])
