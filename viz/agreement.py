"""Decodable against causal: a panel a property, a mark a site, coloured by what the two intervals say together."""

from typing import Protocol

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MultipleLocator

from outcrop.viz import labels, site_names, style
from outcrop.viz.accepts import AGREEMENT, accept, accept_frame
from outcrop.viz.ranges import effect_limits, mark_cut

PANEL, GAP = 2.3, 0.35  # inches
LEFT, RIGHT, TOP = 0.6, 0.15, 0.52
KEY_MARK = 0.45  # inches of an entry of the key beside its text
NAMED = ("decodable and used", "decodable but unused", "used but not linearly decodable")
"""Readings of which a panel names the site that shows them most."""
NEAR = 0.07  # inches between a mark and its name

LOOKS = {
    "decodable and used": ("#0072B2", "o"),
    "decodable but unused": ("#E69F00", "s"),
    "used but not linearly decodable": ("#CC79A7", "D"),
    "neither": ("#000000", "X"),
    "undecided": (style.RULE, "o"),
}
"""Colour and marker of each reading of ``outcrop.attribution.agreement.Agreement``."""


class HasAgreement(Protocol):
    """What is drawn of ``outcrop.attribution.agreement.Agreement``."""

    @property
    def frame(self) -> pd.DataFrame: ...
    @property
    def correlations(self) -> pd.DataFrame: ...
    @property
    def least(self) -> float: ...


def plot_agreement(agreement: HasAgreement) -> Figure:
    """What a probe reads at each site (across) against what the site causes (up), with both intervals.

    Dotted lines: from where on a value counts. Above each panel stands the rank correlation over its sites with its
    interval. Raises ``InputError`` for what is no agreement, and for one without rows.
    """
    frame = accept_frame("plot_agreement", accept("plot_agreement", agreement, AGREEMENT), AGREEMENT)
    names = list(dict.fromkeys(frame["property"]))
    width = LEFT + len(names) * PANEL + (len(names) - 1) * GAP + RIGHT
    note = style.wrap(labels.AGREEMENT_NOTE, size=style.SMALL_SIZE, width=width - 0.24)
    readings = [reading for reading in LOOKS if (frame["reading"] == reading).any()]
    entries = sum(style.text_width(reading, size=style.SMALL_SIZE) + KEY_MARK for reading in readings)
    columns = len(readings) if entries <= width - LEFT else 1
    key = 0.16 * -(-len(readings) // columns)
    bottom = 0.56 + key + 0.13 * len(note)
    height = TOP + PANEL + bottom
    limits = _limits(frame)
    with style.figure_style():
        figure = Figure(figsize=(width, height))
        for number, name in enumerate(names):
            box = ((LEFT + number * (PANEL + GAP)) / width, bottom / height, PANEL / width, PANEL / height)
            axes = figure.add_axes(box, label=f"agreement {name}")
            axes.set(xlim=limits, ylim=limits)
            _panel(axes, frame[frame["property"] == name], least=agreement.least)
            _name(axes, frame[frame["property"] == name], limits)
            axes.xaxis.set_major_locator(MultipleLocator(0.5))
            axes.yaxis.set_major_locator(MultipleLocator(0.5))
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(FuncFormatter(lambda value, _: labels.tick(value)))
            axes.set(xlabel=labels.DECODABLE, ylabel="" if number else labels.CAUSAL)
            axes.set_title(labels.property_title(name), loc="left", fontweight="bold", pad=16)
            text = _correlation(agreement.correlations, name)
            axes.text(0, 1.02, text, transform=axes.transAxes, fontsize=style.SMALL_SIZE, color=style.MUTED)
        _key(figure, readings, columns, at=(LEFT / width, (bottom - 0.46) / height))
        for line, text in enumerate(reversed(note)):
            at = (0.12 / width, (0.1 + 0.13 * line) / height)
            figure.text(*at, text, fontsize=style.SMALL_SIZE, color=style.MUTED)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, *, least: float) -> None:
    for edge in (axes.axvline, axes.axhline):
        edge(least, color=style.MUTED, linewidth=0.7, linestyle=(0, (1, 2)), zorder=1)
    for reading, (colour, marker) in LOOKS.items():
        own = rows[rows["reading"] == reading]
        x, y = own["decodable"].to_numpy(np.float64), own["effect"].to_numpy(np.float64)
        axes.hlines(y, own["decodable_low"], own["decodable_high"], color=colour, linewidth=0.7, alpha=0.6)
        axes.vlines(x, own["low"], own["high"], color=colour, linewidth=0.7, alpha=0.6)
        axes.plot(
            x, y, linestyle="none", marker=marker, markersize=4.6, color=colour, markeredgecolor="white",
            markeredgewidth=0.5, label=reading,
        )  # fmt: skip
        for at, low, high in zip(x, own["low"], own["high"], strict=True):
            mark_cut(axes, at, (low, high), colour=colour, upright=True)


def _name(axes: Axes, rows: pd.DataFrame, limits: tuple[float, float]) -> None:
    """Write the names of the noteworthy sites where they cover no mark, no other name and no edge."""
    short = site_names.short_site_names([str(site) for site in rows["site"]])
    scale = PANEL / (limits[1] - limits[0])
    known = rows[rows["effect"].notna()]
    marks = (known[["decodable", "effect"]].to_numpy(np.float64) - limits[0]) * scale
    taken = [(x - 0.04, y - 0.04, x + 0.04, y + 0.04) for x, y in marks]
    for _, row in _noteworthy(known).iterrows():
        text = style.fit_text(short[str(row["site"])], size=style.TINY_SIZE, width=PANEL / 2)
        x, y = ((float(row[part]) - limits[0]) * scale for part in ("decodable", "effect"))
        place = _free(x, y, width=style.text_width(text, size=style.TINY_SIZE), taken=taken)
        if place is None:
            continue
        taken.append(place)
        at = (place[0] + place[2]) / 2, (place[1] + place[3]) / 2
        axes.annotate(
            text, (x / PANEL, y / PANEL), xycoords="axes fraction", xytext=(at[0] / PANEL, at[1] / PANEL),
            textcoords="axes fraction", ha="center", va="center", fontsize=style.TINY_SIZE,
            path_effects=[withStroke(linewidth=2.2, foreground="white")],
            arrowprops={"arrowstyle": "-", "color": style.MUTED, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 2},
        )  # fmt: skip


def _noteworthy(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each reading the site of the largest effect, or, where nothing is used, of the best decoding."""
    first = {name: ["effect", "decodable"] if "unused" not in name else ["decodable", "effect"] for name in NAMED}
    chosen = [rows[rows["reading"] == name].sort_values(by, ascending=False).head(1) for name, by in first.items()]
    return pd.concat(chosen)


Box = tuple[float, float, float, float]


def _free(x: float, y: float, *, width: float, taken: list[Box]) -> Box | None:
    """The nearest place to (``x``, ``y``) where a text of ``width`` inches touches nothing; None without one."""
    height = 1.25 * style.TINY_SIZE / 72
    for away in (NEAR, 0.16, 0.28, 0.42):
        for right, up in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)):
            left = x + right * away - width * (0.5 - right / 2)
            low = y + up * away - height * (0.5 - up / 2)
            box = (left, low, left + width, low + height)
            inside = min(box[:2]) >= 0.02 and max(box[2:]) <= PANEL - 0.02
            if inside and not any(_touch(box, other) for other in taken):
                return box
    return None


def _touch(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _limits(frame: pd.DataFrame) -> tuple[float, float]:
    """One scale for both axes and all panels: 0 to 1, every estimate, and intervals that leave these room."""
    first, last = effect_limits(frame)
    read = frame[["decodable", "decodable_low", "decodable_high"]].to_numpy(np.float64)
    known = read[np.isfinite(read)]
    return min([first, *known - 0.04]), max([last, *known + 0.04])


def _correlation(correlations: pd.DataFrame, name: str) -> str:
    row = correlations[correlations["property"] == name].iloc[0]
    return labels.rank_correlation(float(row["correlation"]), float(row["low"]), float(row["high"]), int(row["sites"]))


def _key(figure: Figure, readings: list[str], columns: int, *, at: tuple[float, float]) -> None:
    lines = {str(line.get_label()): line for line in figure.axes[0].lines}
    figure.legend(
        [lines[reading] for reading in readings], readings, loc="upper left", bbox_to_anchor=at, borderaxespad=0,
        handletextpad=0.3, borderpad=0, labelspacing=0.3, columnspacing=1.2, ncols=columns, fontsize=style.SMALL_SIZE,
    )  # fmt: skip
