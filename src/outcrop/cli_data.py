"""`outcrop inspect`, `validate`, `merge`, `split` and `export`."""

import json
from pathlib import Path
from typing import Any

import click

from outcrop.console import LocalPath, fail


@click.command()
@click.argument("dataset")
@click.option("--json", "as_json", is_flag=True)
def inspect(dataset: str, *, as_json: bool) -> None:
    """What is in DATASET, at a glance."""
    import outcrop as oc
    from outcrop.data.summary import as_facts, describe_label, printable

    ds = oc.open_dataset(dataset)
    if as_json:
        click.echo(json.dumps(as_facts(ds)))
        return
    click.echo(f"{ds!r}\n\nSites, in execution order")
    click.echo(ds.sites[["role", "depth", "shape"]].to_string())
    click.echo(f"\nSteps\n{ds.steps.round(2).to_string()}\n")
    for name in ds.labels:
        click.echo(f"{printable(name)}: {describe_label(ds.labels[name])}")


@click.command()
@click.argument("dataset", type=LocalPath())
@click.option("--replay", "count", type=int, metavar="K", help="Make K samples again from their seeds, and compare.")
@click.option("--device", help="Where to replay (default: where the data set was captured).")
@click.option("--json", "as_json", is_flag=True)
def validate(dataset: Path, count: int | None, device: str | None, *, as_json: bool) -> None:
    """Check every file, checksum and value of DATASET, a folder or a shard, and list every fault.

    An error means that the data must not be used, a warning that something is missing, advice that it could be better.
    The exit code is 1 if there is an error.
    """
    from outcrop.data.validate import validate_dataset

    findings = validate_dataset(dataset)
    errors = sum(finding.severity == "error" for finding in findings)
    if as_json:
        facts = {"path": str(dataset), "errors": errors, "findings": [finding.as_dict() for finding in findings]}
        click.echo(json.dumps(facts))
    else:
        for finding in findings:
            click.echo(str(finding))
    if errors:
        fail(f"{dataset}: {errors} errors", code=1)
    if count is not None:
        from outcrop.capture.replay import replay

        result = replay(dataset, count, device=device)
        click.echo(result.to_text(), err=as_json)
        if not result.passed:
            fail(f"{dataset}: the replay failed", code=1)
    if not as_json:
        click.echo(f"{dataset}: no errors")


@click.command()
@click.argument("datasets", nargs=-1, required=True, type=LocalPath())
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the new data set.")
@click.option("--json", "as_json", is_flag=True)
def merge(datasets: tuple[Path, ...], out: Path, *, as_json: bool) -> None:
    """Make one data set of DATASETS: folders, or shards, compressed ones too.

    Runs that differ in more than prompts and seeds are refused, and the fields in which they differ are named.
    """
    from outcrop.data.merge import merge_datasets

    _tell({str(out): merge_datasets(datasets, out)}, as_json=as_json)


@click.command()
@click.argument("dataset", type=LocalPath())
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder in which each part gets its own.")
@click.option("--where", "query", help="A query over the samples' columns: parts `selected` and `rest`.")
@click.option("--part", "parts", multiple=True, metavar="NAME=FRACTION", help="A part (repeat it); they sum to 1.")
@click.option(
    "--group-by",
    multiple=True,
    default=["prompt"],
    show_default=True,
    help="Columns of which no value is in two parts.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def split(
    dataset: Path, *, out: Path, query: str | None, parts: tuple[str, ...], as_json: bool, **options: Any
) -> None:
    """Make several data sets of DATASET, by a query or by fractions that keep prompts (or other groups) whole."""
    from outcrop.data.split import split_by_fraction, split_by_query

    if bool(query) == bool(parts):
        raise click.UsageError("Give either --where QUERY, or --part NAME=FRACTION for each part.")
    sizes = split_by_query(dataset, out, query) if query else split_by_fraction(dataset, out, _read(parts), **options)
    _tell({str(out / name): size for name, size in sizes.items()}, as_json=as_json)


@click.command()
@click.argument("dataset")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder.")
@click.option("--as", "form", type=click.Choice(["compressed", "npy", "safetensors", "zarr", "parquet"]), required=True)
@click.option("--site", "sites", multiple=True, help="Glob over site names (default: all).")
@click.option("--step", "steps", type=int, multiple=True, help="Step index (default: all).")
@click.option("--where", help="A query over the samples' columns, such as \"content == 'star'\".")
@click.option("--json", "as_json", is_flag=True)
def export(dataset: str, *, out: Path, form: Any, where: str | None, as_json: bool, **chosen: Any) -> None:
    """Write DATASET, or a part of it, in the format of other tools.

    compressed: shards of format 1 with gzip. npy, safetensors, zarr: arrays (step, sample, feature). parquet: features
    averaged over positions, with labels.
    """
    import outcrop as oc
    from outcrop.data.export import export as write

    selection: dict[str, Any] = {name: list(values) for name, values in chosen.items() if values}
    files = write(oc.open_dataset(dataset).select(**selection, where=where), out, form=form)
    click.echo(json.dumps({"path": str(out), "files": files}) if as_json else f"{out}: {', '.join(files)}")


def _read(parts: tuple[str, ...]) -> dict[str, float]:
    try:
        return {name: float(share) for name, _, share in (part.partition("=") for part in parts)}
    except ValueError as error:
        raise click.UsageError("--part must be NAME=FRACTION, such as --part train=0.8 --part test=0.2.") from error


def _tell(sizes: dict[str, int], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"samples": sizes}))
        return
    for path, size in sizes.items():
        click.echo(f"{path}: {size} samples")
