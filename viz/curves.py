"""One curve with its interval: accuracy over training samples, effect over dose."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from outcrop.data.errors import InputError
from outcrop.viz import labels, site_names, style
from outcrop.viz.accepts import CURVE, EFFECTS, accept_frame
from outcrop.viz.footer import note_height, note_lines, write_notes, write_title
from outcrop.viz.inputs import HasFrame
from outcrop.viz.ranges import effect_limits, mark_cut

PANEL = (3.5, 2.0)  # inches
LEFT, TOP, BELOW, RIGHT = 0.62, 0.56, 0.42, 0.15  # inches around it
TICK, KEY_LINE = 0.3, 0.15  # inches that a number below the axis and a line of the key take
KEY, MARK = 1.7, 0.5  # inches for the words of the key, to the right, and for the marks before them


def plot_learning_curve(curve: pd.DataFrame, *, title: str = "") -> Figure:
    """Accuracy over the number of training samples, from ``outcrop.probes.learning.learning_curve``.

    Band: the interval; dotted: chance; dash-dotted: the majority level. Raises ``InputError`` for missing columns and
    for a curve without points.
    """
    curve = accept_frame("plot_learning_curve", curve, CURVE)
    texts = ("accuracy", labels.CHANCE, labels.MAJORITY)
    with style.figure_style():
        figure, axes = _axes(title or labels.LEARNING_TITLE, labels.LEARNING_NOTE, texts)
        _draw(axes, curve.sort_values("samples"), "samples", "accuracy", colour=style.COLOURS[0])
        _level(axes, float(curve["chance"].iloc[0]), labels.CHANCE, (0, (1, 1.5)))
        _level(axes, float(curve["majority"].iloc[0]), labels.MAJORITY, (0, (5, 2, 1, 2)))
        axes.set_xscale("log", base=2)
        _sample_ticks(axes, sorted(float(count) for count in curve["samples"].unique()))
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".50", ".75", "1"])
        axes.set(ylim=(0, 1.02), xlabel=labels.TRAINING_SAMPLES, ylabel=labels.ACCURACY)
        _key(axes)
    return figure


def plot_dose_response(effects: HasFrame | pd.DataFrame, *, site: str) -> Figure:
    """The effect on each property over the dose of an intervention at ``site``, from an effect table or its ``frame``.

    Controls are drawn dashed, in the colour of their property. An interval that reaches far beyond all effects is cut,
    with an arrow at the edge. Raises ``InputError`` for a site with fewer than two
    doses, and for missing columns.
    """
    frame = accept_frame("plot_dose_response", effects, EFFECTS, also=("dose",))
    rows = frame[(frame["site"] == site) & frame["dose"].notna()]
    if rows["dose"].nunique() < 2:
        raise InputError(
            f"expected effects at two doses or more of site {site!r}; got {rows['dose'].nunique()}. Sites of the "
            f"table: {', '.join(map(str, frame['site'].unique()))}. Run the intervention with several doses."
        )
    twice = rows.duplicated(["property", "control", "dose"])
    if twice.any():
        raise InputError("expected one effect per property, control and dose; got several. Select one window and half.")
    names = list(dict.fromkeys(rows["property"]))
    colours, markers = style.property_colours(names), style.property_markers(names)
    groups = list(rows.groupby(["property", "control"], sort=False))
    texts = [_dose_label(*map(str, key)) for key, _ in groups]
    note = labels.DOSE_NOTE + (labels.DOSE_CONTROLS if (rows["control"] != "none").any() else "")
    with style.figure_style():
        figure, axes = _axes(labels.dose_title(site_names.short_site_names([site])[site]), note, texts)
        for ((group, control), own), text in zip(groups, texts, strict=True):
            name = str(group)
            look = {"linestyle": "-" if control == "none" else (0, (4, 2)), "marker": markers[name], "label": text}
            _draw(axes, own.sort_values("dose"), "dose", "effect", colour=colours[name], **look)
        axes.set_ylim(effect_limits(rows))
        for _, row in rows.iterrows():
            bounds = (float(row["low"]), float(row["high"]))
            mark_cut(axes, float(row["dose"]), bounds, colour=colours[str(row["property"])], upright=True)
        axes.axhline(0, color=style.RULE, linewidth=0.8, zorder=0)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: labels.tick(round(value, 6))))
        axes.set(xlabel=labels.DOSE, ylabel=labels.CAUSAL)
        _key(axes)
        if any(line.get_label() == "cut" for line in axes.lines):
            axes.text(1.05, 0, labels.CUT, transform=axes.transAxes, fontsize=style.SMALL_SIZE, color=style.MUTED)
    return figure


def _dose_label(name: str, control: str) -> str:
    return labels.property_title(name) + ("" if control == "none" else f" ({control.replace('-', ' ')})")


def _sample_ticks(axes: Axes, counts: list[float]) -> None:
    """The numbers of samples below the axis, without those that would touch the one before."""
    axes.minorticks_off()
    whole = math.log2(counts[-1] / counts[0]) or 1.0
    shown: list[float] = []
    for count in reversed(counts):
        if not shown or math.log2(shown[-1] / count) / whole * PANEL[0] > TICK:
            shown.append(count)
    axes.set_xticks(shown[::-1], [f"{count:g}" for count in shown[::-1]])


def _axes(title: str, note: str, key: Sequence[str]) -> tuple[Figure, Axes]:
    """A figure with title, note and one panel, with room for the texts of the ``key`` to the right."""
    widest = min(KEY, max(style.text_width(text, size=style.SMALL_SIZE) for text in key))
    tall = max(PANEL[1], KEY_LINE * len(key) + 0.3)
    width = LEFT + PANEL[0] + MARK + widest + RIGHT
    notes = note_lines(note, width=width)
    bottom = BELOW + note_height(notes)
    height = TOP + tall + bottom
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((LEFT / width, bottom / height, PANEL[0] / width, tall / height))
    write_title(figure, title)
    write_notes(figure, notes)
    axes.grid(axis="y", color=style.ABSENT, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _draw(axes: Axes, rows: pd.DataFrame, x: str, y: str, *, colour: str, **look: Any) -> None:
    axes.fill_between(rows[x], rows["low"], rows["high"], color=colour, alpha=0.15, linewidth=0)
    given: dict[str, Any] = {"marker": "o", "label": y, **look}
    axes.plot(rows[x], rows[y], color=colour, markersize=4.5, markeredgecolor="white", markeredgewidth=0.5, **given)


def _level(axes: Axes, value: float, name: str, dashes: Any) -> None:
    axes.axhline(value, color=style.MUTED, linewidth=0.9, linestyle=dashes, label=name)


def _key(axes: Axes) -> None:
    """The names of the lines, to the right of the panel, where they hide nothing."""
    lines = [line for line in axes.lines if not str(line.get_label()).startswith(("_", "cut"))]
    key = axes.legend(
        handles=lines, loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0, fontsize=style.SMALL_SIZE
    )
    for text in key.get_texts():
        text.set_text(style.fit_text(text.get_text(), size=style.SMALL_SIZE, width=KEY))
