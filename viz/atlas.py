"""The atlas as small multiples: sites down, steps across, each sample a mark coloured by one property."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PathCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.transforms import IdentityTransform
from numpy.typing import NDArray

from outcrop.viz import labels, site_names, style
from outcrop.viz.accepts import ATLAS, accept, choose_names, choose_numbers
from outcrop.viz.embedding.atlas import Atlas

PANEL, GAP = 1.05, 0.05  # inches
RIGHT, EDGE = 0.15, 0.12
LEAST_WIDTH, WIDEST_NAME = 4.6, 1.7
LINE, KEY_LINE = 0.13, 0.16
MOST_SITES, MOST_STEPS = 24, 10  # of more, evenly spaced ones are drawn
MOST_CLASSES = 14  # looks that can be told apart
MOST_MARKS = 20_000  # of more, marks become pixels in SVG and PDF, too


@dataclass(frozen=True)
class _Group:
    """Samples that look alike: a class, the rare classes, or those without a label."""

    name: str
    chosen: NDArray[np.bool_]
    colour: str
    marker: str


@dataclass(frozen=True)
class _Layout:
    """Sizes in inches, the columns of the key, and the lines below the panels."""

    width: float
    height: float
    left: float
    top: float
    key_columns: int
    notes: tuple[str, ...]

    def box(self, row: int, column: int) -> tuple[float, float, float, float]:
        """The place of a panel as fractions of the figure."""
        left = self.left + column * (PANEL + GAP)
        bottom = self.height - self.top - PANEL - row * (PANEL + GAP)
        return left / self.width, bottom / self.height, PANEL / self.width, PANEL / self.height


def plot_atlas(
    atlas: Atlas, property_name: str, *, sites: Sequence[str] | None = None, steps: Sequence[int] | None = None
) -> Figure:
    """Draw the maps of ``atlas``, coloured by a label of the samples: by class, or on a scale for many numbers.

    T in each panel is its trustworthiness. All panels have the same scale. Of more than 24 sites and 10 steps, evenly
    spaced ones are drawn, unless ``sites`` and ``steps`` (indices) say which. Raises
    :class:`~outcrop.data.errors.InputError` for a property, site or step that the atlas does not have.
    """
    values = accept("plot_atlas", atlas, ATLAS).property_values(property_name)
    thinned = [atlas.sites[at] for at in style.thin(len(atlas.sites), room=MOST_SITES)]
    rows = choose_names(thinned if sites is None else sites, atlas.sites, what="sites", of="the atlas")
    few = [atlas.steps[at] for at in style.thin(len(atlas.steps), room=MOST_STEPS)]
    wanted = choose_numbers(few if steps is None else steps, atlas.steps, what="steps")
    places = {(site, step): atlas.place(site, step) for site in rows for step in wanted}
    columns = sorted(wanted, key=lambda step: places[rows[0], step][1])
    panels = {place: atlas.coordinates[place] for place in places.values()}
    limit = 1.08 * max(float(np.abs(points).max()) for points in panels.values()) or 1.0
    groups = _groups(values)
    with style.figure_style():
        layout = _layout(atlas, rows, columns, groups)
        figure = Figure(figsize=(layout.width, layout.height))
        for row, site in enumerate(rows):
            for column, step in enumerate(columns):
                place = places[site, step]
                axes = figure.add_axes(layout.box(row, column), label=f"atlas {site} {step}")
                _draw(axes, panels[place], values, groups, rasterized=len(values) * len(panels) > MOST_MARKS)
                _dress(axes, limit=limit, trust=float(atlas.trustworthiness[place]))
        _name_panels(figure, atlas, rows, columns)
        _head(figure, atlas, property_name, groups, layout)
    return figure


def _groups(values: pd.Series) -> list[_Group]:
    """Classes in their order, of too many the rare ones together; none for numbers that make a scale."""
    counts = values.value_counts()
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if numeric and len(counts) > MOST_CLASSES:
        return []
    kept = list(counts.index) if len(counts) <= MOST_CLASSES else list(counts.index[: MOST_CLASSES - 1])
    kept.sort(key=None if numeric else str)
    names = [str(value) for value in kept]
    colours, markers = style.property_colours(names), style.property_markers(names)
    without = values.isna().to_numpy()
    others = ~without & ~values.isin(kept).to_numpy()
    found = [
        _Group(labels.UNLABELLED, without, style.RULE, "."),
        _Group(labels.other_classes(len(counts) - len(kept)), others, style.MUTED, "."),
    ]
    found += [
        _Group(name, (values == value).to_numpy(dtype=bool), colours[name], markers[name])
        for name, value in zip(names, kept, strict=True)
    ]
    return [group for group in found if group.chosen.any()]


def _layout(atlas: Atlas, rows: Sequence[str], columns: Sequence[int], groups: Sequence[_Group]) -> _Layout:
    names = site_names.short_site_names(atlas.sites)
    widest = max(style.text_width(names[site], size=style.SMALL_SIZE) for site in rows)
    left = EDGE + min(widest, WIDEST_NAME) + 0.1
    width = max(LEAST_WIDTH, left + len(columns) * (PANEL + GAP) - GAP + RIGHT)
    entry = 0.32 + max((style.text_width(group.name, size=style.SMALL_SIZE) for group in groups), default=0.0)
    key_lines = -(-len(groups) // max(1, int((width - 2 * EDGE) / entry))) if groups else 2
    key_columns = max(1, -(-len(groups) // key_lines))
    skipped = len(rows) < len(atlas.sites) or len(columns) < len(atlas.steps)
    note = labels.atlas_footnote(
        atlas.spec.method, samples=len(atlas.samples), neighbours=atlas.spec.neighbours, part=skipped
    )
    notes = tuple(style.wrap(note, size=style.SMALL_SIZE, width=width - 2 * EDGE))
    top = 0.38 + KEY_LINE * key_lines + 0.24
    height = top + len(rows) * (PANEL + GAP) - GAP + 0.16 + LINE * len(notes) + 0.06
    return _Layout(width, height, left, top, key_columns, notes)


def _draw(
    axes: Axes, points: NDArray[np.float32], values: pd.Series, groups: Sequence[_Group], *, rasterized: bool
) -> None:
    """All samples as one artist, in an order of chance, so that no class lies on top of the others."""
    size = float(np.clip(38 / np.sqrt(len(points)), 1.0, 3.2)) ** 2  # square points; a panel of 1 inch
    order = np.random.default_rng(0).permutation(len(points))
    if groups:
        group_of = np.full(len(points), -1)
        for number, group in enumerate(groups):
            group_of[group.chosen] = number
        shapes = [_shape(group.marker) for group in groups]
        looks: dict[str, Any] = {"facecolors": [groups[number].colour for number in group_of[order]]}
        paths = [shapes[number] for number in group_of[order]]
    else:
        shown = mpl.colormaps[style.COLOUR_MAP].with_extremes(bad=style.RULE)
        looks = {
            "array": np.ma.masked_invalid(values.to_numpy(dtype=np.float64, na_value=np.nan)[order]),
            "cmap": shown,
        }
        paths = [_shape("o")]
    marks = PathCollection(
        paths, sizes=[size], offsets=points[order], offset_transform=axes.transData, linewidths=0, alpha=0.85,
        rasterized=rasterized, label="samples", **looks,
    )  # fmt: skip
    marks.set_transform(IdentityTransform())
    axes.add_collection(marks, autolim=False)


def _shape(marker: str) -> Path:
    look = MarkerStyle(marker)
    return look.get_path().transformed(look.get_transform())


def _dress(axes: Axes, *, limit: float, trust: float) -> None:
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color=style.ABSENT)
    axes.text(
        0.03, 0.03, labels.trust(trust), transform=axes.transAxes, fontsize=style.TINY_SIZE, color=style.MUTED,
        va="bottom", path_effects=[withStroke(linewidth=2, foreground="white")],
    )  # fmt: skip


def _name_panels(figure: Figure, atlas: Atlas, rows: Sequence[str], columns: Sequence[int]) -> None:
    """Sites to the left of the first column, steps above the first row."""
    names = site_names.short_site_names(atlas.sites)
    for number, axes in enumerate(figure.axes):
        row, column = divmod(number, len(columns))
        if column == 0:
            text = style.fit_text(names[rows[row]], size=style.SMALL_SIZE, width=WIDEST_NAME)
            axes.set_ylabel(text, rotation=0, ha="right", va="center", fontsize=style.SMALL_SIZE, labelpad=5)
        if row == 0:
            title = labels.step_name(atlas.axis, atlas.axis.column(columns[column]))
            axes.set_title(title, fontsize=style.SMALL_SIZE, pad=3)


def _head(figure: Figure, atlas: Atlas, property_name: str, groups: Sequence[_Group], layout: _Layout) -> None:
    """Title, key, and the lines below."""
    title = style.fit_text(labels.property_title(property_name), size=style.TITLE_SIZE, width=layout.width - 2 * EDGE)
    at = EDGE / layout.width
    figure.text(at, 1 - 0.24 / layout.height, title, fontsize=style.TITLE_SIZE, fontweight="bold")
    if groups:
        marks = [
            Line2D([], [], linestyle="none", marker=group.marker, markersize=4.5, color=group.colour, markeredgewidth=0)
            for group in groups
        ]
        figure.legend(
            marks, [group.name for group in groups], loc="upper left", ncols=layout.key_columns, borderaxespad=0,
            bbox_to_anchor=(at, 1 - 0.34 / layout.height), borderpad=0, handletextpad=0.1, columnspacing=0.8,
            labelspacing=0.3, fontsize=style.SMALL_SIZE, handlelength=1.2,
        )  # fmt: skip
    else:
        values = atlas.property_values(property_name)
        box = (at, 1 - 0.5 / layout.height, 1.8 / layout.width, 0.07 / layout.height)
        scale = ScalarMappable(Normalize(values.min(), values.max()), mpl.colormaps[style.COLOUR_MAP])
        bar = figure.colorbar(scale, cax=figure.add_axes(box, label="scale"), orientation="horizontal")
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=2, pad=1.5)
        bar.ax.locator_params(nbins=4)
    for line, text in enumerate(reversed(layout.notes)):
        place = (at, (0.1 + LINE * line) / layout.height)
        figure.text(*place, text, fontsize=style.SMALL_SIZE, color=style.MUTED)
