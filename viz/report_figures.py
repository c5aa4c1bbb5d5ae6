"""The static figures of a report: what shows without a script, and in print."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from outcrop.viz import labels, sentences
from outcrop.viz.architecture import plot_architecture
from outcrop.viz.figures import render_figure
from outcrop.viz.gallery import data_uri
from outcrop.viz.grid import PropertyGrid
from outcrop.viz.heatmap import plot_heatmap
from outcrop.viz.inputs import HasFrame
from outcrop.viz.profiles import plot_profiles
from outcrop.viz.steps import plot_steps

PANELS = 4  # properties in one figure; more are spread over several
LARGEST_SVG = 500_000  # bytes; a larger drawing goes in as PNG


@dataclass(frozen=True)
class Picture:
    """A figure as a data URI, with its heading, its alternative text, and its width and height in pixels."""

    title: str
    uri: str
    alt: str
    width: int
    height: int


def probe_pictures(
    table: HasFrame | pd.DataFrame, grids: Sequence[PropertyGrid], names: dict[str, str]
) -> list[Picture]:
    """Architecture, heatmap, profiles and curves over steps, in the order of ``labels.PICTURE_TITLES``."""
    pictures = []
    for start in range(0, len(grids), PANELS):
        part = grids[start : start + PANELS]
        chosen = [grid.name for grid in part]
        drawn = plot_architecture(table, properties=chosen)
        pictures.append(as_picture(drawn, labels.ARCHITECTURE_TITLE, sentences.architecture_alt(part, names)))
        heatmap, profiles = plot_heatmap(table, properties=chosen), plot_profiles(table, properties=chosen)
        pictures.append(as_picture(heatmap, labels.HEATMAP_TITLE, sentences.heatmap_alt(part, names)))
        pictures.append(as_picture(profiles, labels.PROFILES_TITLE, sentences.profiles_alt(part)))
        if len(part[0].axis.steps) > 1:
            steps = plot_steps(table, properties=chosen)
            pictures.append(as_picture(steps, labels.STEPS_TITLE, sentences.steps_alt(part)))
    return sorted(pictures, key=lambda picture: labels.PICTURE_TITLES.index(picture.title))


def as_picture(figure: Figure, title: str, alt: str) -> Picture:
    """``figure`` as SVG, or as PNG where that would be large."""
    content, kind = render_figure(figure, kind="svg"), "image/svg+xml"
    if len(content) > LARGEST_SVG:
        content, kind = render_figure(figure, kind="png", dpi=160), "image/png"
    width, height = (round(96 * float(side)) for side in figure.get_size_inches())
    return Picture(title, data_uri(content, kind=kind), alt, width, height)
