"""The numbers behind the heatmaps, as the page's script reads them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.viz import labels, site_names
from outcrop.viz.grid import Array, PropertyGrid

DIGITS = 4
MOST_EXAMPLES = 6  # pictures that a probe named rightly, and as many wrongly, in one cell


def cell_data(
    frame: pd.DataFrame, grids: Sequence[PropertyGrid], names: dict[str, str], *, interval: str
) -> dict[str, Any]:
    """Sites, steps and, for each property, its cells row by row (site by site); ``None`` where nothing was probed."""
    axis = grids[0].axis
    return {
        "sites": list(grids[0].sites),
        "names": [names[site] for site in grids[0].sites],
        "groups": [site_names.site_group(site) for site in grids[0].sites],
        "steps": list(labels.step_ticks(axis)),
        "stepIndices": list(axis.steps),
        "stepWord": labels.STEP_WORDS[axis.kind],
        "stepName": labels.STEP_NAMES[axis.kind],
        "interval": interval,
        "properties": [_property_data(frame, grid) for grid in grids],
    }


def _property_data(frame: pd.DataFrame, grid: PropertyGrid) -> dict[str, Any]:
    parts = {"value": grid.values, "low": grid.low, "high": grid.high, "control": grid.control}
    columns = {"selectivity": "selectivity", "n": "n", "q": "q_value"}
    parts |= {name: _column(frame, grid, column) for name, column in columns.items() if column in frame.columns}
    return {
        "name": grid.name,
        "title": labels.property_title(grid.name),
        **{name: rounded(getattr(grid, name)) for name in ("chance", "majority", "bottom", "top", "floor")},
        "best": list(grid.best),
        "cells": {name: _listed(values) for name, values in parts.items()},
    }


def _column(frame: pd.DataFrame, grid: PropertyGrid, column: str) -> Array:
    """One more column of the table on the grid's sites and steps."""
    rows = frame[frame["property"] == grid.name].pivot(index="site", columns="step", values=column)
    on_grid = rows.reindex(index=list(grid.sites), columns=list(grid.axis.steps))
    return on_grid.to_numpy(dtype=np.float64, na_value=np.nan)


def _listed(values: Array) -> list[float | None] | float | None:
    """A list in the order of rows; one number where all are the same."""
    flat = [rounded(float(value)) for value in values.ravel()]
    return flat[0] if len(set(flat)) == 1 else flat


def rounded(value: float) -> float | None:
    """``value`` with few digits; None for what is no number."""
    return round(value, DIGITS) if np.isfinite(value) else None


def example_data(
    frame: pd.DataFrame, right: NDArray[np.int8], grid: PropertyGrid, places: NDArray[np.int64]
) -> list[list[list[int]]]:
    """Of each cell of ``grid`` some of the ``places`` (positions of samples) named rightly, and some named wrongly.

    ``right`` (row of the table, sample) is 1, 0, or -1 where nothing was asked; ``frame`` are the same rows, indexed by
    their position. What comes out counts in ``places``, evenly spread over them.
    """
    own = frame[frame["property"] == grid.name]
    where = {
        (str(site), int(step)): int(row) for row, site, step in zip(own.index, own["site"], own["step"], strict=True)
    }
    cells: list[list[list[int]]] = []
    for site in grid.sites:
        for step in grid.axis.steps:
            row = where.get((site, step))
            told = np.full(len(places), -1, dtype=np.int8) if row is None else right[row, places]
            cells.append(cell_examples(told))
    return cells


def cell_examples(told: NDArray[np.int8]) -> list[list[int]]:
    """Some of the places where ``told`` (sample) is 1, and some where it is 0, evenly spread."""
    return [_spread(np.flatnonzero(told == verdict)) for verdict in (1, 0)]


def _spread(places: NDArray[np.int64]) -> list[int]:
    if len(places) <= MOST_EXAMPLES:
        return [int(place) for place in places]
    return [int(places[int(k)]) for k in np.linspace(0, len(places) - 1, MOST_EXAMPLES)]
