"""Decodable against causal: a panel a property, a mark a site, coloured by what the two intervals say together."""

from typing import Protocol

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from outcrop.data.errors import InputError
from outcrop.viz import labels, style

PANEL, GAP = 2.3, 0.35  # inches
LEFT, RIGHT, TOP = 0.6, 0.15, 0.52
NAMED = 3  # sites named in a panel: those of the largest effect that is settled

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
    interval. Raises ``InputError`` for an agreement without rows.
    """
    frame = agreement.frame
    if frame.empty:
        raise InputError("expected an agreement of at least one property and site; got none.")
    names = list(dict.fromkeys(frame["property"]))
    width = LEFT + len(names) * PANEL + (len(names) - 1) * GAP + RIGHT
    note = style.wrap(labels.AGREEMENT_NOTE, size=style.SMALL_SIZE, width=width - 0.24)
    readings = [reading for reading in LOOKS if (frame["reading"] == reading).any()]
    key = 0.16 * len(readings)
    bottom = 0.56 + key + 0.13 * len(note)
    height = TOP + PANEL + bottom
    limits = _limits(frame)
    with style.figure_style():
        figure = Figure(figsize=(width, height))
        for number, name in enumerate(names):
            box = ((LEFT + number * (PANEL + GAP)) / width, bottom / height, PANEL / width, PANEL / height)
            axes = figure.add_axes(box, label=f"agreement {name}")
            _panel(axes, frame[frame["property"] == name], least=agreement.least)
            axes.set(xlim=limits, ylim=limits, xlabel=labels.DECODABLE, ylabel="" if number else labels.CAUSAL)
            axes.set_title(labels.property_title(name), loc="left", fontweight="bold", pad=16)
            text = _correlation(agreement.correlations, name)
            axes.text(0, 1.02, text, transform=axes.transAxes, fontsize=style.SMALL_SIZE, color=style.MUTED)
        _key(figure, readings, at=(LEFT / width, (bottom - 0.46) / height))
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
    short = labels.short_site_names([str(site) for site in rows["site"]])
    settled = rows[(rows["reading"] != "undecided") & rows["effect"].notna()]
    for _, row in settled.nlargest(NAMED, "effect").iterrows():
        left = row["decodable"] > 0.5
        axes.annotate(
            style.fit_text(short[str(row["site"])], size=style.TINY_SIZE, width=PANEL / 2),
            (row["decodable"], row["effect"]), xytext=(-4 if left else 4, 3), textcoords="offset points",
            ha="right" if left else "left", va="bottom", fontsize=style.TINY_SIZE,
            path_effects=[withStroke(linewidth=2.2, foreground="white")],
        )  # fmt: skip


def _limits(frame: pd.DataFrame) -> tuple[float, float]:
    """One scale for both axes and all panels: 0 to 1 and whatever lies beyond."""
    columns = ["decodable", "decodable_low", "decodable_high", "effect", "low", "high"]
    values = frame[columns].to_numpy(np.float64)
    known = values[np.isfinite(values)]
    return min(0.0, *known) - 0.04, max(1.0, *known) + 0.04


def _correlation(correlations: pd.DataFrame, name: str) -> str:
    row = correlations[correlations["property"] == name].iloc[0]
    return labels.rank_correlation(float(row["correlation"]), float(row["low"]), float(row["high"]), int(row["sites"]))


def _key(figure: Figure, readings: list[str], *, at: tuple[float, float]) -> None:
    lines = {str(line.get_label()): line for line in figure.axes[0].lines}
    figure.legend(
        [lines[reading] for reading in readings], readings, loc="upper left", bbox_to_anchor=at, borderaxespad=0,
        handletextpad=0.3, borderpad=0, labelspacing=0.3, fontsize=style.SMALL_SIZE,
    )  # fmt: skip
