"""Curves over the steps: when, on the way from noise to image, a property can be decoded."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from outcrop.viz import labels, site_names, style
from outcrop.viz.accepts import choose_names
from outcrop.viz.grid import PropertyGrid, property_grid
from outcrop.viz.inputs import HasFrame, choose_properties, confidence_of, read_frame

PANEL = (2.9, 2.1)  # inches
LEFT, GAP, TOP = 0.55, 0.5, 0.4  # inches
LINE = 0.145  # inches per line of the key
MOST_ROLES = 5


def plot_steps(
    table: HasFrame | pd.DataFrame, *, properties: Sequence[str] | None = None, sites: Sequence[str] | None = None
) -> Figure:
    """Draw accuracy over the noise level, one panel per property, noisy on the left.

    ``sites`` names the sites to draw; ``None`` draws the best site of each role (of the five best roles). Bands
    are intervals; chance and the majority level are horizontal lines. Raises ``InputError`` for an unknown
    property or site.
    """
    frame = read_frame(table, "plot_steps")
    grids = [property_grid(frame, name) for name in choose_properties(frame, properties)]
    names = site_names.short_site_names(grids[0].sites)
    roles = {str(site): str(role) for site, role in zip(frame["site"], frame["role"], strict=True)}
    chosen = [_chosen_rows(grid, roles, sites) for grid in grids]
    groups = sorted({roles[grid.sites[row]] for grid, rows in zip(grids, chosen, strict=True) for row in rows})
    with style.figure_style():
        width = LEFT + len(grids) * PANEL[0] + (len(grids) - 1) * GAP + 0.15
        note = labels.steps_footnote(confidence=confidence_of(table))
        notes = style.wrap(note, size=style.SMALL_SIZE, width=width - 0.3)
        figure, panels = _panels(grids, width=width, lines=max(map(len, chosen)) + len(notes))
        for axes, grid, rows in zip(panels, grids, chosen, strict=True):
            keys = [grid.sites[row] if sites else roles[grid.sites[row]] for row in rows]
            order = list(sites or groups)
            looks = [(style.COLOURS[order.index(key) % 7], style.MARKERS[order.index(key) % 7]) for key in keys]
            _draw(axes, grid, rows, looks)
            short = [names[grid.sites[row]] for row in rows]
            _key(axes, short if sites else [f"{key}: {name}" for key, name in zip(keys, short, strict=True)], looks)
        for line, text in enumerate(reversed(notes)):
            place = (0.15 / width, (0.12 + 0.13 * line) / float(figure.get_figheight()))
            figure.text(*place, text, fontsize=style.SMALL_SIZE, color=style.MUTED)
    return figure


def _chosen_rows(grid: PropertyGrid, roles: dict[str, str], sites: Sequence[str] | None) -> list[int]:
    """The rows of ``sites``, or of the best site of each role, the best role first."""
    if sites is not None:
        chosen = choose_names(sites, grid.sites, what="sites", of="this table")
        return [grid.sites.index(site) for site in chosen]
    peaks = np.max(np.where(np.isfinite(grid.values), grid.values, -np.inf), axis=1)
    best: dict[str, int] = {}
    for row in np.argsort(-peaks, kind="stable"):
        best.setdefault(roles[grid.sites[row]], int(row))
    return list(best.values())[:MOST_ROLES]


def _panels(grids: Sequence[PropertyGrid], *, width: float, lines: int) -> tuple[Figure, list[Axes]]:
    """Panels side by side, with room for ``lines`` lines of text below them."""
    bottom = 0.82 + lines * LINE
    height = TOP + PANEL[1] + bottom
    figure = Figure(figsize=(width, height))
    panels = []
    for i, grid in enumerate(grids):
        left = LEFT + i * (PANEL[0] + GAP)
        box = (left / width, bottom / height, PANEL[0] / width, PANEL[1] / height)
        panels.append(figure.add_axes(box, label=f"steps {grid.name}"))
    return figure, panels


def _draw(axes: Axes, grid: PropertyGrid, rows: Sequence[int], looks: Sequence[tuple[str, str]]) -> None:
    x = grid.axis.positions
    for row, (colour, marker) in zip(rows, looks, strict=True):
        axes.fill_between(x, grid.low[row], grid.high[row], color=colour, alpha=0.13, linewidth=0)
        axes.plot(
            x, grid.values[row], color=colour, marker=marker, markersize=3.8, markeredgecolor="white",
            markeredgewidth=0.5, linewidth=1.4, label=f"accuracy {grid.sites[row]}",
        )  # fmt: skip
    axes.axhline(grid.chance, color=style.MUTED, linewidth=0.9, linestyle=(0, (1, 1.5)), label=labels.CHANCE)
    axes.axhline(grid.majority, color=style.MUTED, linewidth=0.9, linestyle=(0, (5, 2, 1, 2)), label=labels.MAJORITY)
    axes.set(ylim=(0, 1.02), ylabel="accuracy", xlabel=labels.STEP_NAMES[grid.axis.kind].replace(" (", "\n("))
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".50", ".75", "1"])
    axes.grid(axis="y", color=style.ABSENT, linewidth=0.6)
    axes.set_axisbelow(True)
    title = style.fit_text(labels.property_title(grid.name), size=style.TITLE_SIZE, width=0.9 * PANEL[0])
    axes.set_title(title, loc="left", fontweight="bold", pad=6)
    if grid.axis.kind != "step":
        axes.invert_xaxis()


def _key(axes: Axes, texts: Sequence[str], looks: Sequence[tuple[str, str]]) -> None:
    """The names of the lines below the panel, one a line."""
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=4, linewidth=1.4, label=text)
        for text, (colour, marker) in zip(texts, looks, strict=True)
    ]
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(-0.02, -0.57 / PANEL[1]), borderaxespad=0, handlelength=1.6,
        fontsize=style.SMALL_SIZE, labelspacing=0.35,
    )  # fmt: skip
