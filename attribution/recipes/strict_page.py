"""The page of the study of strict and broad synthesis: what was found, in plain words, with every interval."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from outcrop.attribution.contrast import Contrast
from outcrop.attribution.labour import Labour
from outcrop.attribution.recipe import Verdict
from outcrop.attribution.recipes.run import Setting
from outcrop.attribution.recipes.strict_or_broad import ALL, CARD, PROPERTIES, Family
from outcrop.data.atomic import write_atomic

PAGE, TEMPLATE = "strict-or-broad.md", "strict-or-broad.md.jinja"
DECISION = "0008-division-of-labour.md"


def write_page(
    families: Sequence[Family], verdict: Verdict, *, setting: Setting, folder: Path, picture: str = f"{CARD.name}.png"
) -> Path:
    """Write ``strict-or-broad.md`` into ``folder``; ``picture`` is where the figure lies, seen from there."""
    from jinja2 import Environment, StrictUndefined

    text = (resources.files("outcrop.attribution.recipes") / TEMPLATE).read_text(encoding="utf-8")
    # Markdown, not HTML: nothing is to be escaped.
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    page = environment.from_string(text).render(
        card=CARD,
        families=families,
        models=", ".join(family.model for family in families),
        verdict=verdict,
        answers=answers(families),
        picture=picture,
        index_rows=index_rows(families),
        latent_rows=latent_rows(families),
        part_rows=part_rows(verdict),
        settled=_number(ALL),
        open=_number(1 - ALL),
        setting=setting,
        counts="; ".join(map(_counts, families)),
        decision=DECISION,
    )
    path = folder / PAGE
    write_atomic(path, page.encode())
    return path


def index_rows(families: Sequence[Family]) -> str:
    """A table: model, what was given from A, places, index, interval, and where each property is carried most."""
    peaks = " | ".join(f"{name} most at" for name in PROPERTIES)
    lines = [
        f"| model | given from A | places | index | 95 % interval | {peaks} |",
        f"| --- | --- | --- | --- | --- |{' --- |' * len(PROPERTIES)}",
    ]
    for family in families:
        for done, labour in family.drawn().items():
            tops = " | ".join(_top(labour, name) for name in PROPERTIES)
            places = labour.profiles.shape[1]
            interval = f"{_number(labour.low)} to {_number(labour.high)}"
            lines.append(f"| {family.model} | {done} | {places} | {_number(labour.index)} | {interval} | {tops} |")
    return "\n".join(lines)


def latent_rows(families: Sequence[Family]) -> str:
    """A table of the effect of the initial latent alone, per model and property (colour where it is read, too)."""
    names = [name for name in (*PROPERTIES, "colour") if all(name in family.latent for family in families)]
    lines = [f"| model | {' | '.join(names)} |", f"| --- |{' --- |' * len(names)}"]
    for family in families:
        cells = " | ".join(_with_interval(family.latent[name]) for name in names)
        lines.append(f"| {family.model} | {cells} |")
    return "\n".join(lines)


def answers(families: Sequence[Family]) -> list[str]:
    """One sentence each on the latent and on every index, per model."""
    return [line for family in families for line in (_latent_line(family), *_labour_lines(family))]


def _latent_line(family: Family) -> str:
    settled = [name for name in PROPERTIES if family.latent[name].low > ALL]
    open_ones = [name for name in PROPERTIES if family.latent[name].high < 1 - ALL]
    between = [name for name in PROPERTIES if name not in settled and name not in open_ones]
    parts = []
    for names, verb in (
        (settled, "settles"),
        (open_ones, "does not settle"),
        (between, "settles a part of, or is too noisy for,"),
    ):
        if names:
            shown = ", ".join(f"{name} {_with_interval(family.latent[name])}" for name in names)
            parts.append(f"{verb} {shown}")
    return f"**{family.model}**: the initial latent alone {'; it '.join(parts)}."


def _labour_lines(family: Family) -> list[str]:
    return [f"**{family.model}**, {done}: {_labour_words(labour)}" for done, labour in family.drawn().items()]


def _labour_words(labour: Labour) -> str:
    if np.isnan(labour.index):
        carried = [name for name in map(str, labour.properties.index) if name not in labour.left_out]
        return f"no index; only {carried[0] if carried else 'no property'} is carried by any of them."
    interval = f"index {_number(labour.index)} ({_number(labour.low)} to {_number(labour.high)})"
    both = labour.pairs[~labour.pairs[["property", "other"]].isin(labour.left_out).any(axis=1)]
    widest = both.sort_values("apart").iloc[-1]
    words = f"{interval}; furthest apart are {widest['property']} and {widest['other']} ({_number(widest['apart'])})"
    left = f"; nothing carries {', '.join(labour.left_out)}" if labour.left_out else ""
    return f"{words}{left}."


def part_rows(verdict: Verdict) -> str:
    """A table: every part of the claim, what was found, and whether that shows it."""
    lines = ["| part of the claim | value | 95 % interval | reading |", "| --- | --- | --- | --- |"]
    for row in verdict.figures.to_dict("records"):
        interval = f"{_number(row['low'])} to {_number(row['high'])}"
        lines.append(f"| {row['part']} | {_number(row['value'])} | {interval} | {row['reading']} |")
    return "\n".join(lines)


def _counts(family: Family) -> str:
    counts = [f"{name} {int(family.table.scores[name].read.sum())}" for name in PROPERTIES]
    return f"{family.model} {', '.join(counts)}"


def _top(labour: Labour, name: str) -> str:
    if name not in labour.properties.index or not labour.properties.loc[name, "caused"]:
        return "nowhere"
    place = str(labour.properties.loc[name, "top"])
    return f"`{place}` ({_number(float(labour.profiles[place][name]))})"


def _with_interval(found: Contrast) -> str:
    return f"{_number(found.value)} ({_number(found.low)} to {_number(found.high)})"


def _number(value: float) -> str:
    """Two decimals without a leading zero, as in the figures."""
    if not np.isfinite(value):
        return "–"
    text = f"{abs(value):.2f}"
    return ("−" if value < 0 and float(text) else "") + text.removeprefix("0")
