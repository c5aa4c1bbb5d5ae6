from dataclasses import dataclass
from itertools import combinations

import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from outcrop.data.errors import InputError
from outcrop.viz.agreement import LOOKS, plot_agreement


@dataclass(frozen=True)
class Planted:
    frame: pd.DataFrame
    correlations: pd.DataFrame
    least: float = 0.1


def planted(count: int = 7) -> Planted:
    values = [(0.9, 0.8), (0.8, 0.02), (0.03, 0.7), (0.02, 0.01), (0.4, 0.12), (0.95, 1.2), (0.6, 0.4)][:count]
    readings = [*LOOKS, "decodable and used", "decodable and used"][:count]
    rows = [
        {
            "property": name, "site": f"up_blocks.{at}", "decodable": x, "decodable_low": x - 0.06,
            "decodable_high": x + 0.06, "effect": y, "low": y - 0.05, "high": y + 0.05, "reading": reading,
        }
        for name in ("content", "style")
        for at, ((x, y), reading) in enumerate(zip(values, readings, strict=True))
    ]  # fmt: skip
    found = [("content", count, 0.624, 0.3, 0.81), ("style", count, float("nan"), float("nan"), float("nan"))]
    columns = ["property", "sites", "correlation", "low", "high"]
    return Planted(pd.DataFrame(rows), pd.DataFrame(found, columns=columns))


def panel(name: str) -> Axes:
    return next(axes for axes in plot_agreement(planted()).axes if axes.get_label() == f"agreement {name}")


@pytest.mark.parametrize("reading", LOOKS)
def test_each_reading_has_its_sites_colour_and_marker(reading: str) -> None:
    (line,) = [line for line in panel("content").lines if line.get_label() == reading]
    frame = planted().frame
    rows = frame[(frame["property"] == "content") & (frame["reading"] == reading)]
    assert list(line.get_xdata()) == list(rows["decodable"])
    assert list(line.get_ydata()) == list(rows["effect"])
    assert (line.get_color(), line.get_marker()) == LOOKS[reading]


def test_both_intervals_of_every_site_are_drawn() -> None:
    segments = [s.tolist() for group in panel("style").collections for s in group.get_segments()]
    for row in planted().frame.query("property == 'style'").itertuples():
        assert [[row.decodable_low, row.effect], [row.decodable_high, row.effect]] in segments
        assert [[row.decodable, row.low], [row.decodable, row.high]] in segments


def test_axes_share_one_scale_that_holds_every_interval() -> None:
    axes = panel("content")
    assert axes.get_xlim() == axes.get_ylim()
    low, high = axes.get_xlim()
    assert -0.2 < low < -0.04
    assert 1.25 < high < 1.4
    assert (axes.get_xlabel(), axes.get_ylabel()) == (
        "decodable (0: chance, 1: always right)",
        "effect (0: as B, 1: as A)",
    )


def test_the_threshold_is_marked_on_both_axes() -> None:
    lines = [line for line in panel("content").lines if line.get_label() not in LOOKS]
    assert [line.get_xdata()[0] for line in lines][:1] == [0.1]
    assert [line.get_ydata()[0] for line in lines][1:] == [0.1]


def test_correlation_with_interval_stands_above_and_the_clearest_site_of_each_reading_is_named() -> None:
    texts = [text.get_text() for text in panel("content").texts]
    assert "rank correlation .62 (.30 to .81), 7 sites" in texts
    assert set(texts) - {"rank correlation .62 (.30 to .81), 7 sites"} == {"up 5", "up 1", "up 2"}
    assert "rank correlation –, 7 sites" in [text.get_text() for text in panel("style").texts]


def test_names_cover_no_mark_and_no_other_name_also_where_sites_crowd() -> None:
    crowd = planted()
    frame = crowd.frame.assign(decodable=1 - crowd.frame["decodable"] / 50, effect=1 - crowd.frame["effect"] / 50)
    figure = plot_agreement(Planted(frame, crowd.correlations))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    axes = figure.axes[0]
    names = [text for text in axes.texts if text.get_text().startswith("up")]
    boxes = [Text.get_window_extent(name, canvas.get_renderer()) for name in names]  # without the line to the mark
    assert len(boxes) == 3
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    own = frame[frame["property"] == "content"]
    marks = axes.transData.transform(own[["decodable", "effect"]].to_numpy())
    assert not any(box.contains(*mark) for box in boxes for mark in marks)
    assert all(axes.bbox.x0 < box.x0 and box.x1 < axes.bbox.x1 and box.y1 < axes.bbox.y1 for box in boxes)


def test_an_interval_without_end_flattens_nothing_and_is_marked() -> None:
    found = planted()
    found.frame.loc[1, "low"] = -30.0
    axes = plot_agreement(found).axes[0]
    assert axes.get_ylim()[0] > -1
    (arrow,) = [line for line in axes.lines if line.get_label() == "cut"]
    assert (arrow.get_marker(), arrow.get_xdata()[0]) == ("v", found.frame["decodable"][1])


def test_the_key_names_only_what_occurs() -> None:
    (legend,) = plot_agreement(planted(2)).legends
    assert [text.get_text() for text in legend.get_texts()] == ["decodable and used", "decodable but unused"]


def test_an_empty_agreement_is_refused() -> None:
    empty = planted()
    with pytest.raises(InputError, match="takes an Agreement with at least one row"):
        plot_agreement(Planted(empty.frame.iloc[:0], empty.correlations))
