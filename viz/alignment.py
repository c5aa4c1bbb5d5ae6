"""The alignment matrix: how alike sites represent the same samples."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from outcrop.data.errors import InputError
from outcrop.viz import labels, site_names
from outcrop.viz.matrix import Matrix, draw_matrix
from outcrop.viz.rows import part_boundaries


def plot_alignment(
    values: NDArray[np.floating], sites: Sequence[str], others: Sequence[str] | None = None, *, measure: str = "cka"
) -> Figure:
    """Draw what :func:`outcrop.probes.alignment.alignment_matrix` gives for ``sites`` against ``others`` (the same).

    ``values`` (site, other) are drawn from 0 to 1, in the order given; white lines part the parts of the network. Up to
    16 sites a side the numbers stand in the cells. Raises ``InputError`` where names and values do not fit together,
    and for a measure that is not known.
    """
    columns = list(sites if others is None else others)
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.shape != (len(sites), len(columns)) or not matrix.size:
        raise InputError(
            f"expected alignments of {len(sites)} sites with {len(columns)}; got an array of shape {matrix.shape}. "
            "Name each site of the rows, and each other of the columns."
        )
    if measure not in labels.MEASURES:
        raise InputError(f"measure must be one of {', '.join(labels.MEASURES)}. Got {measure!r}.")
    rows, across = site_names.short_site_names(sites), site_names.short_site_names(columns)
    titles = (labels.SITE, labels.SITE) if others is None else (labels.FIRST_MODEL, labels.OTHER_MODEL)
    drawn = Matrix(
        matrix, [rows[site] for site in sites], [across[site] for site in columns], *titles,
        parts=(part_boundaries(sites), part_boundaries(columns)), square=others is None,
    )  # fmt: skip
    return draw_matrix(drawn, title=labels.MEASURES[measure], name="alignment")
