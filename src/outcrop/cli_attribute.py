"""The command ``outcrop attribute``: interventions from a YAML file or from flags."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outcrop.cli_cluster import chosen_scheduler, scheduler_options
from outcrop.cli_recipe import NAMES, bind_readouts, recipe_command
from outcrop.console import progress

if TYPE_CHECKING:
    from outcrop.attribution.effect_table import EffectTable
    from outcrop.attribution.outcomes import Outcomes
    from outcrop.attribution.readouts import Readout
    from outcrop.attribution.study import StudySpec

KINDS = ("layer-swap", "activation-patch", "prompt-injection", "ablation", "head-scaling", "latent-swap")

POSITIVE, COUNT = click.IntRange(min=1), click.IntRange(min=0)


@click.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the study.")
@click.option("--recipe", type=click.Choice(NAMES), help="Put a published claim to the model; ends in a verdict.")
@click.option(
    "--model",
    "models",
    multiple=True,
    help="outcrop:unet (dit, gan, vae), a diffusers folder, a hub id, or python:FILE:FUNCTION (some recipes: several).",
)
@click.option("--kind", type=click.Choice(KINDS), help="What is done at every site (layer-swap is activation-patch).")
@click.option(
    "--site", "sites", multiple=True, help="Glob, role or group: blocks, attentions, skips, all (may be repeated)."
)
@click.option("--windows", type=POSITIVE, help="Cut the steps into so many windows, each a cell (default: 1).")
@click.option(
    "--half", type=click.Choice(["cond", "uncond", "both"]), help="Rows of a guided batch to write (default: both)."
)
@click.option(
    "--value", type=click.Choice(["zero", "mean", "noise", "resample"]), help="Of an ablation (default: mean)."
)
@click.option("--head", "heads", type=COUNT, multiple=True, help="Heads to patch or to scale (may be repeated).")
@click.option("--factor", type=float, help="Of head scaling (default: 0).")
@click.option("--pairs", type=POSITIVE, help="Pairs of a donor and a receiver (default: 60).")
@click.option(
    "--controls",
    type=COUNT,
    help="Controls of every cell: so many random sites, and random directions.",
)
@click.option("--effects", "reads", is_flag=True, help="Read the pictures, and tell effects with intervals.")
@click.option("--differ", multiple=True, help="Labels in which a pair differs (default: all).")
@click.option("--prompts", type=click.Path(path_type=Path), help="CSV or JSONL with a column 'prompt' and labels.")
@click.option("--seed", type=COUNT, help="The first pair's seed.")
@click.option("--part", help="denoiser, vae (its decoder), text_encoder.")
@click.option("--steps", type=POSITIVE, help="Denoising steps (default: 20).")
@click.option("--guidance", type=float, help="Classifier-free guidance scale.")
@click.option("--height", type=int, help="Pixels.")
@click.option("--width", type=int, help="Pixels.")
@click.option("--batch", type=int, help="Pictures made at once.")
@click.option("--device", help="cpu, cuda, ...")
@click.option("--clip", help="Folder or hub id of CLIP weights, to read pictures by the labels in --prompts.")
@scheduler_options
@click.option("--dry-run", is_flag=True, help="Only say what it would take, from a short trial.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def attribute(
    config: Path | None,
    out: Path,
    *,
    recipe: str | None,
    models: tuple[str, ...],
    clip: str | None,
    dry_run: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Intervene on a generator, site by site, and keep the pictures: from a YAML CONFIG, from flags, or both.

    With --recipe a published claim is put to the model. An interrupted study goes on when the same command is given
    again.
    """
    reads, opened = bool(flags.pop("reads")), chosen_scheduler(flags)
    if opened and (recipe or dry_run):
        raise click.UsageError("--scheduler takes neither --recipe nor --dry-run.")
    if recipe:
        if config or dry_run or reads:
            raise click.UsageError("--recipe takes neither a CONFIG nor --dry-run nor --effects.")
        recipe_command(recipe, models, out, clip=clip, as_json=as_json, **flags)
        return
    if len(models) > 1:
        raise click.UsageError("Several --model belong to --recipe.")
    if clip and not reads:
        raise click.UsageError("--clip belongs to --recipe or --effects.")
    from outcrop.attribution.run import run_study
    from outcrop.attribution.study import parse_study
    from outcrop.attribution.summary import distance_table
    from outcrop.capture.spec import read_spec_fields

    fields = (read_spec_fields(config) if config else {}) | _fields_of(flags | {"model": models[0] if models else None})
    if not config and not {"model", "cells"} <= set(fields):
        raise click.UsageError("Give a CONFIG, or --model, --kind and --site.")
    spec = parse_study(fields, where=str(config or "the flags"))
    readouts = _readouts(spec, clip=clip, prompts=flags["prompts"]) if reads else []
    if dry_run:
        from outcrop.attribution.forecast import forecast_study
        from outcrop.attribution.prepare import prepare_study

        expected = forecast_study(prepare_study(spec), out)
        click.echo(json.dumps(expected.as_dict()) if as_json else expected.to_text())
        return
    with progress("attribute", "pictures") as update:
        if opened:
            from outcrop.cluster.studies import attribute_on

            with opened() as cluster:
                outcomes = attribute_on(cluster, spec, out, progress=update)
        else:
            outcomes = run_study(spec, out, progress=update)
    table = distance_table(outcomes)
    effects = _make_effects(outcomes, readouts, out) if readouts else None
    told = f"\n\n{effects.to_text()}" if effects else ""
    if as_json:
        found = json.loads(table.to_json(orient="records"))
        if effects:
            found = {"distances": found, "effects": json.loads(effects.frame.to_json(orient="records"))}
        click.echo(json.dumps(found))
        return
    click.echo(table.dropna(axis=1, how="all").to_string(index=False, na_rep="", float_format="{:.2f}".format))
    click.echo(
        "\nPixels only: 0 to the donor is the donor's picture, 0 to the receiver the receiver's; medians over pairs, "
        f"as shares of the distance between the two.\n{out}: {len(table)} cells{told}"
    )


def _readouts(spec: "StudySpec", *, clip: str | None, prompts: Path | None) -> "list[Readout]":
    from outcrop.attribution.recipes.run import Setting

    setting = Setting(prompts=None if prompts is None else str(prompts), device=spec.device)
    return bind_readouts(spec.model, setting=setting, clip=clip)


def _make_effects(outcomes: "Outcomes", readouts: "list[Readout]", out: Path) -> "EffectTable":
    """The table of effects, written into the study's folder."""
    from outcrop.attribution.effects import effects

    with progress("reading", "readouts") as update:
        table = effects(outcomes, readouts, progress=update)
    table.save(out)
    return table


def _fields_of(flags: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in flags.items() if value not in (None, ())}
    if "prompts" in given:
        given["prompts"] = {"file": str(given["prompts"])}
    controls = given.pop("controls", None)
    if controls:
        written = given.get("kind") not in {"prompt-injection", "head-scaling", "latent-swap"} and "heads" not in given
        given["controls"] = {"sites": controls, "directions": controls if written else 0}
    plan = {
        "count": given.pop("pairs", None),
        "differ": given.pop("differ", None),
        "first_seed": given.pop("seed", None),
    }
    plan = {name: value for name, value in plan.items() if value is not None}
    if plan:
        given["pairs"] = plan
    record: dict[str, Any] = {
        name: given.pop(name) for name in ("sites", "half", "value", "heads", "factor") if name in given
    }
    windows = given.pop("windows", None)
    kind = given.pop("kind", None)
    if kind is None:
        if record or windows is not None:
            raise click.UsageError("--site, --windows, --half, --value, --head and --factor belong to a --kind.")
        return given
    record["kind"] = "activation-patch" if kind == "layer-swap" else kind
    given["cells"] = [{"intervention": record} | ({"windows": windows} if windows else {})]
    return given
