"""Single heads of cross-attention: are the most relevant ones for a property really the ones it hangs on?"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from outcrop.attribution.cells import Cell
from outcrop.attribution.effect_table import EffectTable
from outcrop.attribution.effects import effects
from outcrop.attribution.interventions import HeadScaling
from outcrop.attribution.places import of_role
from outcrop.attribution.readouts import Readout
from outcrop.attribution.recipe import (
    KINDS,
    NOT_TESTABLE,
    TOO_FEW,
    Card,
    Hypothesis,
    RecipePlan,
    Side,
    Verdict,
    judge,
    readable,
)
from outcrop.attribution.recipes.run import Setting
from outcrop.attribution.run import run_study
from outcrop.attribution.study import parse_study
from outcrop.capture.source import open_source

CARD = Card(
    "head-relevance",
    "single heads of cross-attention specialise: silencing a property's most relevant heads costs more of it than "
    "silencing as many of the least relevant ones",
    "Park et al. 2024, HRV, SD1.4 and SDXL (data)",
    "relevance is what silencing the head alone costs, measured on pairs of their own",
)
SHARE = 0.25
"""The part of all heads that is silenced together."""

Head = tuple[str, int]


def head_relevance(
    model: str,
    *,
    readouts: Sequence[Readout],
    setting: Setting,
    out: Path,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Verdict, EffectTable | None]:
    """Rank the heads on one set of pairs, silence the first and the last of the ranking on another."""
    source = open_source(model, device=setting.device)
    layers = [site.name for site in of_role(source.sites(**setting.size), "cross-attention")]
    modules: list[Any] = [source.denoiser.get_submodule(name) for name in layers]
    heads = [(name, head) for name, module in zip(layers, modules, strict=True) for head in range(module.heads)]
    if len(heads) < 4:
        return Verdict(CARD, model, NOT_TESTABLE, "the model has fewer than four heads of cross-attention"), None
    singly = [silenced(f"{name} head {head}", [(name, head)]) for name, head in heads]
    ranking = _study(model, singly, readouts, setting, out / "ranking", progress)
    kinds = [kind for kind in KINDS if readable(kind, ranking)]
    if not kinds:
        return Verdict(CARD, model, TOO_FEW, "too few pictures could be read"), None
    count = max(1, round(SHARE * len(heads)))
    orders = {kind: rank_heads(ranking, readable(kind, ranking), heads) for kind in kinds}
    cells = [
        silenced(f"{end} for {kind}", chosen)
        for kind, order in orders.items()
        for end, chosen in (("most relevant", order[:count]), ("least relevant", order[-count:]))
    ]
    other = replace(setting, seed=setting.seed + 2 * setting.pairs)
    table = _study(model, cells, readouts, other, out / "test", progress)
    table.save(out)
    plan = RecipePlan(
        cells=tuple(cells),
        hypotheses=tuple(
            Hypothesis(
                f"the most relevant heads for {kind} cost more of it than the least relevant ones",
                Side((kind,), (f"most relevant for {kind}",)),
                Side((kind,), (f"least relevant for {kind}",)),
            )
            for kind in kinds
        ),
        mapping={
            f"most relevant for {kind}": tuple(f"{name} head {head}" for name, head in order[:count])
            for kind, order in orders.items()
        },
        measure="necessity",
    )
    return judge(CARD, plan, table), table


def silenced(name: str, heads: Sequence[Head]) -> Cell:
    """A cell in which all of ``heads`` (site, number) put out nothing."""
    layers: dict[str, list[int]] = {}
    for site, head in heads:
        layers.setdefault(site, []).append(head)
    return Cell(
        interventions=tuple(HeadScaling(sites=(site,), heads=tuple(own), factor=0.0) for site, own in layers.items()),
        name=name,
    )


def rank_heads(table: EffectTable, names: Sequence[str], heads: Sequence[Head]) -> list[Head]:
    """``heads``, one per cell of ``table``, by what silencing them costs of the properties ``names``: most first."""
    costs = []
    for cell in range(len(heads)):
        rows = table.frame[(table.frame["cell"] == cell) & table.frame["property"].isin(names)]
        costs.append(float(rows["necessity"].mean()))
    return [heads[at] for at in np.argsort(-np.array(costs), kind="stable")]


def _study(
    model: str,
    cells: Sequence[Cell],
    readouts: Sequence[Readout],
    setting: Setting,
    out: Path,
    progress: Callable[[int, int], None] | None,
) -> EffectTable:
    fields: dict[str, Any] = setting.fields(model, share_seed=True) | {"cells": tuple(cells)}
    return effects(run_study(parse_study(fields, where=CARD.name), out, progress=progress), readouts)
