"""`outcrop view`: the report as a page on this machine, for data sets too large for one file."""

from pathlib import Path

import click

from outcrop.cli_report import exhibit_options, open_exhibits


@click.command()
@exhibit_options
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="On 127.0.0.1 (default: any that is free).")
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
def view(
    datasets: tuple[Path, ...],
    probes: tuple[Path, ...],
    effects: tuple[Path, ...],
    *,
    atlas: str | None,
    port: int,
    opens: bool,
) -> None:
    """The report on DATASETS as a page on this machine, with all images and cells, read when they are looked at.

    Nothing is written. The page answers on 127.0.0.1 only, and only to who knows its address, which is printed and
    new each time. Ctrl-C ends it.
    """
    from outcrop.viz.server import ViewServer

    try:
        exhibits = open_exhibits(datasets, probes, effects, atlas=atlas)
        with ViewServer(exhibits, port=port) as server:
            size = len(server.page) / 1e6
            click.echo(
                f"View: {server.address}\nThe page has {size:.0f} MB, all else is read when looked at. Ctrl-C ends it."
            )
            if opens:
                click.launch(server.address)
            server.serve_forever()
    except KeyboardInterrupt:
        click.echo("Ended.")
