"""`outcrop share`, `outcrop push` and `outcrop pull`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outcrop.console import LocalPath, progress

if TYPE_CHECKING:
    from outcrop.data.transfer import Transfer


@click.command()
@click.argument("dataset", type=LocalPath())
@click.option("--licence", "stated", multiple=True, metavar="OF=NAME", help="OF is data, model or prompts (repeat it).")
@click.option("--title", help="Default: the folder's name.")
@click.option("--description", help="What it is, in a paragraph.")
@click.option("--creator", "creators", multiple=True, help="Who made it (repeat it).")
@click.option("--citation", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A BibTeX file.")
@click.option("--url", help="Where it will be found.")
@click.option("--version", "release", help="MAJOR.MINOR.PATCH; default: 1.0.0.")
@click.option("--json", "as_json", is_flag=True)
def share(
    dataset: Path, *, stated: tuple[str, ...], citation: Path | None, release: str | None, as_json: bool, **flags: Any
) -> None:
    """Make DATASET ready for others: card, Croissant metadata, gallery, a table to look at, checksums.

    It is refused without licences of data, model and prompts, and where it names paths of this machine.
    """
    from outcrop.data.share import share as write
    from outcrop.data.summary import size_text

    licences = {}
    for each in stated:
        of, _, name = each.partition("=")
        if not name:
            raise click.UsageError(f"--licence takes OF=NAME, such as data=CC-BY-4.0. Got {each!r}.")
        licences[of] = name
    text = citation.read_text(encoding="utf-8", errors="replace") if citation else None
    given = {name: value for name, value in flags.items() if value not in (None, ())}
    statement = write(dataset, licences=licences, citation=text, version=release, **given)
    if as_json:
        click.echo(statement.model_dump_json())
        return
    groups: dict[str, list[int]] = {}
    for file in statement.files:
        groups.setdefault(file.path.split("/")[0], []).append(file.bytes)
    for name, sizes in groups.items():
        click.echo(f"{name:20} {len(sizes):6} {'file' if len(sizes) == 1 else 'files':5} {size_text(sum(sizes)):>10}")
    click.echo(f"{dataset}: {len(statement.files)} files, {size_text(statement.nbytes)}, ready for `outcrop push`")


@click.command()
@click.argument("dataset", type=LocalPath())
@click.argument("target")
@click.option("--private", is_flag=True, help="Make the repository a private one (the Hub only).")
@click.option("--json", "as_json", is_flag=True)
def push(dataset: Path, target: str, *, private: bool, as_json: bool) -> None:
    """Copy the shared DATASET to TARGET: hf://datasets/USER/NAME, s3://BUCKET/NAME, or a path.

    A stopped push goes on when the same command is given again. What arrived is compared with what left.
    """
    from outcrop.data import hub, transfer

    if hub.is_hub(target):
        _tell(hub.push_to_hub(dataset, target, private=private), as_json=as_json)
        return
    with progress("push", "bytes") as update:
        done = transfer.push(dataset, target, progress=update)
    _tell(done, as_json=as_json)


@click.command()
@click.argument("source")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True)
def pull(source: str, folder: Path, *, as_json: bool) -> None:
    """Fetch a shared data set from SOURCE (hf://datasets/USER/NAME, https://, s3://, a path) into FOLDER.

    A stopped pull goes on when the same command is given again. Every file is compared with its checksum.
    """
    from outcrop.data import hub, transfer

    if hub.is_hub(source):
        _tell(hub.pull_from_hub(source, folder), as_json=as_json)
        return
    with progress("pull", "bytes") as update:
        done = transfer.pull(source, folder, progress=update)
    _tell(done, as_json=as_json)


def _tell(done: "Transfer", *, as_json: bool) -> None:
    from outcrop.data.summary import size_text

    if as_json:
        facts = {"target": done.target, "files": done.files, "sent": done.sent, "bytes": done.statement.nbytes}
        click.echo(json.dumps(facts | {"licences": done.statement.licences}))
        return
    licences = ", ".join(f"{of}: {name}" for of, name in sorted(done.statement.licences.items()))
    size = size_text(done.statement.nbytes)
    click.echo(f"{done.target}: {done.files} files, {size}, all verified ({done.kept} were there); licence {licences}")
