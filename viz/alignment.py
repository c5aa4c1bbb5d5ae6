"""The alignment matrix: how alike sites represent the same samples."""

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from outcrop.data.errors import InputError
from outcrop.viz import labels, site_names
from outcrop.viz.accepts import ALIGNMENT, refusal
from outcrop.viz.matrix import Matrix, draw_matrix
from outcrop.viz.rows import part_boundaries

ROUNDING = 1e-4


def plot_alignment(
    values: NDArray[np.floating], sites: Sequence[str], others: Sequence[str] | None = None, *, measure: str = "cka"
) -> Figure:
    """Draw what :func:`outcrop.probes.alignment.alignment_matrix` gives for ``sites`` against ``others`` (the same).

    ``values`` (site, other) are drawn from 0 to 1, in the order given; white lines part the parts of the network. Up to
    16 sites a side the numbers stand in the cells. Raises ``InputError`` for what are no alignments (a table; values
    above 1; of sites with themselves, values that are not the same both ways), where names and values do not fit
    together, and for a measure that is not known.
    """
    names = [_names(part) for part in (sites, sites if others is None else others)]
    matrix = _checked(values, *names, square=others is None)
    if measure not in labels.MEASURES:
        raise InputError(f"measure must be one of {', '.join(labels.MEASURES)}. Got {measure!r}.")
    rows, across = (site_names.short_site_names(part) for part in names)
    titles = (labels.SITE, labels.SITE) if others is None else (labels.FIRST_MODEL, labels.OTHER_MODEL)
    parts = part_boundaries(names[0]), part_boundaries(names[1])
    note = labels.alignment_footnote(measure, square=others is None, parts=any(parts))
    drawn = Matrix(
        matrix, [rows[site] for site in names[0]], [across[site] for site in names[1]], *titles, labels.ALIGNMENT, note,
        parts=parts, square=others is None,
    )  # fmt: skip
    return draw_matrix(drawn, title=labels.MEASURES[measure], name="alignment")


def _checked(values: object, rows: Sequence[str], columns: Sequence[str], *, square: bool) -> NDArray[np.float64]:
    """``values`` as an array, if they can be alignments of sites of these names."""
    if not isinstance(values, np.ndarray | list | tuple):
        raise refusal("plot_alignment", values, ALIGNMENT)
    matrix = _numbers(values)
    if matrix.shape != (len(rows), len(columns)) or not matrix.size:
        raise InputError(
            f"expected alignments of {len(rows)} sites with {len(columns)}; got an array of shape {matrix.shape}. "
            "Name each site of the rows, and each other of the columns."
        )
    if np.nanmax(np.abs(matrix), initial=0) > 1 + ROUNDING:
        raise InputError(
            f"expected alignments, which are at most 1; got {np.nanmax(np.abs(matrix)):.4g}. {ALIGNMENT.made}"
        )
    if square and not np.allclose(matrix, matrix.T, atol=ROUNDING, equal_nan=True):
        raise InputError(
            "expected alignments of sites with themselves, which are the same both ways; got others. Of two models, "
            "name the sites of both: plot_alignment(values, sites, others)."
        )
    return matrix


def _names(sites: object) -> list[str]:
    names = list(sites) if isinstance(sites, Iterable) and not isinstance(sites, str) else []
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise InputError(
            f"plot_alignment takes the names of the sites, each once, in the order of the values; {sites!r} came."
        )
    return names


def _numbers(values: object) -> NDArray[np.float64]:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise refusal("plot_alignment", values, ALIGNMENT) from None
