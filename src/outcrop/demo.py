"""The whole chain on the shipped model, as a newcomer would run it step by step."""

import time
from pathlib import Path

import click

import outcrop as oc
from outcrop.console import progress


def run_demo(out: Path) -> None:
    """Capture the full grid of scenes, probe it, draw it, and print where to look."""
    from importlib import resources

    from outcrop.capture.run import capture
    from outcrop.capture.spec import parse_spec, read_spec_fields

    started = time.monotonic()
    config = Path(str(resources.files("outcrop.zoo"))) / "demo.yaml"
    spec = parse_spec(read_spec_fields(config), where=str(config))
    click.echo(f"1. capture {config.name} with {spec.model} into {out}")
    with progress("capture", "images") as update:
        ds = capture(spec, out, progress=update)
    click.echo("2. probe every property at every site and step")
    with progress("probe", "cells") as update:
        table = oc.probe(ds, progress=update)
    table.save(out / "probes")
    click.echo(table.to_text())
    figures = oc.write_figures(table, out / "probes" / "figures")
    page = oc.write_report(ds, table, out / "report.html")
    click.echo(f"3. done in {time.monotonic() - started:.0f} s")
    for path in figures:
        click.echo(f"   figure: {path}")
    click.echo(f"   report: {page}")
