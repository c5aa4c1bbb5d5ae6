"""Profiles over depth: the accuracy at every site at a fixed step, one line per property."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from outcrop.viz import labels, site_names, style
from outcrop.viz.grid import PropertyGrid, StepAxis, property_grid
from outcrop.viz.inputs import HasFrame, choose_properties, confidence_of, read_frame

PANEL_HEIGHT = 1.75  # inches
MARKED = 45  # up to this many sites, every one carries a marker
FEW_MARKS = 15  # markers on a longer line, enough to tell lines of one colour apart


@dataclass(frozen=True)
class _Look:
    """Colour and marker of one property."""

    colour: str
    marker: str


def plot_profiles(
    table: HasFrame | pd.DataFrame, *, properties: Sequence[str] | None = None, step: int | None = None
) -> Figure:
    """Draw accuracy over depth: sites in execution order, one line per property with its interval as a band.

    ``step`` is the index of a step; ``None`` draws one panel each for an early, a middle and a late one. The
    control task is dashed (with a band if the table has the columns ``control_low`` and ``control_high``); chance
    and the majority level are marked on the right edge. Raises ``InputError`` for an unknown property or step.
    """
    frame = read_frame(table, "plot_profiles")
    every = choose_properties(frame, None)
    grids = [property_grid(frame, name) for name in choose_properties(frame, properties)]
    columns = _columns(grids[0].axis, step)
    colours, markers = style.property_colours(every), style.property_markers(every)
    looks = [_Look(colours[grid.name], markers[grid.name]) for grid in grids]
    with style.figure_style():
        entries = _key_entries(grids, looks)
        figure, panels = _panels(grids[0], len(columns), key=[str(entry.get_label()) for entry in entries])
        for axes, (stage, column) in zip(panels, columns, strict=True):
            for grid, look in zip(grids, looks, strict=True):
                _line(axes, grid, column, look)
                _mark_levels(axes, grid, look)
            _dress(axes, grids, stage, column)
        _name_sites(panels, grids[0].sites)
        _key(figure, entries)
        _footnote(figure, confidence=confidence_of(table))
    return figure


def _columns(axis: StepAxis, step: int | None) -> list[tuple[str, int]]:
    """The columns to draw, each with the name of its stage (empty if the step was asked for or is the only one)."""
    if step is not None:
        return [("", axis.column(step))]
    last = len(axis.steps) - 1
    picked = sorted({round(last / 6), round(last / 2), round(5 * last / 6)})
    stages = labels.STAGES if len(picked) == len(labels.STAGES) else ("",) * len(picked)
    return list(zip(stages, picked, strict=True))


def _panels(grid: PropertyGrid, count: int, *, key: Sequence[str]) -> tuple[Figure, list[Axes]]:
    """Panels one below the other, with room for the key above and the names of sites below."""
    names = site_names.short_site_names(grid.sites)
    longest = max(style.text_width(name, size=style.SMALL_SIZE) for name in names.values())
    width = float(np.clip(2.2 + 0.34 * len(grid.sites), 7.0, 10.5))
    key_rows = -(-len(key) // _key_columns(key, width=width - 0.8))
    top, gap, bottom = 0.58 + 0.18 * key_rows, 0.58, longest + 0.62
    height = top + count * PANEL_HEIGHT + (count - 1) * gap + bottom
    figure = Figure(figsize=(width, height))
    panels: list[Axes] = []
    for i in range(count):
        base = bottom + (count - 1 - i) * (PANEL_HEIGHT + gap)
        box = (0.62 / width, base / height, 1 - (0.62 + 0.25) / width, PANEL_HEIGHT / height)
        panels.append(figure.add_axes(box, sharex=panels[0] if panels else None, label=f"profile {i}"))
    return figure, panels


def _line(axes: Axes, grid: PropertyGrid, column: int, look: _Look) -> None:
    x = np.arange(len(grid.sites))
    control_low, control_high = grid.control_low[:, column], grid.control_high[:, column]
    if np.isfinite(control_low).any():
        axes.fill_between(x, control_low, control_high, color=look.colour, alpha=0.08, linewidth=0)
    axes.plot(
        x, grid.control[:, column], color=look.colour, linewidth=0.9, linestyle=(0, (4, 2)), alpha=0.9,
        label=f"control {grid.name}",
    )  # fmt: skip
    axes.fill_between(x, grid.low[:, column], grid.high[:, column], color=look.colour, alpha=0.18, linewidth=0)
    shown = style.thin(len(x), room=MARKED if len(x) <= MARKED else FEW_MARKS)
    axes.plot(
        x, grid.values[:, column], color=look.colour, marker=look.marker, markersize=3.6, markevery=shown,
        markeredgecolor="white", markeredgewidth=0.5, label=f"accuracy {grid.name}", zorder=3,
    )  # fmt: skip


def _mark_levels(axes: Axes, grid: PropertyGrid, look: _Look) -> None:
    """Chance (filled) and majority level (open) as triangles on the right edge, in the property's colour."""
    axes.axhline(grid.chance, color=look.colour, linewidth=0.5, linestyle=(0, (1, 2)), zorder=1)
    for name, level, face in (("chance", grid.chance, look.colour), ("majority", grid.majority, "white")):
        axes.plot(
            [1.008], [level], transform=axes.get_yaxis_transform(), marker="<", markersize=4.2, linestyle="none",
            color=look.colour, markerfacecolor=face, markeredgewidth=0.8, clip_on=False, label=f"{name} {grid.name}",
        )  # fmt: skip


def _dress(axes: Axes, grids: Sequence[PropertyGrid], stage: str, column: int) -> None:
    """Limits, grid lines, title of the panel, and rules between the parts of the network."""
    sites = grids[0].sites
    lowest = min(float(np.nanmin(np.fmin(grid.low, grid.control))) for grid in grids)
    axes.set(ylim=(max(0.0, np.floor(10 * min(lowest, 0.1)) / 10), 1.02), xlim=(-0.5, len(sites) - 0.5))
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".50", ".75", "1"])
    axes.grid(axis="y", color=style.ABSENT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_ylabel("accuracy")
    title = labels.step_name(grids[0].axis, column)
    title = f"{stage}: {title}" if stage else title
    axes.set_title(title, loc="left", fontsize=style.TEXT_SIZE, fontweight="bold", pad=15)
    groups = [site_names.site_group(site) for site in sites]
    for i in range(1, len(sites)):
        if groups[i] != groups[i - 1]:
            axes.axvline(i - 0.5, color=style.RULE, linewidth=0.8, zorder=1)


def _name_sites(panels: Sequence[Axes], sites: Sequence[str]) -> None:
    """Names of sites under the last panel, names of the parts of the network above every panel."""
    names = site_names.short_site_names(sites)
    last = panels[-1]
    inches = last.get_position().width * last.get_figure(root=True).get_figwidth()  # type: ignore[union-attr]
    shown = style.thin(len(sites), room=int(inches / (style.SMALL_SIZE * 1.35 / 72)))
    for axes in panels:
        axes.set_xticks(shown)
        axes.tick_params(axis="x", labelbottom=axes is last)
        position = 0
        for group, members in groupby(sites, key=site_names.site_group):
            count = len(list(members))
            axes.text(
                position + (count - 1) / 2, 1.02, group, transform=axes.get_xaxis_transform(), ha="center", va="bottom",
                fontsize=style.SMALL_SIZE, color=style.MUTED,
            )  # fmt: skip
            position += count
    last.set_xticklabels([names[sites[i]] for i in shown], rotation=90)


def _key_entries(grids: Sequence[PropertyGrid], looks: Sequence[_Look]) -> list[Line2D]:
    """The entries of the key: one line per property, then the control task, chance and majority level in grey."""
    entries = [
        Line2D([], [], color=look.colour, marker=look.marker, markersize=4.5, label=labels.property_title(grid.name))
        for grid, look in zip(grids, looks, strict=True)
    ]
    entries.append(Line2D([], [], color=style.MUTED, linewidth=0.9, linestyle=(0, (4, 2)), label=labels.CONTROL))
    for label, face in ((labels.CHANCE, style.MUTED), (labels.MAJORITY, "white")):
        entries.append(
            Line2D(
                [], [], color=style.MUTED, marker="<", markersize=4.2, linestyle="none", markerfacecolor=face,
                markeredgewidth=0.8, label=label,
            )
        )  # fmt: skip
    return entries


def _key_columns(texts: Sequence[str], *, width: float) -> int:
    """How many entries of the key fit side by side into ``width`` inches."""
    widest = max(style.text_width(text, size=style.TEXT_SIZE) for text in texts)
    return max(1, min(len(texts), int(width / (widest + 0.5))))


def _key(figure: Figure, entries: Sequence[Line2D]) -> None:
    width, height = figure.get_size_inches()
    columns = _key_columns([str(entry.get_label()) for entry in entries], width=width - 0.8)
    figure.legend(
        handles=entries, loc="upper left", bbox_to_anchor=(0.55 / width, 1 - 0.1 / height), borderaxespad=0,
        ncols=columns, handlelength=2.0, columnspacing=1.4, labelspacing=0.4,
    )  # fmt: skip


def _footnote(figure: Figure, *, confidence: float | None) -> None:
    width, height = figure.get_size_inches()
    lines = style.wrap(labels.profile_footnote(confidence=confidence), size=style.SMALL_SIZE, width=width - 0.3)
    for line, text in enumerate(reversed(lines)):
        figure.text(0.15 / width, (0.14 + 0.14 * line) / height, text, fontsize=style.SMALL_SIZE, color=style.MUTED)
