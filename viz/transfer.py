"""The transfer matrix: where a probe was fitted (rows) against where it was tested (columns)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from outcrop.data.errors import InputError
from outcrop.viz import labels, style

COLUMNS = ("site", "step", "tested_site", "tested_step", "accuracy")
CELL = 0.34  # inches; less for many cells
LARGEST = 6.0  # inches a side
TOP, RIGHT = 0.4, 0.85
WRITTEN = 16  # up to so many cells a side, the numbers stand in them


def plot_transfer(frame: pd.DataFrame, *, chance: float, title: str = "") -> Figure:
    """Draw the result of ``outcrop.probes.transfer_matrix``: accuracy from ``chance`` to 1, in the order of the fits.

    Up to 16 cells a side the numbers stand in them, bold where a probe is tested at home. Raises ``InputError`` for
    missing columns, for a frame without rows, and for one that is not a full square.
    """
    values, cells = _square(frame)
    names = _names(cells)
    side = min(CELL * len(cells), LARGEST)
    margin = 0.5 + max(style.text_width(name, size=style.SMALL_SIZE) for name in names)
    width, height = margin + side + RIGHT, TOP + side + margin
    with style.figure_style():
        figure = Figure(figsize=(max(width, 3.0), height))
        width = float(figure.get_figwidth())
        axes = figure.add_axes((margin / width, margin / height, side / width, side / height), label="transfer")
        image = axes.imshow(np.ma.masked_invalid(values), cmap=style.COLOUR_MAP, vmin=chance, vmax=1)
        _dress(axes, values, names, chance=chance)
        axes.set_title(title or labels.TRANSFER_TITLE, loc="left", fontweight="bold")
        bar = figure.add_axes(((margin + side + 0.12) / width, margin / height, 0.09 / width, side / height))
        ticks = [chance, (1 + chance) / 2, 1.0]
        scale = figure.colorbar(image, cax=bar, ticks=ticks)
        scale.set_ticklabels([f"{labels.CHANCE} {labels.number(chance)}", *map(labels.number, ticks[1:])])
        scale.outline.set_visible(False)
    return figure


def _square(frame: pd.DataFrame) -> tuple[np.ndarray, list[tuple[str, int]]]:
    """Accuracies (fitted, tested) and the cells, in the order in which they were fitted."""
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing or frame.empty:
        lacking = ", ".join(missing) or "rows"
        raise InputError(f"expected the columns {', '.join(COLUMNS)} of a transfer matrix; missing: {lacking}.")
    fitted = [(str(site), int(step)) for site, step in zip(frame["site"], frame["step"], strict=True)]
    tested = [(str(site), int(step)) for site, step in zip(frame["tested_site"], frame["tested_step"], strict=True)]
    cells = list(dict.fromkeys(fitted))
    whole = len(set(zip(fitted, tested, strict=True))) == len(cells) ** 2 == len(frame)
    if set(tested) != set(cells) or not whole:
        raise InputError(f"expected each of {len(cells)} cells tested once at each; got {len(frame)} rows.")
    place = {cell: number for number, cell in enumerate(cells)}
    values = np.full((len(cells), len(cells)), np.nan)
    values[[place[cell] for cell in fitted], [place[cell] for cell in tested]] = frame["accuracy"].to_numpy(np.float64)
    return values, cells


def _names(cells: list[tuple[str, int]]) -> list[str]:
    """Site and step of each cell, less what all of them share."""
    short = labels.short_site_names(list(dict.fromkeys(site for site, _ in cells)))
    if len({site for site, _ in cells}) == 1:
        return [f"step {step}" for _, step in cells]
    if len({step for _, step in cells}) == 1:
        return [short[site] for site, _ in cells]
    return [f"{short[site]}, step {step}" for site, step in cells]


def _dress(axes: Axes, values: np.ndarray, names: list[str], *, chance: float) -> None:
    shown = style.thin(len(names), room=40)
    axes.set_xticks(shown, [names[at] for at in shown], rotation=90)
    axes.set_yticks(shown, [names[at] for at in shown])
    axes.tick_params(length=0)
    axes.set(xlabel=labels.TESTED_AT, ylabel=labels.FITTED_AT)
    axes.spines[:].set_visible(False)
    if len(names) > WRITTEN:
        return
    for (row, column), value in np.ndenumerate(values):
        ink = "white" if value < chance + 0.6 * (1 - chance) else style.INK
        weight = "bold" if row == column else "normal"
        axes.text(
            column, row, labels.number(value), ha="center", va="center", fontsize=style.TINY_SIZE, color=ink,
            fontweight=weight,
        )  # fmt: skip
