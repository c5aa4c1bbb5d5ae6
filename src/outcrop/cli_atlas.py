"""The command ``outcrop atlas``: where the samples lie at every site and step, as one figure."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outcrop.console import check_file, progress

if TYPE_CHECKING:
    from outcrop.data.dataset import Dataset

SITES, STEPS = 12, 6  # so many are drawn where none are named


@click.command()
@click.argument("dataset")
@click.option("--property", "properties", multiple=True, help="Label that colours the samples (default: each, a file).")
@click.option("--site", "sites", multiple=True, help=f"Glob over site names (default: {SITES}, evenly spaced).")
@click.option("--step", "steps", type=int, multiple=True, help=f"Step index (default: {STEPS}, evenly spaced).")
@click.option("--method", type=click.Choice(["umap", "pca", "tsne"]), default="umap", show_default=True)
@click.option("--neighbours", type=int, help="How many neighbours count as near (default: 15).")
@click.option("--max-samples", type=int, help="Of more, so many are drawn at random (default: 2000).")
@click.option("--seed", type=int)
@click.option("--cache", type=click.Path(path_type=Path), help="Folder of finished panels (default: DATASET/atlas).")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A .png, .svg or .pdf.")
@click.option("--json", "as_json", is_flag=True)
def atlas(
    dataset: str, *, properties: tuple[str, ...], out: Path, cache: Path | None, as_json: bool, **flags: Any
) -> None:
    """Draw where the samples of DATASET lie at every site and step, as UMAP (or PCA, or t-SNE) sees them.

    Panels are kept, and not made again when the command is given again.
    """
    import outcrop as oc
    from outcrop.viz.figures import figure_kind, write_figure

    figure_kind(out)
    check_file(out)
    ds = oc.open_dataset(dataset)
    given = {name: value for name, value in flags.items() if value not in (None, ())}
    spec = oc.AtlasSpec(**thinned(ds) | given)
    names = _properties(ds, properties)
    with progress("atlas", "panels") as update:
        made = oc.atlas(ds, spec, cache=cache, progress=update)
    files = [
        write_figure(oc.plot_atlas(made, name), out if len(names) == 1 else out.with_stem(f"{out.stem}-{name}"))
        for name in names
    ]
    if as_json:
        rows = [
            {"site": site, "step": step, "trustworthiness": float(made.trustworthiness[made.place(site, step)])}
            for site in made.sites
            for step in made.steps
        ]
        click.echo(json.dumps({"files": [str(path) for path in files], "samples": len(made.samples), "panels": rows}))
        return
    click.echo(
        f"{', '.join(map(str, files))}: {len(made.sites)} of {len(ds.sites)} sites, {len(made.steps)} of "
        f"{len(ds.steps)} steps, {len(made.samples)} of {len(ds)} samples"
    )


def thinned(ds: "Dataset") -> dict[str, Any]:
    """Sites and steps for who named none: evenly spaced, the last ones among them."""
    import numpy as np

    def spaced(names: list[Any], most: int) -> tuple[Any, ...]:
        return tuple(names[round(at)] for at in np.linspace(0, len(names) - 1, min(most, len(names))))

    return {"sites": spaced(list(ds.sites.index), SITES), "steps": spaced(list(ds.steps.index), STEPS)}


def _properties(ds: "Dataset", wanted: tuple[str, ...]) -> list[str]:
    """The labels to draw, checked before anything is computed."""
    from outcrop.data.errors import InputError
    from outcrop.data.patterns import near_misses

    known = [str(name) for name in ds.labels.columns]
    for name in wanted:
        if name not in known:
            raise InputError(f"{ds.location} has no label {name!r}.{near_misses(name, known)}")
    if not known:
        raise InputError(f"{ds.location} has no labels to colour the samples by. Add some: outcrop label.")
    return list(wanted or known)
