"""What a report says and shows of the effects of interventions."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.attribution.agreement import compare_with_probes
from outcrop.attribution.effect_table import LEAST_PAIRS, EffectTable
from outcrop.data.errors import InputError
from outcrop.probes.table import ProbeTable
from outcrop.viz import labels, site_names
from outcrop.viz.agreement import plot_agreement
from outcrop.viz.effects import plot_effects
from outcrop.viz.inputs import HasFrame
from outcrop.viz.labels import number
from outcrop.viz.page_cells import rounded
from outcrop.viz.report_figures import Picture, as_picture

COLUMNS = (
    "property", "cell", "intervention", "site", "window", "dose", "half", "control", "effect", "low", "high", "n",
    "q_value",
)  # fmt: skip
LARGEST_Q = 0.05
SHARES = ("donor", "receiver", "neither")
SEVERAL = ("necessity", "over_control", *SHARES)  # drawn on in the hover where the table has them

Pictures = NDArray[np.uint8]


class HasEffects(Protocol):
    """The part of ``outcrop.attribution.effect_table.EffectTable`` that a report shows."""

    @property
    def frame(self) -> pd.DataFrame: ...
    @property
    def provenance(self) -> Any: ...


class HasStudy(Protocol):
    """The part of ``outcrop.attribution.outcomes.Outcomes`` that a report shows: pairs, and the pictures A, B and C."""

    @property
    def pairs(self) -> pd.DataFrame: ...
    @property
    def donors(self) -> Pictures: ...
    @property
    def receivers(self) -> Pictures: ...
    def cell_images(self, cell: int) -> Pictures: ...


@dataclass(frozen=True)
class Cause:
    """The strongest effect on one property, in a sentence and its figures."""

    title: str
    claim: str
    figures: str
    context: str


def read_effects(table: HasEffects) -> pd.DataFrame:
    """The cells without control of properties that were read. Raises ``InputError`` for a table without them."""
    frame = table.frame
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise InputError(f"expected a table of effects with the columns {', '.join(COLUMNS)}; missing: {missing[0]}.")
    shown: pd.DataFrame = frame[(frame["control"] == "none") & np.isfinite(frame["effect"])]
    if shown.empty:
        raise InputError("expected a table of effects with at least one cell that could be read; got none.")
    return shown


def row_names(frame: pd.DataFrame) -> dict[int, str]:
    """A name for every cell: its site, and what else is needed to tell it from others in the same window."""
    cells = frame.drop_duplicates("cell").set_index("cell")
    short = site_names.short_site_names(list(dict.fromkeys(cells["site"])))
    kinds = cells["intervention"].nunique() > 1
    names = {}
    for cell, row in cells.iterrows():
        extra = [str(row["intervention"]).replace("-", " ")] if kinds else []
        extra += [f"dose {row['dose']:g}"] if np.isfinite(row["dose"]) else []
        extra += [str(row["half"])] if cells["half"].nunique() > 1 else []
        names[int(str(cell))] = f"{short[row['site']]} ({', '.join(extra)})" if extra else short[row["site"]]
    return names


def effect_data(table: HasEffects) -> dict[str, Any]:
    """The effects as the page's script reads them: rows are places, columns windows of steps."""
    frame = read_effects(table)
    names = row_names(frame)
    cells = frame.drop_duplicates("cell")
    windows = sorted(cells["window"].unique(), key=_window)
    rows = list(dict.fromkeys(names[int(cell)] for cell in cells["cell"]))
    sites = {names[int(cell)]: str(site) for cell, site in zip(cells["cell"], cells["site"], strict=True)}
    return {
        "names": rows,
        "sites": [sites[name] for name in rows],
        "groups": [site_names.site_group(sites[name]) for name in rows],
        "windows": [window.replace("-", "–") for window in windows],
        "interval": labels.interval_name(float(table.provenance["confidence"])),
        "properties": [
            _property(frame[frame["property"] == name], str(name), names, rows, windows)
            for name in frame["property"].unique()
        ],
    }


def _property(
    own: pd.DataFrame, name: str, names: dict[int, str], rows: Sequence[str], windows: Sequence[str]
) -> dict[str, Any]:
    cells: list[dict[str, Any] | None] = [None] * (len(rows) * len(windows))
    for _, row in own.iterrows():
        place = rows.index(names[int(row["cell"])]) * len(windows) + windows.index(row["window"])
        known = {"effect", "low", "high", "q_value", *SEVERAL}
        known |= {f"{part}_{end}" for part in SEVERAL for end in ("low", "high")}
        entry = {part: rounded(float(row[part])) for part in sorted(known) if part in own.columns}
        cells[place] = {**entry, "n": int(row["n"]), "cell": int(row["cell"])}
    best = max(range(len(cells)), key=lambda place: (cells[place] or {"effect": -np.inf})["effect"])
    return {
        "name": name,
        "title": labels.property_title(name),
        "cells": cells,
        "best": list(divmod(best, len(windows))),
    }


def _window(text: str) -> tuple[int, int]:
    first, last = (int(edge) for edge in text.split("-"))
    return first, -last


def causes(table: HasEffects, *, probed: Collection[str] = ()) -> list[Cause]:
    """For each property the cell of largest effect, or that none is shown to have one; only for those ``probed``, where
    any of them was read.
    """
    frame = read_effects(table)
    frame = frame[frame["property"].isin(list(probed))] if frame["property"].isin(list(probed)).any() else frame
    names = row_names(frame)
    interval = labels.interval_name(float(table.provenance["confidence"]))
    found = []
    for name in frame["property"].unique():
        own = frame[frame["property"] == name]
        row = own.loc[own["effect"].idxmax()]
        title, place = labels.property_title(str(name)), names[int(row["cell"])]
        context = ""
        if row["n"] < LEAST_PAIRS:
            claim = f"What causes {title.lower()} cannot be told from so few pairs."
        elif row["low"] > 0 and not row["q_value"] > LARGEST_Q:
            claim = f"{title} is caused most at {labels.unbroken(place)}, steps {row['window'].replace('-', '–')}."
            context = labels.rivals(int((own["effect"] >= row["low"]).sum()) - 1, len(own) - 1)
        else:
            claim = f"{title} is not shown to be caused anywhere: even the strongest effect may be none."
        figures = (
            f"Effect {number(float(row['effect']))}, {interval} {number(float(row['low']))} to "
            f"{number(float(row['high']))}, {labels.q_value(float(row['q_value']))}, over {int(row['n'])} pairs; the "
            f"largest of {own['cell'].nunique()} cells, hence optimistic."
        )
        found.append(Cause(title, claim, figures, context))
    return found


def measures(table: HasEffects) -> list[str]:
    """A sentence on what was measured in the pictures beside the labels."""
    read = [name for name in labels.DESCRIPTORS if name in set(read_effects(table)["property"])]
    told = "; ".join(f"{labels.property_title(name)}: {labels.DESCRIPTORS[name]}" for name in read)
    return [f"Measured in the pictures, without any label: {told}."] if read else []


def effect_methods(table: HasEffects) -> list[str]:
    """How the effects came about, from the settings that the table remembers."""
    made, frame = table.provenance, table.frame
    kinds = labels.enumerate_words([str(kind).replace("-", " ") for kind in frame["intervention"].unique()])
    controls = [str(kind) for kind in frame["control"].unique() if kind != "none"]
    return [
        f"{frame['cell'].nunique()} interventions ({kinds}) were made while {made['model']} generated, in "
        f"{made['steps']} steps at guidance {made['guidance']:g}, each for {made['pairs']} pairs of a donor A and a "
        "receiver B: C is B's picture with what A had at that place and time.",
        "The effect is how far C goes from B (0) to A (1) in a property, as read from the pictures; pairs in which A "
        f"and B do not differ in it are left out ({int(frame['n'].min())} to {int(frame['n'].max())} remain).",
        f"The {labels.interval_name(float(made['confidence']))} is over pairs ({made['resamples']:,} bootstrap "
        f"samples). Tested: {made['tested']}.",
        f"Controls: {', '.join(controls)}." if controls else "No controls (random sites, random directions) were made.",
    ]


def comparable_cells(table: HasEffects, sites: Sequence[str]) -> list[int]:
    """Cells that a probe's sites can be compared with: one intervention in one window, that of the most ``sites``."""
    frame = read_effects(table).drop_duplicates("cell")
    frame = frame[frame["site"].isin(list(sites))]
    if frame.empty:
        return []
    groups = frame.fillna({"dose": 0.0}).groupby(["intervention", "window", "half", "dose"], sort=False)
    best = max((list(own["cell"]) for _, own in groups if own["site"].is_unique), key=len, default=[])
    return [int(cell) for cell in best]


@dataclass(frozen=True)
class EffectTableText:
    """The effects on one property as text: place, window, effect, interval, pairs, q-value."""

    column: str
    property: str
    rows: tuple[tuple[str, str, str, str, str, str, str], ...]


def effect_tables(table: HasEffects) -> list[EffectTableText]:
    """The numbers behind the effect heatmaps, a table a property; each row starts with a name and a site."""
    frame = read_effects(table)
    names = row_names(frame)
    tables = []
    for name in frame["property"].unique():
        own = frame[frame["property"] == name]
        rows = tuple(
            (
                names[int(row["cell"])], str(row["site"]), str(row["window"]), number(float(row["effect"])),
                f"{number(float(row['low']))} to {number(float(row['high']))}", str(int(row["n"])),
                f"{float(row['q_value']):.3f}",
            )
            for _, row in own.iterrows()
        )  # fmt: skip
        tables.append(EffectTableText(str(name), labels.property_title(str(name)), rows))
    return tables


def effects_picture(table: HasEffects) -> Picture:
    """The effects as a static figure."""
    frame = read_effects(table)
    alt = f"Effects with intervals of {frame['cell'].nunique()} interventions; the numbers stand in the tables below."
    return as_picture(plot_effects(frame, title=labels.EFFECTS_TITLE), labels.EFFECTS_TITLE, alt)


@dataclass(frozen=True)
class Comparison:
    """Decodable against causal: the ``picture``, and of each mark property, place, site, both values and reading."""

    picture: Picture
    rows: tuple[tuple[str, str, str, str, str, str], ...]


def comparison(probes: HasFrame | pd.DataFrame, table: HasEffects, sites: Sequence[str]) -> Comparison | None:
    """Decodable against causal; None where the two have fewer than two sites in common, or come as bare frames."""
    cells = comparable_cells(table, sites)
    if len(cells) < 2 or not isinstance(probes, ProbeTable) or not isinstance(table, EffectTable):
        return None
    if set(table.properties).isdisjoint(probes.frame["property"]):
        return None
    found = compare_with_probes(probes, table, cells=cells)
    counts = found.frame.groupby("reading").size()
    said = ", ".join(f"{reading}: {count}" for reading, count in counts.items())
    alt = f"Decodable against causal, a mark for each of {len(cells)} sites and property. {said}."
    return Comparison(as_picture(plot_agreement(found), labels.AGREEMENT_TITLE, alt), agreement_rows(found.frame))


def agreement_rows(frame: pd.DataFrame) -> tuple[tuple[str, str, str, str, str, str], ...]:
    """The ``frame`` of an agreement as text, a row a mark."""
    short = site_names.short_site_names([str(site) for site in frame["site"].unique()])
    return tuple(
        (
            str(row["property"]), short[str(row["site"])], str(row["site"]),
            labels.with_interval(*(float(row[part]) for part in ("decodable", "decodable_low", "decodable_high"))),
            labels.with_interval(*(float(row[part]) for part in ("effect", "low", "high"))), str(row["reading"]),
        )
        for _, row in frame.iterrows()
    )  # fmt: skip
