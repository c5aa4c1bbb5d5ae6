"""What a probe table says, in sentences: answers, alternative texts, methods and caveats of the report."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from outcrop.viz import labels, site_names
from outcrop.viz.grid import PropertyGrid
from outcrop.viz.labels import number

MOST_GROUPS_TO_WARN = 20  # below this many groups, an interval over groups is itself uncertain


@dataclass(frozen=True)
class Answer:
    """The answer for one property: ``claim`` (where and when), ``figures`` behind it, and ``context`` (how sharp)."""

    title: str
    decodable: bool
    claim: str
    figures: str
    context: str


def answer(grid: PropertyGrid, names: dict[str, str], *, confidence: float | None) -> Answer:
    """Where and when the property of ``grid`` is decodable best, or that it is not."""
    row, column = grid.best
    place = ", ".join(labels.unbroken(text) for text in (names[grid.sites[row]], labels.step_name(grid.axis, column)))
    low, high = float(grid.low[row, column]), float(grid.high[row, column])
    title = labels.property_title(grid.name)
    decodable = not bool(grid.unclear[row, column])
    claim = (
        f"{title} is decodable best at {place}."
        if decodable
        else f"{title} is not shown to be decodable: even the best cell ({place}) does not clear the chance or "
        "majority level."
    )
    figures = (
        f"Accuracy {number(float(grid.values[row, column]))}, {labels.interval_name(confidence)} "
        f"{number(low)}–{number(high)}; chance {number(grid.chance)}, majority level {number(grid.majority)}, "
        f"control task {number(float(grid.control[row, column]))}."
    )
    return Answer(title, decodable, claim, figures, _context(grid, low) if decodable else "")


def _context(grid: PropertyGrid, low: float) -> str:
    """How many other cells do about as well as the best one, and from when on most sites carry the property."""
    cells = int(np.isfinite(grid.values).sum())
    rivals = int(np.sum(np.where(np.isfinite(grid.values), grid.values, -np.inf) >= low)) - 1
    return f"{labels.rivals(rivals, cells - 1)} {_spread(grid)}".strip()


def _spread(grid: PropertyGrid) -> str:
    """At which steps at least half of the sites are above the floor."""
    probed = np.isfinite(grid.values).sum(axis=0)
    clear = (np.isfinite(grid.values) & ~grid.unclear).sum(axis=0)
    columns = np.flatnonzero(2 * clear >= np.maximum(probed, 1))
    if len(grid.axis.steps) == 1:
        return f"{clear[0]} of {probed[0]} sites are above chance."
    if len(columns) == 0:
        return "At no step is it decodable at half of the sites or more."
    if len(columns) == len(grid.axis.steps):
        return "At every step it is decodable at half of the sites or more."
    first, last = (labels.step_name(grid.axis, int(column)) for column in (columns[0], columns[-1]))
    if len(columns) == 1:
        return f"At {first} it is decodable at half of the sites or more."
    gaps = "" if columns[-1] - columns[0] + 1 == len(columns) else ", with gaps,"
    return f"Between {first} and {last}{gaps} it is decodable at half of the sites or more."


def reading_guide(grid: PropertyGrid, names: dict[str, str]) -> list[str]:
    """The words that a reader new to the subject needs for this table, each explained once."""
    used = {word for name in names.values() for part in name.split(site_names.SEPARATOR) for word in part.split()}
    parts = [f"{word} is {meaning}" for word, meaning in labels.GLOSSARY.items() if word in used]
    guide = [
        "A probe is a simple classifier that sees only what one place in the network (a site) puts out at one step, "
        "and has to name the property. Accuracy is the share of unseen images for which it names it rightly.",
        labels.STEP_GUIDES[grid.axis.kind],
    ]
    return guide + ([f"In the names of sites, {'; '.join(parts)}."] if parts else [])


def heatmap_alt(grids: Sequence[PropertyGrid], names: dict[str, str]) -> str:
    """An alternative text for the heatmap of ``grids``."""
    bests = "; ".join(
        f"{grid.name}: {first}, at {second}"
        for grid in grids
        for first, second in (labels.best_lines(grid, names),)
    )  # fmt: skip
    return (
        f"Heatmap of probe accuracy, {len(grids[0].sites)} sites in rows from the input down, "
        f"{len(grids[0].axis.steps)} steps in columns from noisy to clean, one panel per property. {bests}."
    )


def architecture_alt(grids: Sequence[PropertyGrid], names: dict[str, str]) -> str:
    """An alternative text for the drawn model."""
    bests = "; ".join(f"{grid.name}: {labels.best_at(grid, grid.best[1], names)}" for grid in grids)
    return f"The model drawn as {len(grids[0].sites)} sites, each coloured by probe accuracy. {bests}."


def profiles_alt(grids: Sequence[PropertyGrid]) -> str:
    """An alternative text for the profiles over depth."""
    listed = ", ".join(grid.name for grid in grids)
    return f"Lines of probe accuracy over {len(grids[0].sites)} sites in execution order, for {listed}."


def steps_alt(grids: Sequence[PropertyGrid]) -> str:
    """An alternative text for the curves over steps."""
    listed = ", ".join(grid.name for grid in grids)
    return f"Lines of probe accuracy over {len(grids[0].axis.steps)} steps from noisy to clean, for {listed}."


def methods(frame: pd.DataFrame, *, settings: dict[str, Any]) -> list[str]:
    """How the numbers came about; what the table does not say is left out."""
    cells = frame[["site", "step"]].drop_duplicates()
    folds = settings.get("folds")
    return [
        f"{frame['property'].nunique()} properties were probed at {frame['site'].nunique()} sites and "
        f"{frame['step'].nunique()} steps ({len(cells)} places, {len(frame)} probes).",
        "Each probe is a multinomial logistic regression (L2) on the standardised activations of one site at one step, "
        "asked to name the property. Its strength of regularisation was chosen inside the training folds"
        f"{_strengths(frame)}.",
        f"Accuracy was measured on {_count(frame, 'n')} images that the probe had not seen"
        f"{f', in {folds} folds' if folds else ''}. {_grouping(frame, settings.get('kept_apart'))}",
        f"The {labels.interval_name(settings.get('confidence'))} is over these groups, not over single images"
        f"{_resampling(settings.get('bootstraps'))}.",
        "Chance is what blind guessing reaches; the majority level is what always naming the largest class reaches. "
        "The control task gives random labels to whole groups: what a probe reaches there, it owes to its own "
        "flexibility. Selectivity is the accuracy minus that.",
    ]


def _grouping(frame: pd.DataFrame, kept_apart: Sequence[str] | None) -> str:
    columns = kept_apart or [part for part in re.split(r" x |,\s*", str(frame["group_by"].iloc[0])) if part]
    groups = _count(frame, "groups")
    if not columns:
        return f"There were {groups} groups."
    same = " or ".join(f"the same {column}" for column in columns)
    return f"Images with {same} were never on both sides of a split; there were {groups} groups."


def _resampling(bootstraps: int | None) -> str:
    return f" ({bootstraps:,} bootstrap samples; the probes were not fitted anew)" if bootstraps else ""


def _strengths(frame: pd.DataFrame) -> str:
    if "strength" not in frame.columns or not frame["strength"].notna().any():
        return ""
    low, high = (f"{float(f'{end:.3g}'):g}" for end in (frame["strength"].min(), frame["strength"].max()))
    return f" (C = {low})" if low == high else f" (median C between {low} and {high})"


def _count(frame: pd.DataFrame, column: str) -> str:
    low, high = int(frame[column].min()), int(frame[column].max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def caveats(frame: pd.DataFrame, *, settings: dict[str, Any]) -> list[str]:
    """What must not be concluded from the table."""
    cells = int(frame.groupby("property").size().max())
    sentences = [
        "Decodable is not causal. A probe shows that a site carries information about a property; whether the "
        "generator uses it there takes an intervention.",
    ]
    if cells > 1:
        sentences.append(
            f"The best cell is the largest of {cells:,} estimates, hence optimistic: part of its lead is luck. Its "
            "interval does not correct for that choice."
        )
    for first, second in settings.get("confounded", []):
        sentences.append(
            f"{labels.property_title(first)} and {second} vary together in these images: a probe of one also reads the "
            "other, and their maps cannot be told apart."
        )
    if int(frame["groups"].min()) < MOST_GROUPS_TO_WARN:
        sentences.append(
            f"There are only {_count(frame, 'groups')} groups. An interval over so few is itself uncertain, and tends "
            "to be too narrow."
        )
    sentences.append(
        "Not decodable by a linear probe on this many images is not the same as absent: the information may be there "
        "in a form that a straight cut does not find, or may have been averaged away when activations were recorded."
    )
    if float((frame["majority"] - frame["chance"]).max()) > 0.1:
        sentences.append(
            "The classes of at least one property are of unequal size. Compare its accuracy with the majority level, "
            "not with chance."
        )
    return sentences
