"""Effects of interventions with their intervals: a panel a property, a row a cell, with its controls."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MultipleLocator

from outcrop.viz import labels, style
from outcrop.viz.accepts import EFFECTS, accept_frame
from outcrop.viz.inputs import HasFrame
from outcrop.viz.ranges import effect_limits, mark_cut
from outcrop.viz.rows import Rows, draw_rows, measure_rows, part_boundaries

PANEL, GAP, RIGHT = 1.5, 0.2, 0.15  # inches
TOP, HEAD, FOOT = 0.42, 0.28, 0.38  # above everything, above and below a line of panels
ACROSS = 5  # panels side by side
HEIGHT, LOWEST, HIGHEST = 7.0, 0.1, 0.22  # of a panel with many rows; of a row
WIDEST_NAME = 2.4
CLEAR, UNCLEAR = style.COLOURS[0], "#7a7a7a"
SHIFT = 0.26  # of a row: controls stand below what they control


@dataclass(frozen=True)
class _Table:
    """``frame`` with the place of each effect among ``rows``, one scale for all panels, and the controls that occur."""

    frame: pd.DataFrame
    rows: Rows
    limits: tuple[float, float]
    controls: tuple[str, ...]


def plot_effects(effects: HasFrame | pd.DataFrame, *, title: str = "") -> Figure:
    """The effects of an effect table, or of its ``frame`` (property, cell, site, window, control, effect, low, high).

    Effects whose whole interval lies above 0 (by .01 or more, as printed) are blue, others grey; controls are hollow
    and stand with the cell that they control. All panels have one scale. An interval that reaches far beyond all
    effects is cut, with an arrow at the edge. Raises ``InputError`` for what is no such
    table, and for one without rows.
    """
    frame = accept_frame("plot_effects", effects, EFFECTS)
    names = list(dict.fromkeys(frame["property"]))
    table = _measured(frame)
    lines = -(-len(names) // ACROSS)
    across = -(-len(names) // lines)
    row = float(np.clip(HEIGHT / len(table.rows.sites), LOWEST, HIGHEST)) * (1.4 if table.controls else 1)
    panel = PANEL, row * len(table.rows.sites)
    width = table.rows.left + across * PANEL + (across - 1) * GAP + RIGHT
    cut = bool(((frame["low"] < table.limits[0]) | (frame["high"] > table.limits[1])).any())
    note = style.wrap(labels.effects_footnote(cut=cut), size=style.SMALL_SIZE, width=width - 0.24)
    line = HEAD + panel[1] + FOOT
    height = TOP + lines * line + 0.26 + 0.13 * len(note) + 0.06
    with style.figure_style():
        figure = Figure(figsize=(width, height))
        for number, name in enumerate(names):
            down, right = divmod(number, across)
            left, bottom = table.rows.left + right * (PANEL + GAP), height - TOP - down * line - HEAD - panel[1]
            axes = figure.add_axes((left / width, bottom / height, panel[0] / width, panel[1] / height), label=name)
            _panel(axes, table, name)
            axes.set_title(labels.property_title(name), loc="left", fontsize=style.TEXT_SIZE, fontweight="bold", pad=4)
            if right == 0:
                draw_rows(axes, table.rows, width=panel[0], height=panel[1])
        shown = style.fit_text(title or labels.EFFECTS_TITLE, size=style.TITLE_SIZE, width=width - 0.24)
        figure.text(0.12 / width, 1 - 0.26 / height, shown, fontsize=style.TITLE_SIZE, fontweight="bold")
        _key(figure, table.controls, at=(0.12 / width, (0.3 + 0.13 * len(note)) / height))
        for at, text in enumerate(reversed(note)):
            figure.text(0.12 / width, (0.1 + 0.13 * at) / height, text, fontsize=style.SMALL_SIZE, color=style.MUTED)
    return figure


def _measured(frame: pd.DataFrame) -> _Table:
    keys = labels.cell_names(frame)
    names = list(dict.fromkeys(keys))
    first = frame["site"].groupby(keys, sort=False).first()
    rows = measure_rows([str(first[name]) for name in names], height=HIGHEST)
    written = tuple(style.fit_text(name, size=rows.size, width=WIDEST_NAME) for name in names)
    places = keys.map({name: at for at, name in enumerate(names)})
    controls = tuple(str(kind) for kind in dict.fromkeys(frame["control"]) if kind != "none")
    return _Table(frame.assign(place=places), replace(rows, written=written), effect_limits(frame), controls)


def _panel(axes: Axes, table: _Table, name: str) -> None:
    rows = table.frame[table.frame["property"] == name]
    count = len(table.rows.sites)
    axes.set(ylim=(count - 0.5, -0.5), xlim=table.limits, yticks=[])
    for edge in (0, 1):
        axes.axvline(edge, color=style.RULE, linewidth=0.8, zorder=0)
    for boundary in part_boundaries(table.rows.sites):
        axes.axhline(boundary, color=style.ABSENT, linewidth=0.8, zorder=0)
    size = 4.5 if count <= 40 else 3.2
    for _, row in rows[np.isfinite(rows["effect"])].iterrows():
        kind, value, bounds = str(row["control"]), float(row["effect"]), (float(row["low"]), float(row["high"]))
        own = kind == "none"
        at = float(row["place"]) + (0 if own else SHIFT)
        colour = CLEAR if own and round(bounds[0], 2) > 0 else UNCLEAR
        axes.plot(bounds, [at, at], color=colour, linewidth=1.6 if own else 1.0, solid_capstyle="butt")
        axes.plot(
            [value], [at], marker=_marker(table.controls, kind), markersize=size if own else 0.8 * size, color=colour,
            markerfacecolor=colour if own else "white", markeredgewidth=0.9,
        )  # fmt: skip
        mark_cut(axes, at, bounds, colour=colour, upright=False)
    axes.xaxis.set_major_locator(MultipleLocator(0.5 if np.ptp(table.limits) < 3 else 1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: labels.tick(value)))
    axes.spines[["left", "right", "top"]].set_visible(False)
    if not np.isfinite(rows["effect"]).any():
        axes.text(
            sum(table.limits) / 2,
            count / 2 - 0.5,
            labels.NOT_READ,
            ha="center",
            va="center",
            fontsize=style.SMALL_SIZE,
        )


def _marker(controls: Sequence[str], kind: str) -> str:
    return style.MARKERS[0] if kind == "none" else style.MARKERS[1 + controls.index(kind) % (len(style.MARKERS) - 1)]


def _key(figure: Figure, controls: Sequence[str], *, at: tuple[float, float]) -> None:
    looks = [(labels.ABOVE_NONE, CLEAR, CLEAR, "none"), (labels.NOT_ABOVE_NONE, UNCLEAR, UNCLEAR, "none")]
    looks += [(labels.control_name(kind), UNCLEAR, "white", kind) for kind in controls]
    marks = [
        Line2D(
            [], [], marker=_marker(controls, kind), markersize=4.5, color=colour, markerfacecolor=face, linewidth=1.2
        )
        for _, colour, face, kind in looks
    ]
    figure.legend(
        marks, [text for text, *_ in looks], loc="center left", bbox_to_anchor=at, ncols=len(looks), borderaxespad=0,
        borderpad=0, handletextpad=0.5, columnspacing=1.4, fontsize=style.SMALL_SIZE,
    )  # fmt: skip
