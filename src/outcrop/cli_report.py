"""`outcrop report`: one page on one or several data sets."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from outcrop.console import LocalPath, check_file, fail, progress

if TYPE_CHECKING:
    from outcrop.viz.exhibit import Exhibit


NONE = Path("-")
Command = Callable[..., None]


def exhibit_options(command: Command) -> Command:
    """Arguments and options that say what a report is on."""
    for option in reversed(
        (
            click.argument("datasets", nargs=-1, required=True, type=LocalPath()),
            click.option(
                "--probes",
                type=click.Path(path_type=Path),
                multiple=True,
                help="Folder of the probes (default: DATASET/probes).",
            ),
            click.option(
                "--effects",
                type=click.Path(path_type=Path),
                multiple=True,
                help="Folder of `outcrop attribute --effects` (default: DATASET or DATASET/effects; - for none).",
            ),
            click.option("--atlas", type=click.Choice(["umap", "tsne", "pca"]), help="Show cells by its maps."),
        )
    ):
        command = option(command)
    return command


@click.command()
@exhibit_options
@click.option("--out", type=click.Path(path_type=Path), help="The page (default: DATASET/report.html).")
def report(
    datasets: tuple[Path, ...],
    probes: tuple[Path, ...],
    effects: tuple[Path, ...],
    *,
    atlas: str | None,
    out: Path | None,
) -> None:
    """One page with the answer, the figures, images, methods and provenance of DATASETS. Needs no network.

    Several data sets stand side by side; --probes and --effects are then given once for each, in their order. With
    --atlas the cells that `outcrop atlas` draws show its maps (made now, if they are not there), all others principal
    components.
    """
    if len(datasets) > 1 and out is None:
        raise click.UsageError("Give --out for a report on several data sets.")
    from outcrop.viz.report import check_page, write_exhibits

    page = out or datasets[0] / "report.html"
    if out is not None:
        check_file(page)
    check_page(page)
    try:
        exhibits = open_exhibits(datasets, probes, effects, atlas=atlas)
        click.echo(f"Report: {write_exhibits(exhibits, page)}")
    except KeyboardInterrupt:
        fail(f"Interrupted: {page} is as it was. Run the same command again.", code=130)


def open_exhibits(
    datasets: Sequence[Path], probes: Sequence[Path], effects: Sequence[Path], *, atlas: str | None
) -> "list[Exhibit]":
    """What the command's arguments name, opened."""
    for name, given in (("probes", probes), ("effects", effects)):
        if given and len(given) != len(datasets):
            raise click.UsageError(f"Give --{name} once for each data set: {len(datasets)} times, not {len(given)}.")
    tables = probes or tuple(path / "probes" for path in datasets)
    studies = effects or tuple(_effects_in(path) for path in datasets)
    return [
        _open(path, table, study, atlas=atlas) for path, table, study in zip(datasets, tables, studies, strict=True)
    ]


def _effects_in(path: Path) -> Path:
    """Where a data set's effects lie, if nobody says; NONE if there are none."""
    places = (folder for folder in (path, path / "effects") if (folder / "effects.json").is_file())
    return next(places, NONE)


def _open(path: Path, probes: Path, effects: Path, *, atlas: str | None) -> "Exhibit":
    import outcrop as oc
    from outcrop.attribution import load_outcomes
    from outcrop.attribution.effect_table import EffectTable
    from outcrop.data.errors import DataError
    from outcrop.viz.exhibit import Exhibit

    if (path / "outcomes.json").is_file() and not (path / "dataset.json").is_file():
        raise click.UsageError(
            f"{path} holds a study of interventions, not a data set. Name the data set, and add --effects {path}."
        )
    ds = oc.open_dataset(path)
    if not (probes / "probes.json").is_file():
        apart = "" if probes == path / "probes" else f" --out {shlex.quote(str(probes))}"
        raise DataError(
            f"There is no table of probes in {probes}: probes.json is missing, and the page rests on it. "
            f"Make it: outcrop probe {shlex.quote(str(path))}{apart}"
        )
    table = oc.ProbeTable.load(probes)
    maps = None
    if atlas is not None:
        from outcrop.cli_atlas import thinned

        with progress("atlas", "panels") as update:
            maps = oc.atlas(ds, oc.AtlasSpec(**{"method": atlas, **thinned(ds)}), progress=update)
    if effects == NONE:
        return Exhibit(ds, table, atlas=maps)
    folders = [folder for folder in (effects, effects / "study") if (folder / "outcomes.json").is_file()]
    study = load_outcomes(folders[0]) if folders else None
    return Exhibit(ds, table, EffectTable.load(effects), study, maps)
