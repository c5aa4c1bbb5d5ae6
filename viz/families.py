"""The division of labour, family by family: which place carries which property, and the index beside it."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from outcrop.data.errors import InputError
from outcrop.viz import labels, site_names, style
from outcrop.viz.accepts import LABOUR, accept, refusal

ROW = 0.2  # inches a property
GAP = 0.42  # inches between families, beside the room that the names of places take
TILT = 35  # degrees
LEFT, RIGHT, TOP = 0.9, 0.3, 0.42
MAP, BAR = 4.6, 1.9  # widths in inches
NOTE = (
    "Colour: how far pictures go from B to A when the place is given what A has there (0 to 1). Index: 0 all "
    "properties at the same places, 1 each at places of its own; line: its 95 % interval. Grey: fewer than two "
    "properties are carried anywhere."
)


class HasLabour(Protocol):
    """What is drawn of ``outcrop.attribution.labour.Labour``: ``profiles`` is properties x places."""

    @property
    def index(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def profiles(self) -> pd.DataFrame: ...


def plot_families(families: Mapping[str, HasLabour]) -> Figure:
    """One row per family, named by its key: its profiles as a map, and its index with the interval on a common scale.

    Raises ``InputError`` for no family, and for what is no division of labour.
    """
    if not isinstance(families, Mapping):
        raise refusal("plot_families", families, LABOUR)
    if not families:
        raise InputError("plot_families takes at least one family with its division of labour; none came.")
    for one in families.values():
        accept("plot_families", one, LABOUR)
    heights = [ROW * len(one.profiles) for one in families.values()]
    below = [_room(one) for one in families.values()]
    note = style.wrap(NOTE, size=style.SMALL_SIZE, width=LEFT + MAP + BAR)
    foot = 0.3 + 0.13 * len(note)
    width = LEFT + MAP + 0.45 + BAR + RIGHT
    height = TOP + sum(heights) + sum(below) + GAP * (len(heights) - 1) + foot
    with style.figure_style():
        figure = Figure(figsize=(width, height))
        base = height - TOP
        for number, (name, one) in enumerate(families.items()):
            base -= heights[number]
            box = (LEFT / width, base / height, MAP / width, heights[number] / height)
            _map(figure.add_axes(box, label=f"map {name}"), name, one)
            box = ((LEFT + MAP + 0.45) / width, base / height, BAR / width, heights[number] / height)
            _index(figure.add_axes(box, label=f"index {name}"), one, first=number == 0)
            base -= below[number] + GAP
        for line, text in enumerate(reversed(note)):
            at = (0.12 + 0.13 * line) / height
            figure.text(0.12 / width, at, text, fontsize=style.SMALL_SIZE, color=style.MUTED)
    return figure


def _place_names(one: HasLabour) -> list[str]:
    places = [str(place) for place in one.profiles.columns]
    names = site_names.short_site_names(places)
    return [names[place] for place in places]


def _room(one: HasLabour) -> float:
    """Inches that the tilted names of places take below their map."""
    widest = max(style.text_width(name, size=style.TEXT_SIZE) for name in _place_names(one))
    return float(widest * np.sin(np.radians(TILT))) + 0.1


def _map(axes: Axes, name: str, one: HasLabour) -> None:
    values = one.profiles.to_numpy(dtype=np.float64)
    axes.imshow(np.ma.masked_invalid(values), cmap=style.COLOUR_MAP, vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if len(one.profiles.columns) <= 16 and np.isfinite(value):
            ink = "white" if value < 0.6 else style.INK
            text = labels.number(min(max(float(value), 0.0), 1.0))
            axes.text(column, row, text, ha="center", va="center", fontsize=style.TINY_SIZE, color=ink)
    axes.set_yticks(range(len(values)), [labels.property_title(str(name)) for name in one.profiles.index])
    names = _place_names(one)
    shown = style.thin(len(names), room=20)
    axes.set_xticks(shown, [names[at] for at in shown], rotation=TILT, ha="right", rotation_mode="anchor")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(name, loc="left", fontsize=style.TEXT_SIZE, fontweight="bold", pad=4)


def _index(axes: Axes, one: HasLabour, *, first: bool) -> None:
    axes.set(xlim=(-0.03, 1.03), ylim=(0, 1))
    axes.set_yticks([])
    axes.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=style.ABSENT, linewidth=0.6)
    axes.set_axisbelow(True)
    if first:
        axes.set_title("index of division of labour", loc="left", fontsize=style.TEXT_SIZE, fontweight="bold", pad=4)
    if not np.isfinite(one.index):
        axes.set_facecolor(style.ABSENT)
        axes.text(0.5, 0.5, "no two properties", ha="center", va="center", fontsize=style.SMALL_SIZE)
        return
    axes.plot([one.low, one.high], [0.4, 0.4], color=style.COLOURS[0], linewidth=2.2, solid_capstyle="butt")
    axes.plot([one.index], [0.4], marker="o", markersize=5.5, color=style.COLOURS[0], markeredgecolor="white")
    text = f"{labels.number(one.index)}  ({labels.number(one.low)} to {labels.number(one.high)})"
    side = "left" if one.index < 0.5 else "right"
    axes.text(0.0 if side == "left" else 1.0, 0.78, text, ha=side, va="center", fontsize=style.SMALL_SIZE)
