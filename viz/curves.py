"""One curve with its interval: accuracy over training samples, effect over dose."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from outcrop.data.errors import InputError
from outcrop.viz import labels, site_names, style
from outcrop.viz.accepts import CURVE, EFFECTS, accept_frame
from outcrop.viz.inputs import HasFrame
from outcrop.viz.ranges import effect_limits, mark_cut

SIZE = (5.8, 2.6)  # inches
KEY = 1.7  # inches for the words of the key, to the right
MARGINS = {"left": 0.11, "right": 0.62, "bottom": 0.17, "top": 0.88}


def plot_learning_curve(curve: pd.DataFrame, *, title: str = "") -> Figure:
    """Accuracy over the number of training samples, from ``outcrop.probes.learning.learning_curve``.

    Band: the interval; dotted: chance; dash-dotted: the majority level. Raises ``InputError`` for missing columns and
    for a curve without points.
    """
    curve = accept_frame("plot_learning_curve", curve, CURVE)
    with style.figure_style():
        figure = Figure(figsize=SIZE)
        axes = _axes(figure, title or labels.LEARNING_TITLE)
        _draw(axes, curve.sort_values("samples"), "samples", "accuracy", colour=style.COLOURS[0])
        _level(axes, float(curve["chance"].iloc[0]), labels.CHANCE, (0, (1, 1.5)))
        _level(axes, float(curve["majority"].iloc[0]), labels.MAJORITY, (0, (5, 2, 1, 2)))
        axes.set_xscale("log", base=2)
        ticks = sorted(curve["samples"].unique())
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set(ylim=(0, 1.02), xlabel=labels.TRAINING_SAMPLES, ylabel="accuracy")
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
    with style.figure_style():
        figure = Figure(figsize=SIZE)
        axes = _axes(figure, site_names.short_site_names([site])[site])
        for (group, control), own in rows.groupby(["property", "control"], sort=False):
            name = str(group)
            label = labels.property_title(name) + ("" if control == "none" else f" ({str(control).replace('-', ' ')})")
            look = {"linestyle": "-" if control == "none" else (0, (4, 2)), "marker": markers[name], "label": label}
            _draw(axes, own.sort_values("dose"), "dose", "effect", colour=colours[name], **look)
        axes.set_ylim(effect_limits(rows))
        for _, row in rows.iterrows():
            bounds = (float(row["low"]), float(row["high"]))
            mark_cut(axes, float(row["dose"]), bounds, colour=colours[str(row["property"])], upright=True)
        axes.axhline(0, color=style.RULE, linewidth=0.8, zorder=0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: labels.tick(round(value, 6))))
        axes.set(xlabel=labels.DOSE, ylabel=labels.CAUSAL)
        _key(axes)
        if any(line.get_label() == "cut" for line in axes.lines):
            axes.text(1.05, 0, labels.CUT, transform=axes.transAxes, fontsize=style.SMALL_SIZE, color=style.MUTED)
    return figure


def _axes(figure: Figure, title: str) -> Axes:
    axes = figure.add_axes(
        (MARGINS["left"], MARGINS["bottom"], MARGINS["right"] - MARGINS["left"], MARGINS["top"] - MARGINS["bottom"])
    )
    axes.set_title(title, loc="left", fontweight="bold")
    axes.grid(axis="y", color=style.ABSENT, linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


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
