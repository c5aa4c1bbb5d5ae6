"""The command ``outcrop plan``: what to capture within a disk and some hours, and the command that does it."""

import json
from pathlib import Path
from typing import Any

import click


@click.command()
@click.option("--model", required=True, help="outcrop:unet, a diffusers folder, or a hub id.")
@click.option(
    "--prompts", type=click.Path(path_type=Path), required=True, help="CSV or JSONL with a column 'prompt' and labels."
)
@click.option("--question", "questions", multiple=True, required=True, help="Label to be explained (may be repeated).")
@click.option("--spatial", multiple=True, help="A question about where things are (default: layout, position).")
@click.option("--budget-gb", type=float, required=True, help="Disk, in GB (10^9 bytes).")
@click.option("--hours", type=float, required=True, help="Time of one process.")
@click.option(
    "--width", type=float, default=0.1, show_default=True, help="Wanted width of a 95 % interval of accuracy."
)
@click.option(
    "--correlation",
    type=float,
    default=0.1,
    show_default=True,
    help="How far samples of one group are right or wrong together.",
)
@click.option("--steps", type=int, default=20, show_default=True, help="Denoising steps.")
@click.option(
    "--seconds",
    type=float,
    help="A sample takes so long, without recording, for which 5 % is added (default: two are made).",
)
@click.option("--image-kb", type=float, help="A picture takes so much (default: as those two, or 2000 with --seconds).")
@click.option("--out", required=True, help="Folder or URL of the data set to be captured.")
@click.option("--json", "as_json", is_flag=True, help="Print the proposal as JSON.")
def plan(*, budget_gb: float, image_kb: float | None, out: str, as_json: bool, **asked: Any) -> None:
    """Propose reduction, steps, sites and samples of a capture, and print the command that makes it.

    As much is kept as the disk allows; what is left out is named, with the reason. With --seconds, a local folder needs
    no weights: its sites come from the configuration alone.
    """
    from outcrop.planning import Wish, propose

    wish = Wish(budget=budget_gb * 1e9, image_bytes=None if image_kb is None else image_kb * 1e3, **asked)
    proposal = propose(wish, out)
    click.echo(json.dumps(proposal.as_dict()) if as_json else proposal.to_text())
