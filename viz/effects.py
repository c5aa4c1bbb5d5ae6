"""Effects of interventions with their intervals: a panel a property, a row a cell."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from outcrop.data.errors import InputError
from outcrop.viz import labels, style

PANEL, GAP, ROW = 1.35, 0.16, 0.2  # inches: a panel's width, between panels, a row
TOP, BOTTOM, RIGHT = 0.72, 0.5, 0.15
WIDEST_NAME = 2.4
NOTE = "How far pictures go from B (0) to A (1), with intervals; hollow: controls."


def plot_effects(frame: pd.DataFrame, *, title: str) -> Figure:
    """The effects of an effect table's ``frame`` (property, cell, site, window, control, effect, low, high).

    Raises ``InputError`` for a table without rows.
    """
    if frame.empty:
        raise InputError("expected effects of at least one cell; got none.")
    names = list(dict.fromkeys(frame["property"]))
    cells = frame[frame["property"] == names[0]]
    rows = [_row_name(row) for _, row in cells.iterrows()]
    widest = max(style.text_width(row, size=style.SMALL_SIZE) for row in rows)
    left = 0.2 + min(WIDEST_NAME, widest)
    width = left + len(names) * PANEL + (len(names) - 1) * GAP + RIGHT
    height = TOP + ROW * len(rows) + BOTTOM
    with style.figure_style():
        figure = Figure(figsize=(width, height))
        colours = style.property_colours(names)
        for number, name in enumerate(names):
            box = (
                (left + number * (PANEL + GAP)) / width, BOTTOM / height, PANEL / width, ROW * len(rows) / height,
            )  # fmt: skip
            axes = figure.add_axes(box, label=name)
            _panel(axes, frame[frame["property"] == name], colour=colours[name])
            axes.set_title(labels.property_title(name), fontsize=style.TEXT_SIZE, fontweight="bold", pad=4)
            shown = [style.fit_text(row, size=style.SMALL_SIZE, width=WIDEST_NAME) for row in rows]
            axes.set_yticks(range(len(rows)), shown if number == 0 else [""] * len(rows), fontsize=style.SMALL_SIZE)
        figure.text(0.1 / width, 1 - 0.26 / height, title, fontsize=style.TITLE_SIZE, fontweight="bold")
        figure.text(0.1 / width, 0.08 / height, NOTE, fontsize=style.SMALL_SIZE, color=style.MUTED)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, *, colour: str) -> None:
    values = {name: rows[name].to_numpy(dtype=np.float64) for name in ("effect", "low", "high")}
    control = (rows["control"] != "none").to_numpy()
    for at, (value, low, high) in enumerate(zip(*values.values(), strict=True)):
        if not np.isfinite(value):
            continue
        axes.plot([low, high], [at, at], color=colour, linewidth=1.6, solid_capstyle="butt")
        face = "white" if control[at] else colour
        axes.plot([value], [at], marker="o", markersize=4.5, color=colour, markerfacecolor=face)
    axes.axvline(0, color=style.RULE, linewidth=0.8, zorder=0)
    axes.axvline(1, color=style.RULE, linewidth=0.8, zorder=0)
    axes.set(ylim=(len(rows) - 0.4, -0.6), xlim=_limits(values["low"], values["high"]))
    axes.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "right", "top"]].set_visible(False)
    if not np.isfinite(values["effect"]).any():
        axes.text(0.5, len(rows) / 2 - 0.5, "cannot be read", ha="center", fontsize=style.SMALL_SIZE)


def _limits(low: np.ndarray, high: np.ndarray) -> Sequence[float]:
    known = np.concatenate([low[np.isfinite(low)], high[np.isfinite(high)]])
    return (min(-0.15, *known, 0.0) - 0.03, max(1.08, *known, 0.0) + 0.03) if len(known) else (-0.15, 1.08)


def _row_name(row: pd.Series) -> str:
    control = "" if row["control"] == "none" else f" ({row['control']})"
    return f"{row['site']}{control}"
