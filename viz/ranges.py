"""Limits of an axis of estimates, and where an interval that reaches beyond them is cut."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

COLUMNS = ("effect", "low", "high")
ROOM = 0.5  # of the range of the estimates: so far beyond them an interval may widen an axis
MARGIN = 0.05  # of the range that is drawn


def effect_limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Limits that hold 0, 1 and every ``effect``, and their intervals as long as these leave the estimates room.

    An interval that reaches further is cut at the edge, so that one wide interval does not flatten everything else.
    """
    value, low, high = (_finite(rows[name]) for name in COLUMNS)
    first, last = min([0.0, *value]), max([1.0, *value])
    room = ROOM * (last - first)
    first, last = max(min([first, *low]), first - room), min(max([last, *high]), last + room)
    margin = MARGIN * (last - first)
    return first - margin, last + margin


def _finite(column: pd.Series) -> NDArray[np.float64]:
    values = column.to_numpy(dtype=np.float64)
    known: NDArray[np.float64] = values[np.isfinite(values)]
    return known


def mark_cut(axes: Axes, at: float, bounds: tuple[float, float], *, colour: str, upright: bool) -> None:
    """Arrowheads at the edges of ``axes`` where the interval ``bounds`` at the place ``at`` reaches beyond them."""
    edges = axes.get_ylim() if upright else axes.get_xlim()
    down, up = ("v", "^") if upright else ("<", ">")
    cuts = ((edges[0], bounds[0] < edges[0], down), (edges[1], bounds[1] > edges[1], up))
    for edge, reached, marker in cuts:
        if reached:
            place = ([at], [edge]) if upright else ([edge], [at])
            axes.plot(
                *place, marker=marker, markersize=4.5, color=colour, markeredgewidth=0, clip_on=False, label="cut"
            )
