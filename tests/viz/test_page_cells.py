from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from outcrop.viz.grid import property_grid
from outcrop.viz.page_cells import MOST_EXAMPLES, cell_data, example_data
from outcrop.viz.site_names import short_site_names

Make = Callable[..., Any]


def test_every_cell_holds_what_the_table_says(frame: pd.DataFrame) -> None:
    frame = frame.assign(q_value=0.25)
    grids = [property_grid(frame, name) for name in ("content", "style", "layout")]
    data = cell_data(frame, grids, short_site_names(grids[0].sites), interval="95 % interval")
    assert [entry["name"] for entry in data["properties"]] == ["content", "style", "layout"]
    style = data["properties"][1]["cells"]
    indexed = frame[frame["property"] == "style"].set_index(["site", "step"])
    for row, site in enumerate(data["sites"]):
        for column, step in enumerate(data["stepIndices"]):
            place = row * len(data["steps"]) + column
            for name, source in (("value", "accuracy"), ("low", "low"), ("selectivity", "selectivity")):
                assert abs(style[name][place] - indexed.loc[(site, step), source]) < 1e-4
    assert style["n"] == 480
    assert style["q"] == 0.25


def test_what_was_not_probed_is_null(make_frame: Make) -> None:
    frame = make_frame(("a.0", "a.1"), steps=2, properties=("style",)).iloc[1:]
    grid = property_grid(frame, "style")
    cells = cell_data(frame, [grid], {"a.0": "a.0", "a.1": "a.1"}, interval="interval")["properties"][0]["cells"]
    assert cells["value"][0] is None
    assert None not in cells["value"][1:]


def test_examples_are_samples_that_the_probe_got_right_or_wrong(make_frame: Make) -> None:
    frame = make_frame(("a.0", "a.1"), steps=2, properties=("content", "style"))
    right = np.random.default_rng(0).integers(-1, 2, (len(frame), 60)).astype(np.int8)
    places = np.arange(0, 60, 2)
    grid = property_grid(frame, "style")
    found = example_data(frame, right, grid, places)
    assert len(found) == 4
    for number, (site, step) in enumerate((site, step) for site in grid.sites for step in grid.axis.steps):
        (row,) = frame.index[(frame["property"] == "style") & (frame["site"] == site) & (frame["step"] == step)]
        for verdict, chosen in zip((1, 0), found[number], strict=True):
            assert (right[row, places[chosen]] == verdict).all()
            assert len(chosen) == min(MOST_EXAMPLES, int((right[row, places] == verdict).sum()))
