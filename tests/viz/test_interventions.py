import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from outcrop.attribution.effect_table import EffectTable
from outcrop.attribution.outcomes import CellInfo, Outcomes, StudyRecord
from outcrop.attribution.scores import PropertyScores
from outcrop.data.errors import InputError
from outcrop.viz import style
from outcrop.viz.interventions import plot_interventions

PAIRS = 4
CELLS = tuple(
    CellInfo(intervention="activation-patch", site=site, window=window, control=control)
    for site, window, control in (
        ("down_blocks.0", "0-3", "none"), ("mid_block", "0-3", "none"), ("mid_block", "4-7", "none"),
        ("mid_block", "0-3", "random site"),
    )
)  # fmt: skip


def make_study(cells: tuple[CellInfo, ...] = CELLS, *, count: int = PAIRS) -> Outcomes:
    pairs = pd.DataFrame({"b_seed": range(count)}, index=pd.RangeIndex(count, name="pair"))
    pictures = np.random.default_rng(0).integers(0, 256, ((len(cells) + 2) * count, 6, 6, 3), np.uint8)
    end = len(cells) * count
    record = StudyRecord(model="outcrop:unet", steps=8, cells=cells)
    return Outcomes(record, pairs, pictures[:end], pictures[end : end + count], pictures[end + count :])


def make_effects(cells: int = len(CELLS), names: tuple[str, ...] = ("content", "style")) -> EffectTable:
    shape = (cells, PAIRS)
    toward = np.linspace(-0.4, 2.6, cells * PAIRS).reshape(shape)
    span = np.array([2.0, np.nan, 2.0, 2.0])
    one = PropertyScores(toward, span, toward, span, np.zeros(shape, np.int8))
    return EffectTable(pd.DataFrame(), dict.fromkeys(names, one), {})


def picture(figure: Figure, name: str) -> Axes:
    (found,) = [axes for axes in figure.axes if axes.get_label() == name]
    return found


def test_every_picture_stands_in_its_place() -> None:
    study = make_study()
    figure = plot_interventions(study, pairs=(2, 0))
    assert len(figure.axes) == 2 * (2 + 3)  # A, B and the cells without control
    for pair in (2, 0):
        assert np.array_equal(picture(figure, f"A {pair}").images[0].get_array(), study.donors[pair])
        assert np.array_equal(picture(figure, f"B {pair}").images[0].get_array(), study.receivers[pair])
        for cell in range(3):
            drawn = picture(figure, f"C {cell} {pair}")
            assert np.array_equal(drawn.images[0].get_array(), study.cell_images(cell)[pair])
    assert picture(figure, "A 2").get_position().y0 > picture(figure, "A 0").get_position().y0
    assert picture(figure, "C 1 0").get_title().replace("\n", " ") == "mid · steps 0–3"


def test_bars_are_shares_of_the_way_from_b_to_a() -> None:
    figure = plot_interventions(make_study(), make_effects(), pairs=(0, 1))
    colours = style.property_colours(["content", "style"])
    for cell in range(3):
        bars = {str(bar.get_label()): bar for bar in picture(figure, f"C {cell} 0").patches}
        share = np.clip(np.linspace(-0.4, 2.6, 16).reshape(4, 4)[cell, 0] / 2, 0, 1)
        assert np.isclose(bars["bar style"].get_width(), share)
        assert bars["track style"].get_width() == 1
        assert bars["bar content"].get_y() > bars["bar style"].get_y()
        assert not picture(figure, f"C {cell} 1").patches  # A and B of pair 1 do not differ
    (key,) = figure.legends
    assert [text.get_text() for text in key.get_texts()] == ["Content", "Style"]
    assert len(colours) == 2


def test_a_control_is_drawn_on_request_and_called_so() -> None:
    figure = plot_interventions(make_study(), pairs=[1], cells=[3])
    assert "random site" in picture(figure, "C 3 1").get_title().replace("\n", " ")


def test_of_many_cells_evenly_spaced_ones_are_drawn_in_lines_that_do_not_overlap() -> None:
    cells = tuple(CellInfo(intervention="ablation", site=f"transformer_blocks.{k}", window="0-7") for k in range(26))
    names = tuple(f"p{k}" for k in range(9))
    figure = plot_interventions(make_study(cells), make_effects(26, names), pairs=(0, 2))
    assert len([axes for axes in figure.axes if str(axes.get_label()).startswith("C")]) == 2 * 13
    assert len({str(bar.get_label()) for bar in picture(figure, "C 0 0").patches}) == 2 * 7
    boxes = [axes.get_position() for axes in figure.axes]
    assert not any(a.overlaps(b) for number, a in enumerate(boxes) for b in boxes[:number])
    assert all(box.x0 >= 0 and box.x1 <= 1 and box.y0 >= 0 and box.y1 <= 1 for box in boxes)
    assert "evenly spaced" in " ".join(text.get_text() for text in figure.texts)


def test_the_key_of_many_properties_is_read_line_by_line_and_stays_inside_of_a_narrow_figure() -> None:
    names = tuple(f"property {k}" for k in range(7))
    figure = plot_interventions(make_study(), make_effects(names=names), pairs=[0], cells=[0])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (key,) = figure.legends
    boxes = {text.get_text(): text.get_window_extent(canvas.get_renderer()) for text in key.get_texts()}
    assert max(box.x1 for box in boxes.values()) <= figure.bbox.x1
    assert sorted(boxes, key=lambda name: (-round(boxes[name].y0), boxes[name].x0)) == [
        f"Property {k}" for k in range(7)
    ]
    assert min(box.y0 for box in boxes.values()) > max(axes.title.get_window_extent().y1 for axes in figure.axes)


def test_of_a_study_of_two_pairs_both_are_drawn() -> None:
    figure = plot_interventions(make_study(count=2))
    assert {axes.get_label() for axes in figure.axes if str(axes.get_label()).startswith("A")} == {"A 0", "A 1"}


def test_what_is_not_there_is_refused() -> None:
    study = make_study()
    with pytest.raises(InputError, match=r"pairs must be a list of at least one of 0 to 3\. Got \[4\]"):
        plot_interventions(study, pairs=[4])
    with pytest.raises(InputError, match=r"cells must be a list of at least one of 0 to 3\. Got \[\]"):
        plot_interventions(study, cells=[])
    with pytest.raises(InputError, match=r"those of the study: \(cells, pairs\) \(4, 4\). Got \(7, 4\)"):
        plot_interventions(study, make_effects(7))
    with pytest.raises(InputError, match="Did you mean 'content'"):
        plot_interventions(study, make_effects(), properties=["contend"])
