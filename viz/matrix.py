"""A matrix of sites (or cells) against sites: names on both sides, one scale, numbers where there is room."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from outcrop.viz import labels, style
from outcrop.viz.footer import EDGE, note_height, note_lines, write_notes, write_title

CELL = 0.34  # inches; less for many cells
LARGEST = 6.0  # inches a side
TOP, RIGHT, LEAST_WIDTH = 0.98, 0.15, 4.2
SCALE, LEAST_SCALE = 2.35, 1.6  # width of the scale in inches
WRITTEN = 16  # up to so many cells a side, the numbers stand in them


@dataclass(frozen=True)
class Matrix:
    """``values`` (row, column) from ``low`` to 1, under their ``caption``; ``note`` says how they are read.

    ``low_name`` is what ``low`` is called; ``parts`` begin before these rows and columns; ``square``: rows are the
    columns, too.
    """

    values: NDArray[np.float64]
    rows: Sequence[str]
    columns: Sequence[str]
    row_title: str
    column_title: str
    caption: str
    note: str
    low: float = 0.0
    low_name: str = ""
    parts: tuple[Sequence[float], Sequence[float]] = ((), ())
    square: bool = True


def draw_matrix(matrix: Matrix, *, title: str, name: str) -> Figure:
    """``matrix`` as a figure whose panel is labelled ``name``; where it is square, its diagonal is bold."""
    cell = min(CELL, LARGEST / max(matrix.values.shape))
    across, down = cell * len(matrix.columns), cell * len(matrix.rows)
    left = 0.45 + max(style.text_width(text, size=style.SMALL_SIZE) for text in matrix.rows)
    below = 0.36 + max(style.text_width(text, size=style.SMALL_SIZE) for text in matrix.columns)
    needed = 2 * EDGE + style.text_width(title, size=style.TITLE_SIZE, bold=True)
    width = max(LEAST_WIDTH, left + max(across, LEAST_SCALE) + RIGHT, needed)
    notes = note_lines(matrix.note, width=width)
    bottom = below + note_height(notes)
    height = TOP + down + bottom
    with style.figure_style():
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((left / width, bottom / height, across / width, down / height), label=name)
        colours = mpl.colormaps[style.COLOUR_MAP].with_extremes(bad=style.ABSENT)
        image = axes.imshow(np.ma.masked_invalid(matrix.values), cmap=colours, vmin=matrix.low, vmax=1)
        _dress(axes, matrix, across=across, down=down)
        write_title(figure, title, caption=matrix.caption)
        bar = min(SCALE, width - left - RIGHT)
        _scale(figure, image, matrix, box=(left / width, 1 - 0.62 / height, bar / width, 0.08 / height))
        write_notes(figure, notes)
    return figure


def _scale(figure: Figure, image: AxesImage, matrix: Matrix, *, box: tuple[float, float, float, float]) -> None:
    ticks = [matrix.low, (1 + matrix.low) / 2, 1.0]
    axes = figure.add_axes(box, label="scale")
    scale = figure.colorbar(image, cax=axes, ticks=ticks, orientation="horizontal")
    scale.set_ticklabels([f"{matrix.low_name} {labels.number(matrix.low)}".strip(), *map(labels.number, ticks[1:])])
    scale.outline.set_visible(False)
    axes.tick_params(length=2, labelsize=style.SMALL_SIZE, pad=1.5)
    first, *_, last = axes.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")


def _dress(axes: Axes, matrix: Matrix, *, across: float, down: float) -> None:
    line = style.SMALL_SIZE * 1.25 / 72
    rows = style.thin(len(matrix.rows), room=int(down / line))
    columns = style.thin(len(matrix.columns), room=int(across / line))
    axes.set_yticks(rows, [matrix.rows[at] for at in rows])
    axes.set_xticks(columns, [matrix.columns[at] for at in columns], rotation=90)
    axes.tick_params(length=0)
    axes.set(xlabel=matrix.column_title, ylabel=matrix.row_title)
    axes.spines[:].set_visible(False)
    for draw, places in zip((axes.axhline, axes.axvline), matrix.parts, strict=True):
        for place in places:
            draw(place, color="white", linewidth=1.4)
    if max(matrix.values.shape) > WRITTEN:
        return
    for (row, column), value in np.ndenumerate(matrix.values):
        ink = "white" if value < matrix.low + 0.6 * (1 - matrix.low) else style.INK
        weight = "bold" if matrix.square and row == column else "normal"
        axes.text(
            column, row, labels.number(value), ha="center", va="center", fontsize=style.TINY_SIZE, color=ink,
            fontweight=weight,
        )  # fmt: skip
