"""Putting a model to a recipe: sites, study, effects, verdict."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from outcrop.attribution.effect_table import EffectTable
from outcrop.attribution.effects import effects
from outcrop.attribution.folders import VERDICT
from outcrop.attribution.outcomes import Outcomes
from outcrop.attribution.readouts import Readout
from outcrop.attribution.recipe import NOT_TESTABLE, NotTestableError, Recipe, RecipePlan, Verdict, judge
from outcrop.attribution.run import run_study
from outcrop.attribution.study import PairPlan, default_guidance, parse_study
from outcrop.capture.source import open_source
from outcrop.data.atomic import write_atomic
from outcrop.data.errors import InputError

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Setting:
    """How a recipe is run: ``pairs`` of prompts (the demo's, or those in the file ``prompts``) and the fields of a
    study: ``steps``, ``guidance``, ``batch``, ``device``, ``height`` and ``width`` (0: the model's own).
    """

    pairs: int = 60
    prompts: str | None = None
    steps: int = 20
    guidance: float | None = None
    batch: int = 48
    device: str = "cpu"
    seed: int = 0
    height: int = 0
    width: int = 0

    def fields(self, model: str, *, share_seed: bool) -> dict[str, Any]:
        """As a study's specification has them, without the cells."""
        plan = PairPlan(count=self.pairs, seed=self.seed, first_seed=self.seed, share_seed=share_seed)
        given: dict[str, Any] = {"model": model, "pairs": plan, "steps": self.steps, "batch": self.batch}
        given |= {"guidance": self.guided(model), "device": self.device}
        return given | self.size | ({"prompts": {"file": self.prompts}} if self.prompts else {})

    def guided(self, model: str) -> float | None:
        """The guidance asked for, or else that of the demo for its models, or the pipeline's own (None)."""
        return default_guidance(model) if self.guidance is None else self.guidance

    @property
    def size(self) -> dict[str, int]:
        """Height and width, where they are not the model's own."""
        return {name: value for name, value in (("height", self.height), ("width", self.width)) if value}


@dataclass(frozen=True)
class RecipeRun:
    """A verdict and what it rests on; nothing but the verdict where the model lacks what the claim is about."""

    verdict: Verdict
    plan: RecipePlan | None = None
    outcomes: Outcomes | None = None
    table: EffectTable | None = None


def run_recipe(
    recipe: Recipe,
    model: str,
    *,
    readouts: Sequence[Readout],
    setting: Setting,
    out: Path,
    progress: Progress | None = None,
) -> RecipeRun:
    """Run a recipe on ``model`` and write study, effects and verdict into ``out``.

    A study that was stopped goes on when the same is asked for again. Raises :class:`InputError` for a model that
    cannot be opened and for pairs that cannot be read.
    """
    sites = open_source(model, device=setting.device).sites(**setting.size)
    try:
        plan = recipe.plan(sites)
    except NotTestableError as reason:
        verdict = Verdict(recipe.card, model, NOT_TESTABLE, str(reason))
        save_verdict(verdict, out, setting=setting)
        return RecipeRun(verdict)
    fields = setting.fields(model, share_seed=plan.share_seed) | {"cells": plan.cells}
    outcomes = run_study(parse_study(fields, where=f"the recipe {recipe.card.name}"), out / "study", progress=progress)
    try:
        table = effects(outcomes, readouts)
    except InputError as reason:
        verdict = Verdict(recipe.card, model, NOT_TESTABLE, str(reason), mapping=plan.mapping)
        save_verdict(verdict, out, setting=setting)
        return RecipeRun(verdict, plan, outcomes)
    table.save(out)
    verdict = judge(recipe.card, plan, table)
    save_verdict(verdict, out, setting=setting)
    return RecipeRun(verdict, plan, outcomes, table)


def save_verdict(verdict: Verdict, folder: Path, *, setting: Setting) -> None:
    """Write ``verdict.json``."""
    record = {
        "recipe": verdict.card.name,
        "claim": verdict.card.claim,
        "source": verdict.card.source,
        "departure": verdict.card.departure,
        "model": verdict.model,
        "outcome": verdict.outcome,
        "reason": verdict.reason,
        "mapping": {place: list(names) for place, names in verdict.mapping.items()},
        "settings": asdict(setting),
        "basis": dict(verdict.basis),
        "figures": json.loads(verdict.figures.to_json(orient="records")),
    }
    write_atomic(folder / VERDICT, json.dumps(record, indent=2).encode() + b"\n")
