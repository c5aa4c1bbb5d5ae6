"""The data of a page of one file, as its script reads them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from outcrop.viz import labels, report_effects
from outcrop.viz.exhibit import Exhibit
from outcrop.viz.inputs import confidence_of
from outcrop.viz.page_cells import cell_data, example_data
from outcrop.viz.page_pairs import choose_pairs
from outcrop.viz.page_panels import panel_data
from outcrop.viz.page_samples import Sheets, make_sheets, picture_sheets, sample_data

MOST_SAMPLES = 2_000


def page_data(exhibit: Exhibit, sheets: list[str]) -> dict[str, Any]:
    """All that a page of one file shows of one data set; its pictures are added to ``sheets``."""
    ds, places = exhibit.ds, exhibit.places(MOST_SAMPLES)
    data = known_at_start(exhibit, places)
    right = exhibit.verdicts
    if right is not None:
        for grid, entry in zip(exhibit.grids, data["properties"], strict=True):
            entry["examples"] = example_data(exhibit.frame, right, grid, places)
    found = picture_sheets(ds, places)
    data["pictures"] = None if found is None else _added(sheets, found, len(places))
    data["panels"] = panel_data(ds, exhibit.grids[0], places, exhibit.atlas)
    if exhibit.effects is not None and exhibit.study is not None:
        shown = choose_pairs(exhibit.effects, exhibit.study, served=False)
        tiles = make_sheets([shown.tile(place) for place in range(len(shown))])
        data["effects"]["study"] = shown.data | {"pictures": _added(sheets, tiles, len(shown))}
    return data


def known_at_start(exhibit: Exhibit, places: NDArray[np.int64]) -> dict[str, Any]:
    """What a page says of one data set without a picture: its cells, the samples at ``places``, the effects."""
    interval = labels.interval_name(confidence_of(exhibit.table))
    cells = cell_data(exhibit.frame, exhibit.grids, exhibit.names, interval=interval)
    return cells | {
        "samples": sample_data(exhibit.ds, places),
        "effects": None if exhibit.effects is None else report_effects.effect_data(exhibit.effects),
    }


def _added(sheets: list[str], found: Sheets, count: int) -> dict[str, int]:
    first = len(sheets)
    sheets += found.uris
    return {"tile": found.tile, "across": found.across, "count": count, "first": first}
