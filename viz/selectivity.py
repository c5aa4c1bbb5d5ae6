"""Selectivity against accuracy: is a probe good because the site tells, or because it could learn anything there?"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from outcrop.data.errors import InputError
from outcrop.viz import labels, site_names, style
from outcrop.viz.colourbar import draw_unit_scale
from outcrop.viz.grid import step_axis
from outcrop.viz.inputs import HasFrame, choose_properties, confidence_of, read_frame

PANEL, GAP = 2.3, 0.35  # inches
LEFT, RIGHT, TOP = 0.62, 0.15, 0.4
LINE = 0.13
NAMED = 3  # sites named in a panel
FEW = 50  # up to so many marks in a panel, their intervals are drawn
DOTS = (0, (1, 2))


def plot_selectivity(
    table: HasFrame | pd.DataFrame, *, properties: Sequence[str] | None = None, step: int | None = None
) -> Figure:
    """Draw the accuracy of each probe (across) against its selectivity (up), a panel a property, coloured by depth.

    Selectivity is accuracy less that on the control task (Hewitt and Liang 2019, arXiv:1909.03368). Up to 50 marks a
    panel have their intervals. ``step`` is the index of a step; left out, all steps are drawn. Raises ``InputError``
    for an unknown property or step, and for a table without control tasks.
    """
    frame = read_frame(table, "plot_selectivity")
    names = choose_properties(frame, properties)
    if step is not None:
        step_axis(frame).column(step)
        frame = frame[frame["step"] == step]
    parts = {name: frame[(frame["property"] == name) & frame["selectivity"].notna()] for name in names}
    without = [name for name, rows in parts.items() if rows.empty]
    if without:
        raise InputError(f"expected a selectivity for {', '.join(without)}; got none. Probe with controls.")
    few = all(len(rows) <= FEW for rows in parts.values())
    width = LEFT + len(names) * PANEL + (len(names) - 1) * GAP + RIGHT
    note = labels.selectivity_footnote(confidence=confidence_of(table), intervals=few, named=True)
    notes = style.wrap(note, size=style.SMALL_SIZE, width=width - 0.24)
    bottom = 0.95 + LINE * len(notes)
    height = TOP + PANEL + bottom
    floor = min(0.0, *(float(rows["selectivity"].min()) for rows in parts.values())) - 0.04
    with style.figure_style():
        figure = Figure(figsize=(width, height))
        for number, (name, rows) in enumerate(parts.items()):
            box = ((LEFT + number * (PANEL + GAP)) / width, bottom / height, PANEL / width, PANEL / height)
            axes = figure.add_axes(box, label=f"selectivity {name}")
            _panel(axes, rows, intervals=few)
            axes.set(xlim=(0, 1.02), ylim=(floor, 1.02), xlabel=labels.ACCURACY)
            for set_ticks in (axes.set_xticks, axes.set_yticks):
                set_ticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".50", ".75", "1"])
            axes.set_ylabel("" if number else labels.SELECTIVITY)
            axes.set_title(labels.property_title(name), loc="left", fontweight="bold")
        scale = draw_unit_scale(figure, (LEFT / width, (bottom - 0.58) / height, 1.6 / width, 0.07 / height))
        scale.text(1.08, 0.5, labels.DEPTH, transform=scale.transAxes, fontsize=style.SMALL_SIZE, va="center")
        for line, text in enumerate(reversed(notes)):
            at = (0.12 / width, (0.1 + LINE * line) / height)
            figure.text(*at, text, fontsize=style.SMALL_SIZE, color=style.MUTED)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, *, intervals: bool) -> None:
    chance = float(rows["chance"].iloc[0])
    axes.axvline(chance, ymax=0.68, color=style.MUTED, linewidth=0.8, linestyle=DOTS, label=labels.CHANCE)
    axes.plot([chance, 1], [0, 1 - chance], color=style.MUTED, linewidth=0.8, linestyle=DOTS, label="control at chance")
    axes.axhline(0, color=style.RULE, linewidth=0.6)
    x, y = rows["accuracy"].to_numpy(np.float64), rows["selectivity"].to_numpy(np.float64)
    if intervals:
        axes.hlines(y, rows["low"], rows["high"], color=style.RULE, linewidth=0.7)
        axes.vlines(x, rows["selectivity_low"], rows["selectivity_high"], color=style.RULE, linewidth=0.7)
    axes.scatter(
        x, y, c=rows["depth"].to_numpy(np.float64), cmap=style.COLOUR_MAP, vmin=0, vmax=1, s=14, linewidths=0.3,
        edgecolors="white", zorder=3, label="cells",
    )  # fmt: skip
    short = site_names.short_site_names([str(site) for site in rows["site"].unique()])
    best = rows.sort_values("selectivity", ascending=False, kind="stable").drop_duplicates("site").head(NAMED)
    _name(axes, best, short)


def _name(axes: Axes, best: pd.DataFrame, short: dict[str, str]) -> None:
    """Name the best sites, one below the other in the free corner above the diagonal, each with a thin line."""
    for number, (_, row) in enumerate(best.iterrows()):
        text = style.fit_text(short[str(row["site"])], size=style.TINY_SIZE, width=0.6 * PANEL)
        axes.annotate(
            text, (row["accuracy"], row["selectivity"]), xytext=(0.04, 0.95 - 0.075 * number),
            textcoords="axes fraction", va="center", fontsize=style.TINY_SIZE,
            arrowprops={"arrowstyle": "-", "linewidth": 0.5, "color": style.RULE, "shrinkB": 2, "relpos": (1, 0.5)},
            path_effects=[withStroke(linewidth=2.2, foreground="white")],
        )  # fmt: skip
