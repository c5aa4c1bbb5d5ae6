"""The page of the study of strict and broad synthesis: what was found, in plain words, with every interval."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from outcrop.attribution.agreement import READINGS
from outcrop.attribution.contrast import Contrast
from outcrop.attribution.labour import Labour
from outcrop.attribution.recipe import Verdict
from outcrop.attribution.recipes.run import Setting
from outcrop.attribution.recipes.strict_or_broad import ALL, CARD, PROPERTIES, Family
from outcrop.data.atomic import write_atomic

PAGE, TEMPLATE = "strict-or-broad.md", "strict-or-broad.md.jinja"
DECISION = "docs/decisions/0008-division-of-labour.md"
SHARED, OWN, UNDECIDED = 0.25, 0.75, 0.5
"""Below the first and above the second an index has a plain word; an interval wider than the third leaves it open."""


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
        decoded_rows=decoded_rows(families),
        obeyed="; ".join(f"{one.model} {_obeyed(one)}" for one in families if one.obeyed),
        part_rows=part_rows(verdict),
        settled=_number(ALL),
        open=_number(1 - ALL),
        shared=_number(SHARED),
        own=_number(OWN),
        undecided=_number(UNDECIDED),
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


def decoded_rows(families: Sequence[Family]) -> str:
    """A table: per model and property what probes read at the blocks, and how that agrees with what patches cause.

    Nothing for no model that was probed.
    """
    if all(family.agreement is None for family in families):
        return ""
    lines = [
        "| model | property | decodable, least to most of its blocks | decodable but unused | used but not linearly "
        "decodable | rank correlation with the effect |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for family in families:
        if family.agreement is None:
            continue
        frame = family.agreement.frame
        for row in family.agreement.correlations.to_dict("records"):
            own = frame[frame["property"] == row["property"]]
            extent = f"{_number(own['decodable'].min())} to {_number(own['decodable'].max())}"
            apart = [
                ", ".join(f"`{site}`" for site in own["site"][own["reading"] == reading]) or "none"
                for reading in (READINGS["yes", "no"], READINGS["no", "yes"])
            ]
            found = Contrast(row["correlation"], row["low"], row["high"])
            lines.append(
                f"| {family.model} | {row['property']} | {extent} | {apart[0]} | {apart[1]} | {_with_interval(found)} |"
            )
    return "\n".join(lines)


def answers(families: Sequence[Family]) -> list[str]:
    """A few sentences per model: on the latent, and on every index."""
    return [f"**{one.model}**. {' '.join((_latent_words(one), *_labour_lines(one)))}" for one in families]


def _latent_words(family: Family) -> str:
    settled = [name for name in PROPERTIES if family.latent[name].low > ALL]
    left = [name for name in PROPERTIES if family.latent[name].high < 1 - ALL]
    between = [name for name in PROPERTIES if name not in settled and name not in left]
    parts = []
    for names, verb in (
        (settled, "settles"),
        (left, "does not settle"),
        (between, "settles a part of, or these pairs are too few to tell for,"),
    ):
        if names:
            parts.append(f"{verb} {_listed([f'{name} {_with_interval(family.latent[name])}' for name in names])}")
    return f"The initial latent alone {'; it '.join(parts)}."


def _labour_lines(family: Family) -> list[str]:
    found = {
        "Given A's output of one block": family.patched,
        "Given A's prompt or style at one layer": family.told,
        "Given A's prompt in one window of steps": family.when,
    }
    return [f"{given}, {_labour_words(labour)}" for given, labour in found.items() if labour is not None]


def _labour_words(labour: Labour) -> str:
    kept = [name for name in map(str, labour.properties.index) if name not in labour.left_out]
    none = f"nothing is seen to carry {_listed(labour.left_out)}" if labour.left_out else ""
    if np.isnan(labour.index):
        return f"no index can be had: {none}."
    if labour.high - labour.low > UNDECIDED:
        reading = "it stays open whether the same places carry"
    elif labour.high < SHARED:
        reading = "nearly the same places carry"
    elif labour.low > OWN:
        reading = "different places carry"
    else:
        reading = "partly the same places carry"
    interval = f"index {_number(labour.index)} ({_number(labour.low)} to {_number(labour.high)})"
    return f"{reading} {_listed(kept)} ({interval}){f'; {none}' if none else ''}."


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def part_rows(verdict: Verdict) -> str:
    """A table: every part of the claim, what was found, and whether that shows it."""
    lines = ["| part of the claim | value | 95 % interval | reading |", "| --- | --- | --- | --- |"]
    for row in verdict.figures.to_dict("records"):
        interval = f"{_number(row['low'])} to {_number(row['high'])}"
        lines.append(f"| {row['part']} | {_number(row['value'])} | {interval} | {row['reading']} |")
    return "\n".join(lines)


def _obeyed(family: Family) -> str:
    return ", ".join(f"{name} {_number(family.obeyed[name])}" for name in PROPERTIES if name in family.obeyed)


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
