"""The tables of a report as text: best sites, the numbers behind the heatmaps, provenance."""

import importlib.metadata
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from outcrop.data.summary import describe_label
from outcrop.viz import labels
from outcrop.viz.grid import PropertyGrid
from outcrop.viz.inputs import HasSamples

SITES_PER_PROPERTY = 5
LONGEST_VALUE = 300  # characters of one provenance entry


@dataclass(frozen=True)
class BestSite:
    """One row of the table of best sites, as text; ``column`` is the property's name in the table."""

    column: str
    property: str
    name: str
    site: str
    step: str
    accuracy: str
    interval: str
    control: str
    selectivity: str


@dataclass(frozen=True)
class NumberTable:
    """All cells of one property as text: a row a site, in it a text a step."""

    column: str
    property: str
    steps: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[str, ...]], ...]


def best_sites(frame: pd.DataFrame, grid: PropertyGrid, names: dict[str, str]) -> list[BestSite]:
    """The sites with the highest accuracy, each at its best step."""
    peaks = np.where(np.isfinite(grid.values), grid.values, -np.inf)
    order = [int(row) for row in np.argsort(-peaks.max(axis=1), kind="stable") if np.isfinite(peaks[row]).any()]
    selectivity = frame[frame["property"] == grid.name].set_index(["site", "step"])["selectivity"]
    rows = []
    for row in order[:SITES_PER_PROPERTY]:
        column = int(np.argmax(peaks[row]))
        rows.append(
            BestSite(
                grid.name, labels.property_title(grid.name), names[grid.sites[row]], grid.sites[row],
                labels.step_name(grid.axis, column), labels.number(float(grid.values[row, column])),
                _interval(grid, row, column), labels.number(float(grid.control[row, column])),
                labels.number(float(selectivity.loc[(grid.sites[row], grid.axis.steps[column])])),
            )
        )  # fmt: skip
    return rows


def number_table(grid: PropertyGrid, names: dict[str, str]) -> NumberTable:
    """Accuracy and interval of every cell, ``.97 (.95–.99)``."""
    steps = range(len(grid.axis.steps))
    rows = tuple(
        (
            names[site],
            site,
            tuple(f"{labels.number(float(grid.values[row, k]))} ({_interval(grid, row, k)})" for k in steps),
        )
        for row, site in enumerate(grid.sites)
    )
    ticks = tuple(labels.step_name(grid.axis, k) for k in steps)
    return NumberTable(grid.name, labels.property_title(grid.name), ticks, rows)


def _interval(grid: PropertyGrid, row: int, column: int) -> str:
    low, high = (labels.number(float(bound[row, column])) for bound in (grid.low, grid.high))
    return f"{low}–{high}"


def card(ds: HasSamples, grid: PropertyGrid) -> list[tuple[str, str]]:
    """What the data set is, as pairs of a name and a text."""
    info = ds.info
    facts = [("model", info.model), ("images", f"{len(ds.samples):,}")]
    prompts = ds.samples["prompt"].nunique()
    facts.append(("prompts", f"{prompts:,} different"))
    facts.append(("probed", f"{len(grid.sites)} sites, {len(grid.axis.steps)} steps"))
    recorded = {"reduction": "reduction", "half": "guidance half", "dtype": "stored as"}
    facts += [(said, str(getattr(info, name))) for name, said in recorded.items() if getattr(info, name, None)]
    facts += [(str(name).replace("_", " "), describe_label(ds.labels[name])) for name in ds.labels]
    licences = getattr(info, "licences", None)
    facts.append(("licence", ", ".join(f"{k}: {v}" for k, v in licences.items()) if licences else "none stated"))
    return [(name, shortened(text)) for name, text in facts]


def provenance(ds: HasSamples, made: dict[str, Any]) -> list[tuple[str, str]]:
    """Model, data set, settings and versions as pairs of name and value."""
    pairs = [("model", ds.info.model), ("data set", ds.uuid), ("images", f"{len(ds.samples):,}")]
    pairs += [(f"probes: {name}", value) for name, value in made.items() if value not in (None, [])]
    pairs += [(f"capture: {name}", value) for name, value in _flat(ds.info.provenance)]
    pairs += [("drawn with Python", platform.python_version())]
    pairs += [(f"drawn with {name}", importlib.metadata.version(name)) for name in ("matplotlib", "pandas", "plotly")]
    return [(name, shortened(_text(value))) for name, value in pairs]


def citation(ds: HasSamples) -> str:
    """BibTeX of the program and of the data set."""
    version = importlib.metadata.version("outcrop")
    program = (
        "@software{outcrop,\n"
        "  title = {Outcrop: which layer of an image generator, at which step, encodes content, style and layout},\n"
        f"  author = {{{{The Outcrop authors}}}},\n  version = {{{version}}}\n}}"
    )
    data = (
        f"@misc{{outcrop-data-{ds.uuid[:8]},\n"
        f"  title = {{Activations of {ds.info.model}, {len(ds.samples):,} images}},\n"
        f"  note = {{Outcrop data set {ds.uuid}}}\n}}"
    )
    return f"{program}\n\n{data}"


def _flat(value: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """The leaves of nested dictionaries with dotted names."""
    for name, entry in value.items():
        if isinstance(entry, dict):
            yield from _flat(entry, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", entry


def shortened(text: str) -> str:
    """``text``, cut where it is long."""
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
