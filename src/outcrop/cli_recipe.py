"""``outcrop attribute --recipe NAME``: a published claim put to a model, readouts bound to what is at hand."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outcrop.console import progress

if TYPE_CHECKING:
    from outcrop.attribution.effect_table import EffectTable
    from outcrop.attribution.readouts import Readout
    from outcrop.attribution.recipe import Verdict
    from outcrop.attribution.recipes.run import Setting

SHIPPED = "outcrop:"
FAMILIES = ("outcrop:unet", "outcrop:dit", "outcrop:gan", "outcrop:vae")
SEVERAL = {"strict-or-broad": FAMILIES, "platonic": ()}
"""Recipes that compare models, and those that they compare where none is named."""
NAMES = (
    "layer-swap", "skip-inject", "prompt-plus", "b-lora", "instant-style", "locogen", "head-relevance", "peak-noise",
    "position-leak", "platonic", "strict-or-broad",
)  # fmt: skip
"""The names of the recipes, here so that ``--help`` need not import them."""
SETTINGS = ("pairs", "prompts", "steps", "guidance", "batch", "device", "seed", "height", "width")


def recipe_command(
    name: str, models: Sequence[str], out: Path, *, clip: str | None, as_json: bool, **flags: Any
) -> None:
    """Put models to a recipe, print the verdict, and write everything into ``out``."""
    given = {key: value for key, value in flags.items() if value not in (None, ())}
    foreign = sorted(set(given) - set(SETTINGS))
    if foreign:
        raise click.UsageError(f"--recipe chooses sites and interventions itself: leave out {', '.join(foreign)}.")
    from outcrop.attribution.recipes.run import Setting

    if "prompts" in given:
        given["prompts"] = str(given["prompts"])
    setting = Setting(**given)
    verdict = run_recipe_command(name, models, setting=setting, out=out, clip=clip)
    if as_json:
        click.echo(json.dumps({"outcome": verdict.outcome, "reason": verdict.reason, "folder": str(out)}))
        return
    click.echo(f"{verdict.to_text()}\n\n{out}: verdict.json, and what it rests on")


def run_recipe_command(
    name: str, models: Sequence[str], *, setting: "Setting", out: Path, clip: str | None
) -> "Verdict":
    """Run a recipe by its name, show how it goes, write everything into ``out``."""
    models = tuple(models) or SEVERAL.get(name, ())
    if name in SEVERAL and len(models) < 2:
        raise click.UsageError(f"The recipe {name} compares models: give --model several times.")
    if name not in SEVERAL and len(models) != 1:
        raise click.UsageError(f"The recipe {name} is put to one model: give --model once.")
    from outcrop.attribution.folders import check_recipe_folder
    from outcrop.attribution.recipes import recorded

    check_recipe_folder(out, name, models)
    if name == "strict-or-broad":
        return _strict_or_broad(models, setting=setting, out=out, clip=clip)
    if name in recorded.CARDS:
        with progress(name, "pictures") as update:
            return recorded.run_recorded(name, models, setting=setting, out=out, progress=update)
    return _intervening(name, models[0], setting=setting, out=out, clip=clip)


def _intervening(name: str, model: str, *, setting: "Setting", out: Path, clip: str | None) -> "Verdict":
    from outcrop.attribution.recipes.heads import head_relevance
    from outcrop.attribution.recipes.registry import RECIPES
    from outcrop.attribution.recipes.run import run_recipe, save_verdict

    readouts = bind_readouts(model, setting=setting, clip=clip)
    with progress(name, "pictures") as update:
        if name in RECIPES:
            run = run_recipe(RECIPES[name], model, readouts=readouts, setting=setting, out=out, progress=update)
            verdict, table = run.verdict, run.table
        else:
            verdict, table = head_relevance(model, readouts=readouts, setting=setting, out=out, progress=update)
            save_verdict(verdict, out, setting=setting)
    if table is not None:
        _draw(table, f"{name}: {model}", out / name)
    return verdict


def _draw(table: "EffectTable", title: str, path: Path) -> None:
    from outcrop.viz.effects import plot_effects
    from outcrop.viz.figures import save_figure

    save_figure(plot_effects(table.frame, title=title), path)


def bind_readouts(model: str, *, setting: "Setting", clip: str | None) -> "list[Readout]":
    """The shipped oracle for the shipped models; for others CLIP where weights are at hand, with the labels of the
    prompts; and always the descriptors of pictures.
    """
    from outcrop.attribution.descriptors import default_descriptors

    readouts: list[Readout] = list(default_descriptors())
    if model.startswith(SHIPPED):
        if clip:
            raise click.UsageError(f"{model} is read by its oracle: leave --clip out.")
        from outcrop.attribution.classifiers import TorchClassifier
        from outcrop.zoo.oracle import load_oracle

        oracle = load_oracle()
        readouts.insert(0, TorchClassifier(oracle, oracle.classes))
    elif clip:
        readouts.insert(0, _clip(clip, setting))
    return readouts


def _clip(weights: str, setting: "Setting") -> "Readout":
    from outcrop.attribution.zero_shot import ClipZeroShot
    from outcrop.capture.prompts import PromptFile

    if setting.prompts is None:
        raise click.UsageError("--clip needs --prompts: the labels there are the classes that it names.")
    labels = [prompt.labels for prompt in PromptFile(file=Path(setting.prompts)).expand()]
    names = dict.fromkeys(name for row in labels for name in row)
    values = {name: sorted({str(row[name]) for row in labels if name in row}) for name in names}
    texts = {name: {value: f"a picture, {value}" for value in found} for name, found in values.items()}
    return ClipZeroShot.load(weights, texts, device=setting.device)


def _strict_or_broad(models: Sequence[str], *, setting: "Setting", out: Path, clip: str | None) -> "Verdict":
    from outcrop.attribution.recipes.run import save_verdict
    from outcrop.attribution.recipes.strict_or_broad import CARD, comparison_table, conclude, study_family
    from outcrop.attribution.recipes.strict_page import write_page
    from outcrop.viz.families import plot_families
    from outcrop.viz.figures import save_figure

    families = []
    for model in models:
        readouts = bind_readouts(model, setting=setting, clip=clip)[:1]
        with progress(model, "pictures") as update:
            folder = out / model.replace(":", "-").replace("/", "-")
            families.append(study_family(model, readouts=readouts, setting=setting, out=folder, progress=update))
    verdict = conclude(families)
    save_verdict(verdict, out, setting=setting)
    comparison_table(families).to_csv(out / "indices.csv", index=False)
    drawn = {f"{family.model}: {done}": labour for family in families for done, labour in family.drawn().items()}
    save_figure(plot_families(drawn), out / CARD.name)
    click.echo(f"Page: {write_page(families, verdict, setting=setting, folder=out)}")
    return verdict
