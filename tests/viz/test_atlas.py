"""The figure of an atlas: what stands in the artists."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex

from outcrop.data.errors import InputError
from outcrop.viz import style
from outcrop.viz.atlas import plot_atlas
from outcrop.viz.embedding import Atlas, AtlasSpec
from outcrop.viz.grid import StepAxis

SITES = ("down_blocks.0", "mid_block", "up_blocks.0")


def make_atlas(n: int = 30, *, sites: tuple[str, ...] = SITES, steps: int = 2, **columns: Any) -> Atlas:
    rng = np.random.default_rng(0)
    labels = pd.DataFrame({"content": [("disc", "ring", "star")[k % 3] for k in range(n)], "size": np.arange(n) / 7})
    labels = labels.assign(**columns)
    labels.index = pd.Index([f"{k:016x}" for k in range(n)])
    axis = StepAxis(tuple(range(steps)), "noise", np.linspace(90, 10, steps))
    trust = np.linspace(0.6, 0.95, len(sites) * steps).reshape(len(sites), steps)
    points = rng.standard_normal((len(sites), steps, n, 2)).astype(np.float32)
    return Atlas("uuid", AtlasSpec(neighbours=9), sites, axis, labels, tuple(labels.columns), points, trust)


def panel(figure: Any, site: str, step: int) -> Axes:
    (found,) = [axes for axes in figure.axes if axes.get_label() == f"atlas {site} {step}"]
    return found


def marks(axes: Axes) -> PathCollection:
    (found,) = axes.collections
    assert isinstance(found, PathCollection)
    return found


def looks(axes: Axes) -> dict[tuple[float, float], tuple[str, bytes]]:
    """Colour and shape of the mark at each point."""
    drawn = marks(axes)
    points = np.asarray(drawn.get_offsets())
    shapes = [path.vertices.tobytes() for path in drawn.get_paths()]  # type: ignore[union-attr]
    colours = [to_hex(colour) for colour in np.asarray(drawn.get_facecolor())]
    return {(float(x), float(y)): look for (x, y), *look in zip(points, colours, shapes, strict=True)}  # type: ignore[misc]


def test_each_class_has_its_points_and_its_colour_in_every_panel() -> None:
    made = make_atlas()
    figure = plot_atlas(made, "content")
    colours = style.property_colours(["disc", "ring", "star"])
    for site in SITES:
        for step in (0, 1):
            drawn = looks(panel(figure, site, step))
            assert len(drawn) == 30
            for point, name in zip(made.at(site, step), made.labels["content"], strict=True):
                assert drawn[float(point[0]), float(point[1])][0].upper() == colours[name]
    (key,) = figure.legends
    assert [text.get_text() for text in key.get_texts()] == ["disc", "ring", "star"]


def test_panels_share_a_scale_that_holds_all_points_and_tell_their_trustworthiness() -> None:
    made = make_atlas()
    figure = plot_atlas(made, "content")
    panels = [panel(figure, site, step) for site in SITES for step in (0, 1)]
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in panels}) == 1
    assert panels[0].get_xlim()[1] > np.abs(made.coordinates).max()
    assert [axes.texts[0].get_text() for axes in panels] == ["T .60", "T .67", "T .74", "T .81", "T .88", "T .95"]
    assert [axes.get_ylabel() for axes in panels[::2]] == ["down 0", "mid", "up 0"]
    assert [axes.get_title() for axes in panels[:2]] == ["noise 90", "noise 10"]
    note = " ".join(text.get_text() for text in reversed(figure.texts[1:]))
    assert "UMAP of 30 samples" in note
    assert "for 9 neighbours" in note


def test_many_numbers_are_a_scale_and_a_missing_one_is_grey() -> None:
    made = make_atlas(size=np.where(np.arange(30) == 4, np.nan, np.arange(30.0)))
    figure = plot_atlas(made, "size")
    drawn = marks(panel(figure, "mid_block", 0))
    points, values = np.asarray(drawn.get_offsets()), drawn.get_array()
    order = [int(np.argmin(np.abs(made.at("mid_block", 0) - point).sum(1))) for point in points]
    assert list(np.ma.filled(values, -1.0)) == [-1.0 if k == 4 else k for k in order]
    (scale,) = [axes for axes in figure.axes if axes.get_label() == "scale"]
    assert scale.get_xlim() == (0, 29)
    assert not figure.legends


def test_fourteen_classes_look_different_and_of_more_the_rare_ones_are_grey_together() -> None:
    names = [f"c{k % 14:02d}" for k in range(28)]
    drawn = looks(panel(plot_atlas(make_atlas(28, content=names), "content"), "mid_block", 0))
    assert len(set(map(tuple, drawn.values()))) == 14
    names = [f"c{min(k, 15):02d}" for k in range(40)]
    figure = plot_atlas(make_atlas(40, content=names), "content")
    drawn = looks(panel(figure, "mid_block", 0))
    assert sum(colour == style.MUTED for colour, _ in drawn.values()) == 3
    (key,) = figure.legends
    assert [text.get_text() for text in key.get_texts()][::13] == ["3 rarer classes", "c15"]


def test_of_many_sites_and_steps_evenly_spaced_ones_are_drawn_and_named_ones_on_request() -> None:
    sites = tuple(f"blocks.{k}" for k in range(26))
    made = make_atlas(22, sites=sites, steps=12)
    figure = plot_atlas(made, "content")
    shown = [str(axes.get_label()).split()[1:] for axes in figure.axes]
    assert len(shown) == 13 * 6
    assert shown[0] == ["blocks.0", "0"]
    assert shown[6] == ["blocks.2", "0"]
    assert "evenly spaced" in " ".join(text.get_text() for text in figure.texts)
    named = plot_atlas(made, "content", sites=["blocks.7"], steps=[11, 1])
    assert [axes.get_label() for axes in named.axes] == ["atlas blocks.7 1", "atlas blocks.7 11"]


def test_a_site_that_tells_nothing_apart_says_so() -> None:
    made = make_atlas()
    made.trustworthiness[1, 0] = np.nan
    assert panel(plot_atlas(made, "content"), "mid_block", 0).texts[0].get_text() == "all alike"


def test_what_the_atlas_lacks_is_refused() -> None:
    made = make_atlas()
    with pytest.raises(InputError, match="Did you mean 'content'"):
        plot_atlas(made, "contnt")
    with pytest.raises(InputError, match="sites of the atlas; got 'mid'"):
        plot_atlas(made, "content", sites=["mid"])
    with pytest.raises(InputError, match=r"steps must be a list of at least one of 0, 1\. Got \[5\]"):
        plot_atlas(made, "content", steps=[5])
