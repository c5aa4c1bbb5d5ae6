"""`outcrop label`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outcrop.console import LocalPath, progress

if TYPE_CHECKING:
    from outcrop.data.dataset import Dataset
    from outcrop.data.label_writer import NewLabel


@click.command()
@click.argument("dataset", type=LocalPath())
@click.option("--file", type=click.Path(path_type=Path), help="CSV or parquet: a column id, the others are labels.")
@click.option("--oracle", is_flag=True, help="What a shipped oracle sees: content, style, layout, colour.")
@click.option("--pairs", is_flag=True, help="With --oracle: pictures of two objects.")
@click.option("--statistics", is_flag=True, help="Mean colour, contrast, edge density, saliency centroid.")
@click.option("--classifier", metavar="MODEL", help="An image classifier of transformers: a folder or a hub id.")
@click.option("--zero-shot", metavar="MODEL", help="CLIP or a kin of it; needs --property and --text.")
@click.option("--detector", metavar="MODEL", help="An object detector of transformers.")
@click.option("--masks", type=click.Path(path_type=Path), help="Folder of ID.png; needs --property and --class.")
@click.option("--boxes", type=click.Path(path_type=Path), help="CSV of id, x0, y0, x1, y1, label; needs --property.")
@click.option("--property", "name", help="What is read (for masks and boxes: the label's name).")
@click.option("--text", "texts", multiple=True, help="A text to choose from, for --zero-shot (repeat it).")
@click.option("--template", default="a picture of {}", show_default=True, help="For --zero-shot.")
@click.option("--class", "classes", multiple=True, help="Name of the mask's grey value 0, 1, ... (repeat it).")
@click.option("--grid", type=int, default=8, show_default=True, help="Cells a side, for masks, boxes and detectors.")
@click.option("--least", type=float, help="Probability below which a class counts as unknown.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--replace", is_flag=True, help="Overwrite added labels of the same name.")
@click.option("--json", "as_json", is_flag=True)
def label(dataset: Path, *, replace: bool, as_json: bool, **flags: Any) -> None:
    """Add labels to DATASET: from a table, from the pictures, or as maps of cells.

    What pictures show is named PROPERTY:LABELLER, beside the PROPERTY that the prompts asked for; where the two differ
    is reported.
    """
    from outcrop.data.agreement import agreement
    from outcrop.data.dataset import open_dataset
    from outcrop.data.label_writer import add_labels

    names = ("file", "oracle", "statistics", "classifier", "zero_shot", "detector", "masks", "boxes")
    sources = [source for source in names if flags[source]]
    if len(sources) != 1:
        raise click.UsageError(f"Give one of {', '.join('--' + each.replace('_', '-') for each in names)}.")
    ds = open_dataset(dataset)
    records = add_labels(ds, _read(ds, sources[0], flags), replace=replace)
    report = agreement(open_dataset(dataset))
    report = report[report["realised"].isin([record.name for record in records])]
    if as_json:
        added = [record.model_dump(mode="json") for record in records]
        click.echo(json.dumps({"added": added, "agreement": report.to_dict(orient="records")}))
        return
    for record in records:
        click.echo(f"{record.name}: {record.kind}, {record.known} of {len(ds)} samples")
    for row in report.to_dict(orient="records"):
        text = "{realised} agrees with {prompted} in {agrees:.1%} of {n}"
        other = "; the commonest other: {shown} where {asked} was asked for, {times}" if row["times"] else ""
        click.echo((text + other).format_map(row))


def _read(ds: "Dataset", source: str, flags: dict[str, Any]) -> "list[NewLabel]":
    from outcrop.data.labellers import read_labels

    if source == "file":
        return _from_file(flags["file"])
    if source in {"masks", "boxes"}:
        return [_map(ds, source, flags)]
    with progress("label", "images") as update:
        return read_labels(ds, _labeller(source, flags), progress=update)


def _from_file(path: Path) -> "list[NewLabel]":
    import hashlib

    from outcrop.data.label_writer import NewLabel, provenance, read_label_file

    table = read_label_file(path)
    made = provenance("file", file=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    return [NewLabel(str(name), table[name], made, realises=_realised(str(name))) for name in table.columns]


def _realised(name: str) -> str | None:
    """A column such as content:human says what it realises."""
    return name.split(":", 1)[0] if ":" in name else None


def _map(ds: "Dataset", source: str, flags: dict[str, Any]) -> "NewLabel":
    from outcrop.data.maps import labels_from_boxes, labels_from_masks

    name, grid, classes = flags["name"], flags["grid"], flags["classes"]
    if not name:
        raise click.UsageError(f"--{source} needs --property.")
    if source == "boxes":
        return labels_from_boxes(ds, flags["boxes"], name=name, grid=grid)
    if len(classes) < 2:
        raise click.UsageError("--masks needs a --class for each grey value, two or more.")
    return labels_from_masks(flags["masks"], name=name, grid=grid, classes=classes)


def _labeller(source: str, flags: dict[str, Any]) -> Any:
    least = {} if flags["least"] is None else {"least": flags["least"]}
    named = {"property_name": flags["name"]} if flags["name"] else {}
    if source == "statistics":
        from outcrop.data.labellers import ImageStatistics

        return ImageStatistics()
    if source == "oracle":
        from outcrop.zoo.labeller import OracleLabeller

        return OracleLabeller(scene="pair" if flags["pairs"] else "one", **least)
    from outcrop.capture import labellers

    options = {"device": flags["device"], **least}
    if source == "classifier":
        return labellers.ClassifierLabeller(flags["classifier"], **named, **options)
    if source == "detector":
        return labellers.DetectorLabeller(flags["detector"], grid=flags["grid"], **options)
    if not named or len(flags["texts"]) < 2:
        raise click.UsageError("--zero-shot needs --property and two --text or more.")
    model, texts, template = flags["zero_shot"], flags["texts"], flags["template"]
    return labellers.ZeroShotLabeller(model, flags["name"], texts, template=template, **options)
