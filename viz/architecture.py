"""The picture of the division of labour: a model drawn from its sites, each coloured by what it tells of a property."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from outcrop.viz import labels, site_names, style
from outcrop.viz.colourbar import draw_colour_bar
from outcrop.viz.floorplan import Block, FloorPlan, floor_plan
from outcrop.viz.grid import PropertyGrid, Value, property_grid
from outcrop.viz.inputs import HasFrame, choose_properties, confidence_of, read_frame

HEADER, FOOTER = 1.12, 0.3  # inches above and below a panel
GAP = 0.3  # inches between panels
LUMA = (0.299, 0.587, 0.114)  # brightness of red, green and blue (ITU-R BT.601)
LEGIBLE = 0.115  # a row of this height in inches has room for a name


@dataclass(frozen=True)
class _Scale:
    """Inches: width of a cell, height of a row, width and height of a panel."""

    cell: float
    row: float
    width: float
    height: float

    @property
    def named(self) -> bool:
        return self.row >= LEGIBLE

    @property
    def type_size(self) -> float:
        """Points of the names and values in the cells: as large as the rows have room for."""
        return float(np.clip(0.5 * 72 * self.row, style.TINY_SIZE, style.TEXT_SIZE))


def plot_architecture(
    table: HasFrame | pd.DataFrame,
    *,
    properties: Sequence[str] | None = None,
    value: Value = "accuracy",
    step: int | None = None,
) -> Figure:
    """Draw the model as a U or a stack of its sites, one panel per property, each site coloured by ``value``.

    ``step`` is the index of a step; ``None`` takes, for each property, the step of its best cell. Colours run from
    chance to 1 (selectivity: from 0 to 1 - chance). A dot marks sites whose interval reaches down to chance or the
    majority level, an outline the best site, grey a site that was not probed. Raises ``InputError`` for an unknown
    property, value or step.
    """
    frame = read_frame(table, "plot_architecture")
    grids = [property_grid(frame, name, value=value) for name in choose_properties(frame, properties)]
    columns = [grid.best[1] if step is None else grid.axis.column(step) for grid in grids]
    plan = floor_plan(grids[0].sites)
    with style.figure_style():
        scale = _scale(plan, panels=len(grids))
        width = len(grids) * (scale.width + GAP) - GAP + 0.3
        note = labels.architecture_footnote(
            value, shape=plan.shape, confidence=confidence_of(table), chosen=step is None
        )
        notes = style.wrap(note, size=style.SMALL_SIZE, width=width - 0.3)
        bottom = FOOTER + 0.13 * len(notes)
        figure = Figure(figsize=(width, bottom + scale.height + HEADER))
        names = site_names.short_site_names(grids[0].sites)
        for index, (grid, column) in enumerate(zip(grids, columns, strict=True)):
            left = 0.15 + index * (scale.width + GAP)
            _panel(figure, grid, column, plan, scale, box=(left, bottom, scale.width, scale.height))
            _header(figure, grid, column, names, left=left, width=scale.width)
        for line, text in enumerate(reversed(notes)):
            figure.text(
                0.15 / width, (0.12 + 0.13 * line) / float(figure.get_figheight()), text, fontsize=style.SMALL_SIZE,
                color=style.MUTED,
            )  # fmt: skip
    return figure


def _scale(plan: FloorPlan, *, panels: int) -> _Scale:
    row = float(np.clip(7.5 / plan.rows, 0.07, 0.24))
    room = 14.0 / panels if panels > 2 else 4.5
    cell = float(np.clip(room / plan.columns, 0.55, 1.3))
    return _Scale(cell, row, plan.columns * cell, plan.rows * row)


def _panel(
    figure: Figure, grid: PropertyGrid, column: int, plan: FloorPlan, scale: _Scale, *, box: tuple[float, ...]
) -> Axes:
    wide, high = float(figure.get_figwidth()), float(figure.get_figheight())
    left, bottom, width, height = box
    axes = figure.add_axes((left / wide, bottom / high, width / wide, height / high), label=f"architecture {grid.name}")
    axes.set(xlim=(0, plan.columns), ylim=(plan.rows, 0))
    axes.set_axis_off()
    for first, second in plan.skips:
        _skip(axes, plan.blocks[first], plan.blocks[second])
    for block in plan.blocks:
        _outline(axes, block, scale)
    if plan.shape == "u":
        _bends(axes, plan)
    best = int(np.argmax(np.where(np.isfinite(grid.values[:, column]), grid.values[:, column], -np.inf)))
    for index in range(len(grid.sites)):
        _cell(axes, grid, (index, column), plan, scale, best=index == best)
    return axes


def _cell(
    axes: Axes, grid: PropertyGrid, where: tuple[int, int], plan: FloorPlan, scale: _Scale, *, best: bool
) -> None:
    """One site: its colour, and, where there is room, its name, its value and the dot of a value that is not clear."""
    value = float(grid.values[where])
    share = Normalize(grid.bottom, grid.top, clip=True)(value)
    colour = mpl.colormaps[style.COLOUR_MAP](share) if np.isfinite(value) else to_rgb(style.ABSENT)
    site = grid.sites[where[0]]
    x, y = (place + 0.06 for place in plan.cells[site])
    width, height = 0.88, 0.88
    axes.add_patch(
        Rectangle(
            (x, y), width, height, facecolor=colour, edgecolor=style.INK if best else "white",
            linewidth=1.4 if best else 0.4, zorder=4 if best else 3, label=f"site {site}", clip_on=False,
        )
    )  # fmt: skip
    ink = style.INK if np.dot(colour[:3], LUMA) > 0.42 else "white"
    middle = y + height / 2
    text = labels.number(value)
    taken = style.text_width(text, size=scale.type_size)
    room = width * scale.cell - taken - (0.18 if grid.unclear[where] else 0.1)
    if scale.named:
        name = style.fit_text(site_names.name_within(site, plan.block_at(site).name), size=scale.type_size, width=room)
        axes.text(x + 0.04, middle, name, fontsize=scale.type_size, color=ink, va="center_baseline", zorder=5)
        axes.text(
            x + width - 0.04, middle, text, fontsize=scale.type_size, color=ink, va="center_baseline", ha="right",
            fontweight="bold" if best else "normal", zorder=5,
        )  # fmt: skip
    if grid.unclear[where]:
        before = (taken + 0.05) / scale.cell + 0.04 if scale.named else width / 2
        axes.plot(
            x + width - before, middle, linestyle="none", marker="o", markersize=2.4, markeredgewidth=0, clip_on=False,
            zorder=6, color=ink, label=f"unclear {site}",
        )  # fmt: skip


def _outline(axes: Axes, block: Block, scale: _Scale) -> None:
    """A frame around a block, its name above it."""
    axes.add_patch(
        FancyBboxPatch(
            (block.column + 0.02, block.top - 0.02), block.columns - 0.04, block.rows + 0.04,
            boxstyle="round,pad=0,rounding_size=0.05", facecolor="#f6f6f6", edgecolor=style.RULE, linewidth=0.7,
            mutation_aspect=1 / scale.row, zorder=1, clip_on=False, label=f"block {block.name}",
        )
    )  # fmt: skip
    if block.name:
        size = style.TINY_SIZE if scale.row > 0.09 else style.TINY_SIZE - 1
        axes.text(
            block.column + 0.06, block.top - 0.12, block.name, fontsize=size, color=style.MUTED, va="bottom",
            fontweight="bold",
        )  # fmt: skip


def _skip(axes: Axes, first: Block, second: Block) -> None:
    """The skip connections between two blocks of one level."""
    y = max(first.top + first.rows / 2, second.top + second.rows / 2)
    axes.add_patch(
        FancyArrowPatch(
            (first.column + 1.02, y), (second.column - 0.02, y), arrowstyle="-|>", mutation_scale=6, linewidth=0.8,
            color=style.RULE, linestyle=(0, (4, 2)), shrinkA=0, shrinkB=0, zorder=0, label="skip",
        )
    )  # fmt: skip


def _bends(axes: Axes, plan: FloorPlan) -> None:
    """The way from the left arm through the bottom to the right arm."""
    arms = [[block for block in plan.blocks if block.column == column] for column in (0.0, 1.0, 2.0)]
    left, bottom, right = arms
    deepest = {side: max(blocks, key=lambda block: block.top) for side, blocks in (("l", left), ("r", right))}
    middle = (bottom[0].top + bottom[-1].top + bottom[-1].rows) / 2 if bottom else plan.rows - 0.2
    start = (0.5, deepest["l"].top + deepest["l"].rows)
    end = (2.5, deepest["r"].top + deepest["r"].rows)
    for a, b, bend in ((start, (1.0, middle), "90,angleB=180"), ((2.0, middle), end, "0,angleB=90")):
        axes.annotate(
            "", xy=b, xytext=a, annotation_clip=False,
            arrowprops={
                "arrowstyle": "-|>", "color": style.RULE, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 1,
                "connectionstyle": f"angle,angleA={bend},rad=3",
            },
        )  # fmt: skip


def _header(
    figure: Figure, grid: PropertyGrid, column: int, names: dict[str, str], *, left: float, width: float
) -> None:
    """Title, step, best site and colour bar above a panel."""
    wide, high = float(figure.get_figwidth()), float(figure.get_figheight())
    title = style.fit_text(labels.property_title(grid.name), size=style.TITLE_SIZE, width=0.9 * width)
    figure.text(left / wide, 1 - 0.24 / high, title, fontsize=style.TITLE_SIZE, fontweight="bold", va="baseline")
    line = labels.best_at(grid, column, names)
    figure.text(
        left / wide, 1 - 0.4 / high, style.fit_text(line, size=style.SMALL_SIZE, width=width),
        fontsize=style.SMALL_SIZE, color=style.MUTED, va="baseline",
    )  # fmt: skip
    bar = min(width, 3.0)
    draw_colour_bar(figure, grid, box=(left / wide, 1 - 0.7 / high, bar / wide, 0.08 / high))
