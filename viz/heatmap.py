"""The heatmap of a probe table: where (site) and when (step) each property can be decoded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from outcrop.viz import labels, style
from outcrop.viz.colourbar import draw_colour_bar
from outcrop.viz.grid import PropertyGrid, StepAxis, Value, property_grid
from outcrop.viz.inputs import HasFrame, choose_properties, confidence_of, read_frame
from outcrop.viz.rows import Rows, draw_rows, measure_rows, part_boundaries

HEADER = 1.15  # inches above a panel: title, best cell, colour bar
GAP = 0.28  # inches between panels
TALL = 45  # from this many sites on, the steps are labelled above the panel as well


@dataclass(frozen=True)
class _Layout:
    """Sizes in inches of the figure, a panel and the margins; the names of the rows; lines of the footnote."""

    width: float
    height: float
    panel_width: float
    panel_height: float
    bottom: float
    rows: Rows
    notes: tuple[str, ...]

    def box(self, left: float, bottom: float, width: float, height: float) -> tuple[float, float, float, float]:
        """A rectangle in inches as fractions of the figure."""
        return left / self.width, bottom / self.height, width / self.width, height / self.height

    def panel_left(self, index: int) -> float:
        return self.rows.left + index * (self.panel_width + GAP)


def plot_heatmap(
    table: HasFrame | pd.DataFrame, *, properties: Sequence[str] | None = None, value: Value = "accuracy"
) -> Figure:
    """Draw ``value`` as one panel per property: rows are sites (input first), columns steps (noisy to clean).

    The colours of a panel run from chance to 1 (selectivity: from 0 to 1 - chance); chance and the majority level
    are marked on its colour bar. Dots mark cells whose interval reaches down to chance or the majority level, an
    outline the best cell, grey the cells that were not probed. Raises ``InputError`` for an unknown property or
    value, and for a table without the needed columns.
    """
    frame = read_frame(table, "plot_heatmap")
    grids = [property_grid(frame, name, value=value) for name in choose_properties(frame, properties)]
    return draw_grids(grids, confidence=confidence_of(table))


def draw_grids(grids: Sequence[PropertyGrid], *, confidence: float | None) -> Figure:
    """``grids`` of the same sites and columns side by side, as :func:`plot_heatmap` says."""
    with style.figure_style():
        layout = _layout(grids, confidence=confidence)
        figure = Figure(figsize=(layout.width, layout.height))
        for index, grid in enumerate(grids):
            axes = _panel(figure, grid, layout, index=index)
            _header(figure, grid, layout, index=index)
            if index == 0:
                draw_rows(axes, layout.rows, width=layout.panel_width, height=layout.panel_height)
        _footer(figure, grids[0].axis, layout)
    return figure


def _layout(grids: Sequence[PropertyGrid], *, confidence: float | None) -> _Layout:
    sites, steps = len(grids[0].sites), len(grids[0].axis.steps)
    row = float(np.clip(6.0 / sites, 0.105, 0.24))
    panel_height = max(0.3, min(sites * row, 18.0))
    panel_width = float(np.clip(steps * 0.14, 2.35 if len(grids) > 1 else 3.3, 4.5))
    rows = measure_rows(grids[0].sites, height=row)
    width = rows.left + len(grids) * panel_width + (len(grids) - 1) * GAP + 0.15
    missing = any(not np.isfinite(grid.values).all() for grid in grids)
    note = labels.heatmap_footnote(grids[0].value, confidence=confidence, missing=missing)
    notes = tuple(style.wrap(note, size=style.SMALL_SIZE, width=width - 0.24))
    bottom = 0.7 + 0.13 * len(notes)
    height = bottom + panel_height + HEADER + (0.16 if sites > TALL else 0)
    return _Layout(width, height, panel_width, panel_height, bottom, rows, notes)


def _panel(figure: Figure, grid: PropertyGrid, layout: _Layout, *, index: int) -> Axes:
    box = layout.box(layout.panel_left(index), layout.bottom, layout.panel_width, layout.panel_height)
    axes = figure.add_axes(box, label=f"heatmap {grid.name}")
    colours = mpl.colormaps[style.COLOUR_MAP].with_extremes(bad=style.ABSENT)
    axes.imshow(
        np.ma.masked_invalid(grid.values), cmap=colours, norm=Normalize(grid.bottom, grid.top), aspect="auto",
        interpolation="nearest",
    )  # fmt: skip
    _mark_unclear(axes, grid, layout)
    _mark_best(axes, grid)
    for boundary in part_boundaries(grid.sites):
        axes.axhline(boundary, color="white", linewidth=1.8)
    _step_ticks(axes, grid.axis, layout, above=len(grid.sites) > TALL)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    return axes


def _mark_unclear(axes: Axes, grid: PropertyGrid, layout: _Layout) -> None:
    """A small dot in every cell that is not shown to be above the floor, light on dark cells and dark on light ones."""
    unclear = grid.unclear
    if len(grid.axis.steps) <= 4:
        unclear[grid.best] = False  # the value stands there
    rows, columns = np.nonzero(unclear)
    cell = min(layout.panel_width / len(grid.axis.steps), layout.panel_height / len(grid.sites))
    size = float(np.clip(cell * 72 * 0.22, 1.0, 2.6))
    dark = grid.values[rows, columns] < (grid.bottom + 0.6 * (grid.top - grid.bottom))
    for chosen, colour in ((dark, "white"), (~dark, style.INK)):
        axes.plot(
            columns[chosen], rows[chosen], linestyle="none", marker="o", markersize=size, markeredgewidth=0,
            color=colour, alpha=0.8, label=f"unclear {colour}",
        )  # fmt: skip
    axes.set(xlim=(-0.5, len(grid.axis.steps) - 0.5), ylim=(len(grid.sites) - 0.5, -0.5))


def _mark_best(axes: Axes, grid: PropertyGrid) -> None:
    """An outline around the best cell, and its value: in the cell if that is wide, else where there is more room."""
    row, column = grid.best
    steps = len(grid.axis.steps)
    halo = [withStroke(linewidth=2.8, foreground="white")]
    axes.add_patch(
        Rectangle(
            (column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=style.INK, linewidth=1.2, clip_on=False,
            zorder=4, path_effects=halo,
        )
    )  # fmt: skip
    side = 0 if steps <= 4 else -1 if column > (steps - 1) / 2 else 1
    axes.annotate(
        labels.number(float(grid.values[row, column])), (column + 0.5 * side, row), xytext=(4 * side, 0),
        textcoords="offset points", ha=("right", "center", "left")[side + 1], va="center_baseline",
        fontsize=style.TEXT_SIZE, fontweight="bold", color=style.INK, zorder=5, path_effects=halo,
    )  # fmt: skip


def _step_ticks(axes: Axes, axis: StepAxis, layout: _Layout, *, above: bool) -> None:
    texts = labels.step_ticks(axis)
    widest = max(style.text_width(text, size=style.SMALL_SIZE) for text in texts)
    shown = style.thin(len(texts), room=int(layout.panel_width / (widest + 0.09)))
    axes.set_xticks(shown, [texts[i] for i in shown])
    axes.tick_params(axis="x", top=above, labeltop=above, length=2)


def _header(figure: Figure, grid: PropertyGrid, layout: _Layout, *, index: int) -> None:
    """Title, best cell and colour bar above a panel."""
    left = layout.panel_left(index)

    def write(inches_down: float, text: str, **options: Any) -> None:
        figure.text(left / layout.width, 1 - inches_down / layout.height, text, va="baseline", **options)

    title = style.fit_text(labels.property_title(grid.name), size=style.TITLE_SIZE, width=0.9 * layout.panel_width)
    write(0.24, title, fontsize=style.TITLE_SIZE, fontweight="bold")
    for inches_down, line in zip((0.40, 0.53), labels.best_lines(grid, layout.rows.names), strict=True):
        text = style.fit_text(line, size=style.SMALL_SIZE, width=layout.panel_width)
        write(inches_down, text, fontsize=style.SMALL_SIZE, color=style.MUTED)
    draw_colour_bar(figure, grid, box=layout.box(left, layout.height - 0.82, layout.panel_width, 0.08))


def _footer(figure: Figure, axis: StepAxis, layout: _Layout) -> None:
    """The name of the step axis, and the footnote."""
    middle = (layout.rows.left + layout.width - 0.15) / 2 / layout.width
    figure.text(middle, (layout.bottom - 0.39) / layout.height, labels.STEP_NAMES[axis.kind], ha="center")
    for line, text in enumerate(reversed(layout.notes)):
        figure.text(
            0.12 / layout.width, (0.12 + 0.13 * line) / layout.height, text, fontsize=style.SMALL_SIZE,
            color=style.MUTED,
        )  # fmt: skip
