"""The command line. Exit codes: 0 done, 1 the input or the data is at fault, 2 usage, 130 interrupted (resumable).

Only click is imported here; every command brings in what it needs, so that ``outcrop --help`` is instant.
"""

import json
import math
import os
from pathlib import Path
from typing import Any

import click

from outcrop.cli_atlas import atlas
from outcrop.cli_attribute import attribute
from outcrop.cli_cluster import chosen_scheduler, scheduler_options
from outcrop.cli_data import export, inspect, merge, split, validate
from outcrop.cli_labels import label
from outcrop.cli_plan import plan
from outcrop.cli_report import report
from outcrop.cli_share import pull, push, share
from outcrop.cli_view import view
from outcrop.console import ended_by_sigterm, fail, plain_warnings, progress

GENERATOR = ("torch", "diffusers", "transformers", "accelerate", "tokenizers")
ENGINE = ("dask", "distributed", "dask_jobqueue", "cryptography")
EXTRAS = dict.fromkeys(GENERATOR, "capture") | dict.fromkeys(ENGINE, "distributed")
"""By the module that is missing, the extra that brings it."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="outcrop")
def commands() -> None:
    """Which layer of an image generator, at which step, carries content, style and layout."""


commands.add_command(atlas)
commands.add_command(attribute)
commands.add_command(label)
commands.add_command(plan)
commands.add_command(report)
commands.add_command(view)
for command in (inspect, validate, merge, split, export, share, push, pull):
    commands.add_command(command)


def main() -> None:
    """Entry point of the ``outcrop`` command."""
    try:
        with ended_by_sigterm():
            commands.main(standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        fail("Interrupted. What was committed is safe; run the same command again to go on.", code=130)
    except click.ClickException as error:
        error.show()
        fail("", code=error.exit_code)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        kind = "runs a generator" if extra == "capture" else "works on a cluster"
        mend = f"pip install 'outcrop[{extra}]'"
        fail(f"Error: this command {kind} and needs {error.name}. Install it with: {mend}", code=1)
    except Exception as error:
        from outcrop.data.errors import OutcropError  # it brings pandas and h5py along, which --help must not wait for

        if not isinstance(error, OutcropError):
            raise
        fail(f"Error: {error}", code=1)


@commands.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--out", required=True, help="Folder of the data set, or s3://BUCKET/FOLDER (gs://, az://).")
@click.option("--model", help="outcrop:unet, a diffusers folder, or a hub id.")
@click.option(
    "--prompts", type=click.Path(path_type=Path), help="CSV or JSONL with a column 'prompt'; others are labels."
)
@click.option("--prompt", "texts", multiple=True, help="A prompt without labels (may be repeated).")
@click.option("--site", "sites", multiple=True, help="Glob, role or group: blocks, attentions, heads, all.")
@click.option("--steps", type=int, help="Denoising steps.")
@click.option("--record", type=int, help="How many of the steps to record, evenly spaced (default: all).")
@click.option("--guidance", type=float, help="Classifier-free guidance scale.")
@click.option("--true-cfg", type=float, help="Scale of a second, unprompted prediction, for Flux, Qwen-Image and kin.")
@click.option("--half", type=click.Choice(["cond", "uncond", "both"]), help="Rows of a guided batch to record.")
@click.option("--reduction", help="mean, full, grid:K, tokens:N or project:D.")
@click.option("--dtype", type=click.Choice(["float16", "bfloat16", "float32", "int8"]), help="How values are stored.")
@click.option("--batch", type=int, help="Images generated at once.")
@click.option("--shard-samples", type=int, help="Samples of a file (default: four batches, or up to 64 MiB).")
@click.option("--seed", type=int, help="The first seed.")
@click.option("--per-prompt", type=int, help="Images of every prompt.")
@click.option("--device", help="cpu, cuda, ...")
@click.option("--memory", help="The most that recorded data may take in memory, such as 2GiB (the model excluded).")
@click.option(
    "--rank", "rank_text", metavar="I/N", help="Do one part of N (default: as torchrun or a SLURM array says)."
)
@scheduler_options
@click.option("--dry-run", is_flag=True, help="Only say what it would take, from two trial samples.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def capture(
    config: Path | None,
    out: str,
    *,
    memory: str | None,
    rank_text: str | None,
    dry_run: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Generate images and record activations, from a YAML CONFIG, from flags, or both (flags win).

    An interrupted capture goes on when the same command is given again. Several processes may share the work: under
    torchrun, accelerate launch or in a SLURM array, each makes its part of the shards; with --scheduler, this one
    deals them out to workers.
    """
    from outcrop.capture.ranks import Rank
    from outcrop.capture.spec import parse_spec, read_spec_fields
    from outcrop.data.sizes import parse_size

    opened = chosen_scheduler(flags)
    if opened and (rank_text or dry_run):
        raise click.UsageError("--scheduler takes neither --rank nor --dry-run.")
    fields = read_spec_fields(config) if config else {}
    fields |= _fields_of(flags, fields)
    if not {"model", "prompts"} <= set(fields):
        raise click.UsageError("Give a CONFIG, or --model and one of --prompts and --prompt.")
    spec = parse_spec(fields, where=str(config or "the flags"))
    cap = parse_size(memory) if memory else None
    rank = Rank.parse(rank_text) if rank_text else Rank.from_environment(os.environ)
    if dry_run:
        from outcrop.capture.forecast import forecast

        expected = forecast(spec, out, memory=cap)
        click.echo(json.dumps(expected.as_dict()) if as_json else expected.to_text())
        expected.check_room()
        return
    from outcrop.capture.run import capture as run
    from outcrop.capture.run import capture_share

    with progress("capture", "images") as update:
        if opened:
            from outcrop.cluster.captures import capture_on

            with opened() as cluster:
                ds = capture_on(cluster, spec, out, progress=update, memory=cap)
        elif rank is not None and rank.world > 1:
            share = capture_share(spec, out, rank, progress=update, memory=cap)
            click.echo(json.dumps(share.as_dict()) if as_json else f"{out}: {share.to_text()}")
            return
        else:
            ds = run(spec, out, progress=update, memory=cap)
    summary = {"path": str(out), "samples": len(ds), "sites": len(ds.sites), "steps": len(ds.steps)}
    click.echo(json.dumps(summary) if as_json else f"{out}: {ds!r}")


def _fields_of(flags: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in flags.items() if value not in (None, ())}
    if "prompts" in given:
        given["prompts"] = {"file": str(given["prompts"])}
    if texts := given.pop("texts", None):
        if "prompts" in given:
            raise click.UsageError("Give --prompts or --prompt, not both.")
        given["prompts"] = {"texts": list(texts)}
    seeds = {"first": given.pop("seed", None), "per_prompt": given.pop("per_prompt", None)}
    seeds = {name: value for name, value in seeds.items() if value is not None}
    if seeds:
        known = fields.get("seeds")
        given["seeds"] = {**(known if isinstance(known, dict) else {}), **seeds}
    return given


@commands.command()
@click.argument("model")
@click.option("--part", default="denoiser", show_default=True, help="denoiser, text_encoder, vae, ...")
@click.option("--meta", is_flag=True, help="From the configuration files alone: no weights, no memory.")
@click.option("--attention", is_flag=True, help="Inside attention, too: heads, maps of words, entropy.")
@click.option("--height", type=int, help="Pixels.")
@click.option("--width", type=int, help="Pixels.")
@click.option("--json", "as_json", is_flag=True)
def sites(model: str, *, part: str, meta: bool, attention: bool, as_json: bool, **size: int | None) -> None:
    """Every site of MODEL in execution order: role, stream, depth, shape, and bytes a sample and step in float16."""
    from outcrop.capture.blank import blank_sites
    from outcrop.capture.source import open_source

    given = {name: value for name, value in size.items() if value is not None}
    every = blank_sites(model, **given) if meta else open_source(model, part=part).sites(**given)
    found = [site for site in every if attention or not site.inside_attention]
    rows = [
        {
            "name": site.name,
            "role": site.role,
            "stream": site.stream,
            "depth": round(site.depth, 3),
            "shape": list(site.shape),
            "bytes": 2 * math.prod(site.shape),
        }
        for site in found
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    width = max(len(str(row["name"])) for row in rows)
    click.echo(f"{'site':{width}}  {'role':18}{'stream':7}{'depth':>6}  {'shape':>16}  {'fp16 bytes':>12}")
    for site, row in zip(found, rows, strict=True):
        shape = " x ".join(map(str, site.shape))
        line = f"{site.name:{width}}  {site.role:18}{site.stream:7}{site.depth:6.2f}  {shape:>16}  {row['bytes']:12,}"
        click.echo(line)
    click.echo(
        f"{len(rows)} sites, {sum(2 * math.prod(site.shape) for site in found):,} bytes a sample and step in full"
        + (f"; {len(every) - len(found)} more inside attention: --attention" if len(every) > len(found) else "")
    )


@commands.command()
@click.argument("dataset")
@click.option("--property", "properties", multiple=True, help="Label column (default: every one with 2 to 50 classes).")
@click.option("--site", "sites", multiple=True, help="Glob over site names (default: all).")
@click.option("--step", "steps", type=int, multiple=True, help="Step index (default: all).")
@click.option(
    "--group-by",
    multiple=True,
    help="Column of which training and test share no value, or 'A * B' (may be repeated; default: template, seed).",
)
@click.option("--folds", type=int, help="Parts that are tested in turn, from 3 on (default: 5).")
@click.option("--permutations", type=int, help="Refits with permuted labels, for p-values (default: none).")
@click.option(
    "--baseline", "baselines", multiple=True, help="Rows beside the sites: pixels, words, norms (may be repeated)."
)
@click.option("--given", help="Measure what each site adds to this one, in bits: baseline.prompt, baseline.words, ...")
@click.option("--code-length/--no-code-length", default=None, help="Measure how many bits the labels cost, too.")
@click.option("--seed", type=int, help="Of folds, control tasks, permutations and resampling (default: 0).")
@click.option("--device", help="Solve with PyTorch there: cuda, cuda:1, ... (default: NumPy on all cores).")
@click.option(
    "--memory", help="What a column may take, such as 2GiB: larger ones are read by rows (default: no limit)."
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the result (default: DATASET/probes).")
@scheduler_options
@click.option("--json", "as_json", is_flag=True, help="Print the best cell of each property as JSON, all columns.")
def probe(dataset: str, out: Path | None, *, memory: str | None, as_json: bool, **flags: Any) -> None:
    """Fit linear probes for every property, site and step of DATASET, with grouped splits and controls.

    An interrupted sweep goes on when the same command is given again.
    """
    import outcrop as oc
    from outcrop.data.places import absolute
    from outcrop.data.sizes import parse_size
    from outcrop.data.store import is_remote, local_path
    from outcrop.probes.destination import check_destination

    opened = chosen_scheduler(flags)
    cap = parse_size(memory) if memory else None
    spec = oc.ProbeSpec(**{name: value for name, value in flags.items() if value not in (None, ())})
    if out is None and is_remote(dataset):
        raise click.UsageError("Give --out: the table of a data set behind a URL goes to a folder of this machine.")
    ds = oc.open_dataset(absolute(dataset) if opened else dataset)
    target = out or local_path(dataset) / "probes"
    if told := check_destination(target, ds, spec):
        click.echo(told, err=True)
    with plain_warnings(), progress("probe", "cells") as update:
        if opened:
            from outcrop.cluster.sweeps import probe_on

            with opened() as cluster:
                table = probe_on(cluster, ds, spec=spec, progress=update, resume=target, memory=cap)
        else:
            table = oc.probe(ds, spec=spec, progress=update, resume=target, memory=cap)
    table.save(target)
    figures = oc.write_figures(table, target / "figures")
    if as_json:
        click.echo(table.best().to_json(orient="records"))
        return
    click.echo(table.to_text())
    names = ", ".join(dict.fromkeys(path.stem for path in figures))
    kinds = ", ".join(dict.fromkeys(path.suffix.removeprefix(".") for path in figures))
    click.echo(f"\nTable, weights and provenance: {target}\nFigures ({kinds}) in {target / 'figures'}: {names}")


@commands.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/demo"), show_default=True)
def demo(out: Path) -> None:
    """The whole chain on the shipped model: capture, probe, figures, report. A few minutes on two cores."""
    from outcrop.demo import run_demo

    run_demo(out)


if __name__ == "__main__":
    main()
