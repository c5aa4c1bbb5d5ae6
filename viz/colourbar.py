"""Colour bars: of one property, from chance to the most that is possible, and from 0 to 1."""

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from outcrop.viz import labels, style
from outcrop.viz.grid import PropertyGrid


def draw_colour_bar(figure: Figure, grid: PropertyGrid, *, box: tuple[float, float, float, float]) -> None:
    """The scale of one panel in ``box`` (fractions of the figure): its ends below the bar, the majority level above."""
    axes = figure.add_axes(box, label=f"colour bar {grid.name}")
    scale = ScalarMappable(Normalize(grid.bottom, grid.top), mpl.colormaps[style.COLOUR_MAP])
    below = bool(np.nanmin(grid.values) < grid.bottom)
    bar = figure.colorbar(
        scale, cax=axes, orientation="horizontal", extend="min" if below else "neither", extendfrac=0.03
    )
    bar.outline.set_visible(False)
    middle = (grid.bottom + grid.top) / 2
    lowest = labels.CHANCE if grid.value == "accuracy" else labels.NO_SELECTIVITY
    bar.set_ticks([grid.bottom, middle, grid.top])
    bar.set_ticklabels([f"{lowest} {labels.number(grid.bottom)}", labels.number(middle), labels.number(grid.top)])
    axes.tick_params(length=2, labelsize=style.SMALL_SIZE, pad=1.5)
    first, *_, last = axes.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")
    if grid.value == "accuracy":
        _mark_majority(axes, grid)


def _mark_majority(axes: Axes, grid: PropertyGrid) -> None:
    """A triangle at the majority level; below chance it has no place on the bar, and only the words stand."""
    below = grid.majority < grid.bottom
    place = min(max(grid.majority, grid.bottom), grid.top)
    rightwards = place < (grid.bottom + grid.top) / 2
    text = labels.majority_level(grid.majority, below=below)
    axes.annotate(
        text, (place, 1.0), ha="left" if rightwards else "right",
        xycoords=axes.get_xaxis_transform(), xytext=(0 if below else 4 if rightwards else -4, 1.0),
        textcoords="offset points", va="bottom", fontsize=style.TINY_SIZE, color=style.MUTED,
    )  # fmt: skip
    if below:
        return
    axes.plot(
        [place], [1.0], marker="v", markersize=3.5, color=style.INK, clip_on=False,
        transform=axes.get_xaxis_transform(), label=labels.MAJORITY,
    )  # fmt: skip


def draw_unit_scale(figure: Figure, box: tuple[float, float, float, float]) -> Axes:
    """A scale from 0 to 1 in ``box`` (fractions of the figure)."""
    axes = figure.add_axes(box, label="scale")
    scale = ScalarMappable(Normalize(0, 1), mpl.colormaps[style.COLOUR_MAP])
    bar = figure.colorbar(scale, cax=axes, orientation="horizontal")
    bar.outline.set_visible(False)
    bar.set_ticks([0, 0.5, 1], labels=["0", ".5", "1"])
    axes.tick_params(length=2, labelsize=style.SMALL_SIZE, pad=1.5)
    return axes
