"""The head map: what each head of each attention lets a probe read."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from outcrop.data.errors import InputError
from outcrop.viz.grid import Value, property_grid
from outcrop.viz.heatmap import draw_grids
from outcrop.viz.inputs import HasFrame, choose_properties, confidence_of, read_frame

HEAD = re.compile(r"(?P<attention>.+)\.head\.(?P<head>\d+)(?P<stream>\.text)?")


def plot_head_map(
    table: HasFrame | pd.DataFrame,
    *,
    step: int | None = None,
    properties: Sequence[str] | None = None,
    value: Value = "accuracy",
) -> Figure:
    """Draw ``value`` of every head (sites ``...head.K``): a panel a property, rows are attentions, columns heads.

    ``step`` is the index of a step; it may be left out where there is one. Colours, dots and the outline are those of
    :func:`outcrop.viz.heatmap.plot_heatmap`; grey where an attention has fewer heads. Raises ``InputError`` for a table
    without heads, and for a step that was not probed.
    """
    frame = _heads(read_frame(table, "plot_head_map"), step)
    grids = [property_grid(frame, name, value=value) for name in choose_properties(frame, properties)]
    grids = [replace(grid, axis=replace(grid.axis, kind="head")) for grid in grids]
    return draw_grids(grids, confidence=confidence_of(table))


def _heads(frame: pd.DataFrame, step: int | None) -> pd.DataFrame:
    """The rows of heads at one step: attentions as sites, heads as steps."""
    parts = frame["site"].astype(str).str.extract(f"^{HEAD.pattern}$")
    rows = frame.assign(site=parts["attention"] + parts["stream"].fillna(""), head=parts["head"])
    rows = rows[rows["head"].notna()]
    if rows.empty:
        raise InputError(
            "expected probes of single heads (sites such as `...attn2.head.3`); the table has none. "
            "Capture them: --site '*.head.*'."
        )
    known = sorted(int(index) for index in rows["step"].unique())
    if step is None and len(known) == 1:
        step = known[0]
    if step not in known:
        given = "none" if step is None else str(step)
        raise InputError(f"A head map shows one step, of {', '.join(map(str, known))}. Got {given}; give step.")
    rows = rows[rows["step"] == step]
    return rows.assign(step=rows["head"].astype(np.int64), noise=np.nan, timestep=np.nan)
