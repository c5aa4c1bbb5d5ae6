"""The report: one HTML file that answers where and when each property is decodable, and says how it was measured."""

import importlib.metadata
import os
import platform
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, StrictUndefined
from matplotlib.figure import Figure

from outcrop.data.errors import StorageError
from outcrop.viz import labels, sentences
from outcrop.viz.architecture import plot_architecture
from outcrop.viz.figures import render_figure
from outcrop.viz.gallery import data_uri, gallery
from outcrop.viz.grid import PropertyGrid, property_grid
from outcrop.viz.heatmap import plot_heatmap
from outcrop.viz.inputs import HasFrame, HasSamples, choose_properties, confidence_of, read_frame, settings
from outcrop.viz.profiles import plot_profiles
from outcrop.viz.steps import plot_steps

PANELS = 4  # properties in one figure; more are spread over several
LARGEST_SVG = 500_000  # bytes; a larger drawing goes in as PNG
SITES_PER_PROPERTY = 5
LONGEST_VALUE = 300  # characters of one provenance entry


@dataclass(frozen=True)
class Picture:
    """A figure as a data URI, with its heading, its alternative text and its width in pixels."""

    title: str
    uri: str
    alt: str
    width: int


@dataclass(frozen=True)
class BestSite:
    """One row of the table of best sites, as text."""

    property: str
    name: str
    site: str
    step: str
    accuracy: str
    interval: str
    control: str
    selectivity: str


def write_report(ds: HasSamples, table: HasFrame | pd.DataFrame, out: str | Path) -> Path:
    """Write the report on ``table`` to ``out``: one HTML file that needs no network; returns its path.

    The answer stands first, then figures, example images of ``ds`` with their prompts, the best sites, methods,
    caveats and provenance. Everything that comes from data is escaped. Raises ``InputError`` for a table without
    the needed columns and ``StorageError`` when the file cannot be written.
    """
    path = Path(out)
    page = render_report(ds, table)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(page, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StorageError(
            f"expected to write the report {path}; the system says: {error.strerror or error}. "
            "Choose a file in a folder that can be written and has space left."
        ) from error
    return path


def render_report(ds: HasSamples, table: HasFrame | pd.DataFrame) -> str:
    """The text of the HTML page that :func:`write_report` writes."""
    frame = read_frame(table)
    grids = [property_grid(frame, name) for name in choose_properties(frame, None)]
    names = labels.short_site_names(grids[0].sites)
    made, confidence = settings(table), confidence_of(table)
    answers = [sentences.answer(grid, names, confidence=confidence) for grid in grids]
    source = resources.files("outcrop.viz").joinpath("templates/report.html").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return template.from_string(source).render(
        model=ds.info.model,
        listed=labels.enumerate_words([grid.name.replace("_", " ") for grid in grids]),
        images=f"{len(ds.samples):,}",
        answers=answers,
        guide=sentences.reading_guide(grids[0], names),
        pictures=_pictures(table, grids, names),
        examples=gallery(ds),
        best=[row for grid in grids for row in _best_sites(frame, grid, names)],
        interval=labels.interval_name(confidence),
        methods=sentences.methods(frame, settings=made),
        caveats=sentences.caveats(frame, settings=made),
        provenance=_provenance(ds, made),
    )


def _pictures(table: HasFrame | pd.DataFrame, grids: Sequence[PropertyGrid], names: dict[str, str]) -> list[Picture]:
    pictures = []
    for start in range(0, len(grids), PANELS):
        part = grids[start : start + PANELS]
        chosen = [grid.name for grid in part]
        drawn = plot_architecture(table, properties=chosen)
        pictures.append(_picture(drawn, labels.ARCHITECTURE_TITLE, sentences.architecture_alt(part, names)))
        heatmap, profiles = plot_heatmap(table, properties=chosen), plot_profiles(table, properties=chosen)
        pictures.append(_picture(heatmap, labels.HEATMAP_TITLE, sentences.heatmap_alt(part, names)))
        pictures.append(_picture(profiles, labels.PROFILES_TITLE, sentences.profiles_alt(part)))
        if len(part[0].axis.steps) > 1:
            steps = plot_steps(table, properties=chosen)
            pictures.append(_picture(steps, labels.STEPS_TITLE, sentences.steps_alt(part)))
    return sorted(pictures, key=lambda picture: labels.PICTURE_TITLES.index(picture.title))


def _picture(figure: Figure, title: str, alt: str) -> Picture:
    content, kind = render_figure(figure, kind="svg"), "image/svg+xml"
    if len(content) > LARGEST_SVG:
        content, kind = render_figure(figure, kind="png", dpi=160), "image/png"
    return Picture(title, data_uri(content, kind=kind), alt, round(96 * float(figure.get_figwidth())))


def _best_sites(frame: pd.DataFrame, grid: PropertyGrid, names: dict[str, str]) -> list[BestSite]:
    """The sites with the highest accuracy, each at its best step."""
    peaks = np.where(np.isfinite(grid.values), grid.values, -np.inf)
    order = [int(row) for row in np.argsort(-peaks.max(axis=1), kind="stable") if np.isfinite(peaks[row]).any()]
    selectivity = frame[frame["property"] == grid.name].set_index(["site", "step"])["selectivity"]
    rows = []
    for row in order[:SITES_PER_PROPERTY]:
        column = int(np.argmax(peaks[row]))
        low, high = (labels.number(float(bound[row, column])) for bound in (grid.low, grid.high))
        rows.append(
            BestSite(
                labels.property_title(grid.name), names[grid.sites[row]], grid.sites[row],
                labels.step_name(grid.axis, column), labels.number(float(grid.values[row, column])), f"{low}–{high}",
                labels.number(float(grid.control[row, column])),
                labels.number(float(selectivity.loc[(grid.sites[row], grid.axis.steps[column])])),
            )
        )  # fmt: skip
    return rows


def _provenance(ds: HasSamples, made: dict[str, Any]) -> list[tuple[str, str]]:
    """Model, data set, settings and versions as pairs of name and value."""
    pairs = [("model", ds.info.model), ("data set", ds.uuid), ("images", f"{len(ds.samples):,}")]
    pairs += [(f"probes: {name}", value) for name, value in made.items() if value not in (None, [])]
    pairs += [(f"capture: {name}", value) for name, value in _flat(ds.info.provenance)]
    pairs += [("drawn with Python", platform.python_version())]
    pairs += [(f"drawn with {name}", importlib.metadata.version(name)) for name in ("matplotlib", "pandas")]
    return [(name, _shortened(_text(value))) for name, value in pairs]


def _flat(value: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """The leaves of nested dictionaries with dotted names."""
    for name, entry in value.items():
        if isinstance(entry, dict):
            yield from _flat(entry, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", entry


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
