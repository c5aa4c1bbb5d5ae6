"""The map of effects: where (site) and when (window of steps) an intervention carries each property over."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from outcrop.data.errors import InputError
from outcrop.data.patterns import near_misses
from outcrop.viz import labels, style
from outcrop.viz.accepts import EFFECTS, accept_frame, choose_names
from outcrop.viz.colourbar import draw_unit_scale
from outcrop.viz.footer import write_title
from outcrop.viz.inputs import HasFrame
from outcrop.viz.rows import Rows, draw_rows, measure_rows, part_boundaries

COLUMNS = ("window", "intervention", "half", "dose", "depth", "q_value")
CELL, GAP, RIGHT = 0.42, 0.28, 0.15  # inches
LEAST_WIDTH = 3.6
TOP, HEAD, FOOT = 0.98, 0.3, 0.62  # above everything, above and below a line of panels
ACROSS = 4  # panels side by side
WRITTEN = 30  # up to so many sites, the numbers stand in the cells
LIGHT = 0.6  # from this effect on, the colour is light and the ink dark


@dataclass(frozen=True)
class _Grid:
    """One property: ``values`` and ``clear`` (site, window)."""

    name: str
    values: NDArray[np.float64]
    clear: NDArray[np.bool_]


def plot_effect_map(
    effects: HasFrame | pd.DataFrame, *, properties: Sequence[str] | None = None, intervention: str | None = None
) -> Figure:
    """Draw an effect table or its ``frame``: a panel a property, rows are sites, columns windows of steps, noisy first.

    Colours run from 0 to 1. A number is bold where the effect is above 0 beyond what chance makes of so many cells
    (q at most .05); of more than 30 sites such cells have a dot instead of a number. ``intervention`` chooses one kind
    where the table has several. Controls are left out. Raises ``InputError`` for missing columns, for properties and
    kinds that are not there, and where several effects stand for one cell.
    """
    rows = _chosen(accept_frame("plot_effect_map", effects, EFFECTS, also=COLUMNS), intervention)
    known = list(dict.fromkeys(map(str, rows["property"])))
    names = choose_names(properties, known, what="properties", of="these effects")
    first = rows.drop_duplicates("site").sort_values("depth", kind="stable", na_position="last")
    sites = [str(site) for site in first["site"]]
    windows = _in_order([str(window) for window in rows["window"].unique()])
    grids = [_grid(rows[rows["property"] == name], name, sites, windows) for name in names]
    height = float(np.clip(6.0 / len(sites), 0.105, 0.24))
    with style.figure_style():
        return _figure(grids, measure_rows(sites, height=height), windows, height=height)


def _chosen(frame: pd.DataFrame, intervention: str | None) -> pd.DataFrame:
    rows = frame[frame["control"] == "none"]
    kinds = [str(kind) for kind in rows["intervention"].unique()]
    if intervention is not None:
        if intervention not in kinds:
            raise InputError(f"The effects have no intervention {intervention!r}.{near_misses(intervention, kinds)}")
        rows = rows[rows["intervention"] == intervention]
    twice = rows.duplicated(["property", "site", "window"])
    if twice.any():
        one = rows[twice].iloc[0]
        raise InputError(
            f"expected one effect per property, site and window; got several for {one['property']}, {one['site']}, "
            f"{one['window']}. Give intervention ({', '.join(kinds)}), or select one half and dose."
        )
    return rows


def _in_order(windows: Sequence[str]) -> list[str]:
    """From the first steps to the last; windows that hold others come after all that hold none."""
    spans = {window: tuple(int(step) for step in window.split("-")) for window in windows}

    def holds(window: str) -> bool:
        first, last = spans[window]
        return any(first <= a and b <= last for other, (a, b) in spans.items() if other != window)

    return sorted(windows, key=lambda window: (holds(window), *spans[window]))


def _grid(rows: pd.DataFrame, name: str, sites: list[str], windows: list[str]) -> _Grid:
    def cells(column: str) -> NDArray[np.float64]:
        table = rows.pivot(index="site", columns="window", values=column)
        return table.reindex(index=sites, columns=windows).to_numpy(dtype=np.float64, na_value=np.nan)

    return _Grid(name, cells("effect"), (cells("q_value") <= labels.SIGNIFICANT) & (cells("effect") > 0))


def _figure(grids: Sequence[_Grid], rows: Rows, windows: list[str], *, height: float) -> Figure:
    across = min(len(grids), ACROSS)
    panel = max(CELL * len(windows), 1.15), height * len(rows.sites)
    caption = style.text_width(labels.WINDOWS, size=style.TEXT_SIZE)
    width = max(rows.left + across * panel[0] + (across - 1) * GAP, rows.left + caption, LEAST_WIDTH) + RIGHT
    written = len(rows.sites) <= WRITTEN
    absent = any(not np.isfinite(grid.values).all() for grid in grids)
    note = style.wrap(labels.effect_footnote(written=written, absent=absent), size=style.SMALL_SIZE, width=width - 0.24)
    line = HEAD + panel[1] + FOOT
    whole = TOP + -(-len(grids) // across) * line + 0.13 * len(note)
    figure = Figure(figsize=(width, whole))
    for number, grid in enumerate(grids):
        down, right = divmod(number, across)
        left, bottom = rows.left + right * (panel[0] + GAP), whole - TOP - down * line - HEAD - panel[1]
        box = (left / width, bottom / whole, panel[0] / width, panel[1] / whole)
        axes = figure.add_axes(box, label=f"effects {grid.name}")
        _panel(axes, grid, rows, windows, written=written)
        axes.set_title(labels.property_title(grid.name), loc="left", fontweight="bold", pad=5)
        if right == 0:
            draw_rows(axes, rows, width=panel[0], height=panel[1])
            figure.text(left / width, (bottom - 0.4) / whole, labels.WINDOWS, ha="left")
    write_title(figure, labels.EFFECT_MAP_TITLE)
    scale = draw_unit_scale(
        figure, (rows.left / width, 1 - 0.72 / whole, min(2.2, width - rows.left - RIGHT) / width, 0.08 / whole)
    )
    scale.set_title(labels.CAUSAL, loc="left", fontsize=style.SMALL_SIZE, pad=3)
    for at, text in enumerate(reversed(note)):
        figure.text(0.12 / width, (0.12 + 0.13 * at) / whole, text, fontsize=style.SMALL_SIZE, color=style.MUTED)
    return figure


def _panel(axes: Axes, grid: _Grid, rows: Rows, windows: list[str], *, written: bool) -> None:
    colours = mpl.colormaps[style.COLOUR_MAP].with_extremes(bad=style.ABSENT)
    axes.imshow(
        np.ma.masked_invalid(grid.values), cmap=colours, norm=Normalize(0, 1), aspect="auto", interpolation="nearest"
    )
    for (row, column), value in np.ndenumerate(grid.values):
        ink = "white" if value < LIGHT else style.INK
        clear = bool(grid.clear[row, column])
        if written and np.isfinite(value):
            axes.text(
                column, row, labels.number(float(value)), ha="center", va="center_baseline", color=ink,
                fontsize=style.TINY_SIZE, fontweight="bold" if clear else "normal", alpha=1.0 if clear else 0.75,
            )  # fmt: skip
        elif clear:
            axes.plot([column], [row], marker="o", markersize=2, markeredgewidth=0, color=ink, label="clear")
    for boundary in part_boundaries(rows.sites):
        axes.axhline(boundary, color="white", linewidth=1.8)
    axes.set_xticks(range(len(windows)), [labels.window(name) for name in windows])
    axes.set_yticks([])
    axes.tick_params(axis="x", length=2)
    axes.spines[:].set_visible(False)
    axes.set(xlim=(-0.5, len(windows) - 0.5), ylim=(len(rows.sites) - 0.5, -0.5))
