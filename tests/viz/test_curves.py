from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from outcrop.data.errors import InputError
from outcrop.viz.curves import plot_dose_response, plot_learning_curve

CURVE = pd.DataFrame(
    {
        "samples": [20, 80, 40, 160], "accuracy": [0.3, 0.6, 0.45, 0.8], "low": [0.2, 0.5, 0.35, 0.75],
        "high": [0.4, 0.7, 0.55, 0.85], "chance": 0.25, "majority": 0.28,
    }
)  # fmt: skip


def doses(*, site: str = "mid_block") -> pd.DataFrame:
    rows = [
        {
            "property": name, "site": site, "dose": dose, "control": control, "effect": slope * dose * share,
            "low": slope * dose * share - 0.05, "high": slope * dose * share + 0.05,
        }
        for name, slope in (("content", 0.2), ("style", 0.05))
        for control, share in (("none", 1.0), ("random direction", 0.1))
        for dose in (4.0, 1.0, 2.0)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_learning_curve_runs_over_samples_with_its_interval_and_levels() -> None:
    figure = plot_learning_curve(CURVE)
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    assert list(lines["accuracy"].get_xdata()) == [20, 40, 80, 160]
    assert list(lines["accuracy"].get_ydata()) == [0.3, 0.45, 0.6, 0.8]
    assert lines["chance"].get_ydata()[0] == 0.25
    assert lines["majority"].get_ydata()[0] == 0.28
    corners = axes.collections[0].get_paths()[0].vertices
    assert {(80, 0.5), (80, 0.7), (160, 0.75), (160, 0.85)} <= set(map(tuple, corners))
    assert axes.get_ylim() == (0, 1.02)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["20", "40", "80", "160"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("training samples", "accuracy of the probe")
    texts = [text.get_text() for text in figure.texts]
    assert texts[0] == "How many samples it takes"
    assert "Where the band lies above both lines" in " ".join(reversed(texts))


def test_numbers_of_samples_do_not_touch_also_where_two_are_close() -> None:
    figure = plot_learning_curve(CURVE.assign(samples=[86, 92, 20, 170]))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    ticks = figure.axes[0].get_xticklabels()
    assert [tick.get_text() for tick in ticks] == ["20", "92", "170"]
    boxes = [tick.get_window_extent(canvas.get_renderer()) for tick in ticks]
    assert not any(one.overlaps(other) for one, other in pairwise(boxes))


def test_doses_are_in_order_and_controls_are_dashed_in_the_property_s_colour() -> None:
    figure = plot_dose_response(doses(), site="mid_block")
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    own, control = lines["Content"], lines["Content (random direction)"]
    assert list(own.get_xdata()) == [1, 2, 4]
    assert np.allclose(own.get_ydata(), [0.2, 0.4, 0.8])
    assert np.allclose(control.get_ydata(), [0.02, 0.04, 0.08])
    assert own.get_color() == control.get_color() != lines["Style"].get_color()
    assert (own.get_linestyle(), control.get_linestyle()) == ("-", "--")
    texts = [text.get_text() for text in figure.texts]
    assert texts[0] == "Effect by dose at mid"
    assert "Dashed: controls." in " ".join(reversed(texts))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("dose", "effect (0: as B, 1: as A)")


def test_one_wide_interval_is_cut_and_marked_and_the_key_covers_no_line() -> None:
    frame = doses()
    frame.loc[0, "low"] = -10.0
    figure = plot_dose_response(frame, site="mid_block")
    (axes,) = figure.axes
    low, high = axes.get_ylim()
    assert -1 < low < frame["effect"].min()
    assert high > frame["high"].max()
    (arrow,) = [line for line in axes.lines if line.get_label() == "cut"]
    assert (arrow.get_marker(), *arrow.get_xydata()[0]) == ("v", 4.0, low)
    key = axes.get_legend()
    assert "cut" not in [text.get_text() for text in key.get_texts()]
    assert key.get_window_extent(FigureCanvasAgg(figure).get_renderer()).x0 >= axes.bbox.x1


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(InputError, match="without the column majority came"):
        plot_learning_curve(CURVE.drop(columns="majority"))
    with pytest.raises(InputError, match="at least one row"):
        plot_learning_curve(CURVE.iloc[:0])
    with pytest.raises(InputError, match=r"two doses or more of site 'up'; got 0.*mid_block"):
        plot_dose_response(doses(), site="up")
    with pytest.raises(InputError, match="one effect per property, control and dose"):
        plot_dose_response(pd.concat([doses(), doses()]), site="mid_block")
