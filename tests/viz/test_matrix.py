from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from outcrop.data.errors import InputError
from outcrop.viz import labels
from outcrop.viz.alignment import plot_alignment

SITES = ["down_blocks.0", "down_blocks.1", "mid_block", "up_blocks.0"]


def test_values_stand_in_the_order_of_the_sites_on_a_scale_from_nothing_to_one() -> None:
    values = np.eye(4)
    values[np.triu_indices(4, 1)] = values.T[np.triu_indices(4, 1)] = [0.8, 0.4, -0.1, 0.7, 0.2, 0.6]
    values[2, 2] = 0  # a site that tells nothing apart
    figure = plot_alignment(values, SITES)
    axes = figure.axes[0]
    (image,) = axes.images
    assert (np.asarray(image.get_array()) == values).all()
    assert image.get_clim() == (0, 1)
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["down 0", "down 1", "mid", "up 0"]
    assert {text.get_text() for text in axes.texts if text.get_fontweight() == "bold"} == {"1.00", ".00"}
    assert sorted(float(line.get_ydata()[0]) for line in axes.lines[:2]) == [1.5, 2.5]  # parts of the network
    title, caption, *note = [text.get_text() for text in figure.texts]
    assert (title, caption) == ("Alignment of sites (CKA)", "alignment of two sites (1: the most)")
    assert "about 0: they have nothing in common" in " ".join(reversed(note))
    scale = next(one for one in figure.axes if one.get_label() == "scale")
    assert [tick.get_text() for tick in scale.get_xticklabels()] == [".00", ".50", "1.00"]


@pytest.mark.parametrize("measure", labels.MEASURES)
def test_every_measure_says_how_it_is_read(measure: str) -> None:
    figure = plot_alignment(np.eye(2), SITES[:2], measure=measure)
    assert labels.MEASURE_NOTES[measure].split(";")[0] in " ".join(text.get_text() for text in figure.texts[:1:-1])


@pytest.mark.parametrize("count", [1, 20])
def test_nothing_is_cut_off(count: int) -> None:
    figure = plot_alignment(np.eye(count), [f"transformer_blocks.{k}" for k in range(count)])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    box = figure.get_tightbbox(canvas.get_renderer())
    width, height = figure.get_size_inches()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width
    assert box.y1 <= height


def test_two_models_have_names_of_their_own_and_no_diagonal() -> None:
    axes = plot_alignment(
        np.full((4, 2), 0.5), SITES, ["transformer_blocks.0", "transformer_blocks.1"], measure="rsa"
    ).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["block 0", "block 1"]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("site of the first", "site of the second")
    assert {text.get_fontweight() for text in axes.texts} == {"normal"}


@pytest.mark.parametrize("count", [17, 60, 140])
def test_many_sites_have_no_numbers_and_names_that_do_not_touch(count: int) -> None:
    figure = plot_alignment(np.eye(count), [f"transformer_blocks.{k}" for k in range(count)])
    axes = figure.axes[0]
    assert not axes.texts
    figure.canvas.draw()
    boxes = [tick.get_window_extent() for tick in axes.get_yticklabels()]
    assert all(not a.overlaps(b) for a, b in pairwise(boxes))
    assert max(figure.get_size_inches()) < 9


def test_what_are_no_alignments_is_refused() -> None:
    for wrong in (pd.DataFrame(np.eye(4), SITES, SITES), "values", None, [["a"] * 4] * 4):
        with pytest.raises(InputError, match=r"plot_alignment takes an array of alignments .*alignment_matrix"):
            plot_alignment(wrong, SITES)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at most 1; got 3"):
        plot_alignment(3 * np.eye(4), SITES)
    lopsided = np.tril(np.ones((4, 4)))
    with pytest.raises(InputError, match=r"same both ways.*Of two models, name the sites of both"):
        plot_alignment(lopsided, SITES)
    assert plot_alignment(lopsided, SITES, SITES).axes


def test_names_that_do_not_fit_are_refused() -> None:
    for wrong in (None, "abcd", [1, 2, 3, 4], ["mid_block"] * 4):
        with pytest.raises(InputError, match="names of the sites, each once"):
            plot_alignment(np.eye(4), wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"4 sites with 4; got an array of shape \(3, 4\)"):
        plot_alignment(np.ones((3, 4)), SITES)
    with pytest.raises(InputError, match="must be one of cka"):
        plot_alignment(np.eye(4), SITES, measure="ckna")
