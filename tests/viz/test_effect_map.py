import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from outcrop.data.errors import InputError
from outcrop.viz.effect_map import plot_effect_map

SITES = ("down_blocks.0", "mid_block", "up_blocks.0")
WINDOWS = ("0-11", "0-1", "2-11")
PLANTED = ("content", "mid_block", "0-1")


def effects(*, sites: tuple[str, ...] = SITES, properties: tuple[str, ...] = ("content", "style")) -> pd.DataFrame:
    """Content comes from ``mid_block`` in the first steps; beside each cell stands a control with an effect of 1."""
    rows = [
        {
            "property": name, "site": site, "window": window, "intervention": "activation-patch", "half": "both",
            "dose": np.nan, "control": control, "depth": depth, "low": 0.0, "high": 1.0,
            "effect": 1.0 if control != "none" else 0.8 if (name, site, window) == PLANTED else 0.02,
            "q_value": 0.01 if (name, site, window) == PLANTED else 0.4,
        }
        for name in properties
        for depth, site in reversed(list(enumerate(sites)))
        for window in WINDOWS
        for control in ("none", "random site")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_cells_are_sites_by_windows_and_the_planted_one_is_bold() -> None:
    figure = plot_effect_map(effects())
    content, style = (axes for axes in figure.axes if str(axes.get_label()).startswith("effects"))
    values = np.asarray(content.images[0].get_array())
    expected = np.full((3, 3), 0.02)
    expected[1, 0] = 0.8  # without the controls; sites by depth, the window over all steps last
    assert np.array_equal(values, expected)
    assert content.images[0].get_clim() == (0, 1)
    bold = [(text.get_position(), text.get_text()) for text in content.texts if text.get_fontweight() == "bold"]
    assert ((0, 1), ".80") in bold
    assert sum(text.startswith(".") for _, text in bold) == 1
    assert not [text for text in style.texts if text.get_fontweight() == "bold" and text.get_text().startswith(".")]
    assert [tick.get_text() for tick in content.get_xticklabels()] == ["0–1", "2–11", "0–11"]
    assert [tick.get_text() for tick in content.get_yticklabels()] == ["down 0", "mid", "up 0"]
    assert [axes.get_title(loc="left") for axes in (content, style)] == ["Content", "Style"]


def test_of_many_sites_dots_mark_what_is_clear() -> None:
    sites = (*(f"transformer_blocks.{k}" for k in range(60)), "mid_block")
    figure = plot_effect_map(effects(sites=sites))
    axes = figure.axes[0]
    dots = [line for line in axes.lines if line.get_label() == "clear"]
    assert [(list(dot.get_xdata()), list(dot.get_ydata())) for dot in dots] == [([0], [60])]
    assert not [text for text in axes.texts if text.get_text() == ".80"]


def test_what_was_not_tried_is_grey_and_said() -> None:
    frame = effects()
    figure = plot_effect_map(frame[(frame["site"] != "mid_block") | (frame["window"] == "0-1")])
    values = np.ma.asarray(figure.axes[0].images[0].get_array())
    assert np.ma.getmaskarray(values).tolist() == [[False] * 3, [False, True, True], [False] * 3]
    assert "Grey" in " ".join(text.get_text() for text in figure.texts)


def test_more_than_four_properties_go_into_further_lines() -> None:
    figure = plot_effect_map(effects(properties=("content", "style", "layout", "colour", "place")))
    panels = [axes.get_position() for axes in figure.axes if str(axes.get_label()).startswith("effects")]
    assert len({round(box.y0, 6) for box in panels}) == 2
    assert np.isclose(panels[4].x0, panels[0].x0)


def test_of_one_property_and_window_no_text_is_cut_off() -> None:
    frame = effects(properties=("content",))
    figure = plot_effect_map(frame[frame["window"] == "0-1"])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in figure.texts]
    assert "steps of the window, noisy to clean" in [text.get_text() for text in figure.texts]
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)


def test_what_cannot_be_drawn_is_refused() -> None:
    frame = effects()
    with pytest.raises(InputError, match="without the column q_value came"):
        plot_effect_map(frame.drop(columns="q_value"))
    with pytest.raises(InputError, match="Did you mean 'content'"):
        plot_effect_map(frame, properties=["contents"])
    with pytest.raises(InputError, match="Did you mean 'activation-patch'"):
        plot_effect_map(frame, intervention="activation-path")
    both = pd.concat([frame, frame.assign(intervention="ablation")])
    with pytest.raises(InputError, match=r"one effect per property, site and window.*activation-patch, ablation"):
        plot_effect_map(both)
    assert plot_effect_map(both, intervention="ablation").axes
