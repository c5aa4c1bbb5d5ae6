"""Saving figures: PNG for slides, SVG and PDF for print, the same bytes for the same figure."""

from io import BytesIO
from pathlib import Path
from typing import Literal, get_args

import pandas as pd
from matplotlib.figure import Figure

from outcrop.data.errors import InputError, StorageError
from outcrop.viz.accepts import FIGURE, accept
from outcrop.viz.architecture import plot_architecture
from outcrop.viz.heatmap import plot_heatmap
from outcrop.viz.inputs import HasFrame, read_frame
from outcrop.viz.profiles import plot_profiles
from outcrop.viz.steps import plot_steps
from outcrop.viz.style import figure_style

Kind = Literal["png", "svg", "pdf"]
DPI = 200
# Dates and program versions would make equal figures differ.
_METADATA: dict[str, dict[str, None]] = {
    "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def render_figure(fig: Figure, *, kind: Kind, dpi: int = DPI) -> bytes:
    """``fig`` as the bytes of a file; equal figures give equal bytes (on one version of matplotlib)."""
    buffer = BytesIO()
    with figure_style():
        fig.savefig(buffer, format=kind, dpi=dpi, metadata=_METADATA[kind])
    return buffer.getvalue()


def save_figure(fig: Figure, stem: str | Path) -> list[Path]:
    """Write ``stem``.png (200 dpi), .svg and .pdf, creating the folder. Raises ``StorageError`` if that fails."""
    accept("save_figure", fig, FIGURE)
    _check_path(stem)
    return [write_figure(fig, f"{stem}.{kind}") for kind in get_args(Kind)]


def write_figure(fig: Figure, path: str | Path) -> Path:
    """Write one file, of the kind that its ending says; the path.

    Raises ``InputError`` for an ending that is none of png, svg and pdf, ``StorageError`` where writing fails.
    """
    accept("write_figure", fig, FIGURE)
    path = _check_path(path)
    kind = figure_kind(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(render_figure(fig, kind=kind))
    except OSError as error:
        raise StorageError(
            f"expected to write the figure {path}; the system says: {error.strerror or error}. "
            "Choose a folder that can be written and has space left."
        ) from error
    return path


def _check_path(path: object) -> Path:
    if not isinstance(path, str | Path) or not str(path):
        raise InputError(f"expected a path for the figure, as text or Path; got {path!r}.")
    return Path(path)


def figure_kind(path: Path) -> Kind:
    """What a figure's file is by its ending. Raises ``InputError`` for another one."""
    for kind in get_args(Kind):
        if path.suffix.lower() == f".{kind}":
            known: Kind = kind
            return known
    raise InputError(f"expected a file that ends in .png, .svg or .pdf for a figure; got {str(path)!r}.")


def write_figures(table: HasFrame | pd.DataFrame, folder: str | Path) -> list[Path]:
    """Write every figure of ``table`` to ``folder`` as PNG, SVG and PDF; the paths in the order of writing.

    Selectivity is left out for a table without a control task, the curves over steps for a table of one step.
    """
    frame, folder = read_frame(table, "write_figures"), _check_path(folder)
    figures = {
        "architecture": plot_architecture(table),
        "heatmap": plot_heatmap(table),
        "profiles": plot_profiles(table),
    }
    if frame.groupby("property")["selectivity"].count().gt(0).all():
        figures["heatmap_selectivity"] = plot_heatmap(table, value="selectivity")
    if frame["step"].nunique() > 1:
        figures["steps"] = plot_steps(table)
    return [path for name, fig in figures.items() for path in save_figure(fig, folder / name)]
