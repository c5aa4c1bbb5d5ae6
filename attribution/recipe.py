"""Recipes: a published claim as a study that any model can be put to, with a verdict at its end.

A recipe turns a model's sites into a :class:`RecipePlan`: cells to run and hypotheses about their effects. A claim
*holds* where every hypothesis is shown (its interval lies above :data:`LEAST`); as all of them are needed, no
correction for their number is (Berger 1982, intersection-union test).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd

from outcrop.attribution.cells import Cell
from outcrop.attribution.contrast import Contrast, Measure, contrast
from outcrop.attribution.effect_table import LEAST_PAIRS, EffectTable
from outcrop.capture.sites import Site

Outcome = Literal["holds", "does not hold", "not testable on this model", "not tested: too few pairs"]
NOT_TESTABLE: Outcome = "not testable on this model"
TOO_FEW: Outcome = "not tested: too few pairs"
LEAST = 0.05
"""Differences up to this part of the way from B to A count as none."""

KINDS: Mapping[str, tuple[str, ...]] = {
    "content": ("content", "keypoints"),
    "style": ("style", "texture", "colours"),
    "layout": ("layout", "place", "structure"),
}
"""Which readouts stand for which kind of property: the first ones by name, or else those by descriptors."""


class NotTestableError(Exception):
    """The model lacks what the claim is about."""


@dataclass(frozen=True)
class Card:
    """``claim`` in one sentence, its ``source``, and what this recipe does in ``departure`` from it."""

    name: str
    claim: str
    source: str
    departure: str = ""


@dataclass(frozen=True)
class Side:
    """``kinds`` of properties (see :data:`KINDS`) at the cells of ``names``: the mean of their effects."""

    kinds: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Hypothesis:
    """The effect of ``more`` exceeds that of ``less`` (or 0)."""

    text: str
    more: Side
    less: Side | None = None


@dataclass(frozen=True)
class RecipePlan:
    """``cells`` to run, each named; ``hypotheses``; ``mapping`` of the claim's places to the model's sites."""

    cells: tuple[Cell, ...]
    hypotheses: tuple[Hypothesis, ...]
    mapping: Mapping[str, tuple[str, ...]]
    measure: Measure = "effect"
    share_seed: bool = True


class Recipe(Protocol):
    """A claim that interventions test."""

    @property
    def card(self) -> Card: ...

    def plan(self, sites: Sequence[Site]) -> RecipePlan:
        """For a model with these ``sites``, in execution order. Raises :class:`NotTestableError`."""
        ...


@dataclass(frozen=True)
class Finding:
    """What became of one hypothesis."""

    text: str
    found: Contrast

    @property
    def reading(self) -> str:
        if np.isnan(self.found.value):
            return "cannot be read"
        if self.found.low > LEAST:
            return "shown"
        return "the reverse is shown" if self.found.high < -LEAST else "not shown"


@dataclass(frozen=True)
class Verdict:
    """How a claim fared on a model. ``figures``: a row per hypothesis or measured quantity; ``basis``: how many pairs
    or pictures they rest on, and what was read off them.
    """

    card: Card
    model: str
    outcome: Outcome
    reason: str
    figures: pd.DataFrame = field(default_factory=pd.DataFrame)
    mapping: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    basis: Mapping[str, Any] = field(default_factory=dict)

    def to_text(self) -> str:
        lines = [f"{self.card.name} on {self.model}: {self.outcome.upper()}", f"  claim   {self.card.claim}"]
        lines.append(f"  source  {self.card.source}")
        if self.card.departure:
            lines.append(f"  differs {self.card.departure}")
        lines += [f"  where   {place}: {', '.join(names)}" for place, names in self.mapping.items()]
        if "pairs read" in self.basis:
            read = ", ".join(f"{name} {count}" for name, count in self.basis["pairs read"].items())
            lines.append(f"  rests   on {self.basis['pairs']} pairs; of them could be read: {read}")
        lines.append(f"  verdict {self.reason}")
        if len(self.figures):
            lines += ["", self.figures.to_string(index=False, float_format="{:.2f}".format)]
        return "\n".join(lines)


def judge(card: Card, plan: RecipePlan, table: EffectTable) -> Verdict:
    """Hold the hypotheses of ``plan`` against the effects."""
    findings = [Finding(one.text, _test(one, plan, table)) for one in plan.hypotheses]
    figures = pd.DataFrame(
        {
            "hypothesis": [one.text for one in findings],
            "difference": [one.found.value for one in findings],
            "low": [one.found.low for one in findings],
            "high": [one.found.high for one in findings],
            "reading": [one.reading for one in findings],
        }
    )
    outcome, reason = _conclude(findings)
    return Verdict(card, str(table.provenance["model"]), outcome, reason, figures, plan.mapping, _basis(table))


def _basis(table: EffectTable) -> dict[str, Any]:
    settings = {name: table.provenance[name] for name in ("pairs", "steps", "guidance", "confidence", "resamples")}
    return settings | {"pairs read": {name: int(one.read.sum()) for name, one in table.scores.items()}}


def _conclude(findings: Sequence[Finding]) -> tuple[Outcome, str]:
    blind = [one.text for one in findings if one.reading == "cannot be read"]
    if blind:
        few = f"fewer than {LEAST_PAIRS} pairs could be read (give more with --pairs)"
        return TOO_FEW, f"{few} for: {'; '.join(blind)}"
    failed = [one for one in findings if one.reading != "shown"]
    if not failed:
        return "holds", "every part of it is shown"
    parts = [f"{one.reading}: {one.text}, {one.found.to_text()}" for one in failed]
    return "does not hold", "; ".join(parts)


def _test(one: Hypothesis, plan: RecipePlan, table: EffectTable) -> Contrast:
    more = _entries(one.more, table)
    less = _entries(one.less, table) if one.less else []
    if not more or (one.less and not less):
        return Contrast(np.nan, np.nan, np.nan)
    return contrast(table, more, less, measure=plan.measure)


def _entries(side: Side, table: EffectTable) -> list[tuple[str, int]]:
    """None where one of the kinds cannot be read: a claim about several is not decided by the others."""
    cells = [table.cell(name) for name in side.names]
    names = [readable(kind, table) for kind in side.kinds]
    return [(name, cell) for own in names for name in own for cell in cells] if all(names) else []


def readable(kind: str, table: EffectTable) -> list[str]:
    """The properties of the table that stand for ``kind`` and can be read off enough pairs: its own, or where the table
    has no reading of that name the descriptors.
    """
    standing = (kind,) if kind in table.scores else KINDS[kind]
    return [name for name in standing if name in table.scores and table.scores[name].read.sum() >= LEAST_PAIRS]
