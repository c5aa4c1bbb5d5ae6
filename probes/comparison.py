"""Does one site tell more than another? Paired tests on the same samples."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.data.errors import InputError
from outcrop.probes.intervals import group_intervals
from outcrop.probes.permutation import adjusted
from outcrop.probes.properties import IntArray

Float64Array = NDArray[np.float64]

WRONG, RIGHT, UNLABELLED = 0, 1, -1
FLIPS = 9999
BATCH = 1000
RESAMPLES = 1000


@dataclass(frozen=True)
class Outcomes:
    """What became of every sample.

    ``right`` (rows of the table, n) is ``RIGHT``, ``WRONG`` or ``UNLABELLED``; ``units`` (u, n) are the codes of what
    was grouped, of several columns where they cross.
    """

    right: NDArray[np.int8]
    units: IntArray


def compare_cells(
    frame: pd.DataFrame, outcomes: Outcomes, property_name: str, *, site: str, step: int, confidence: float, seed: int
) -> pd.DataFrame:
    """Every other cell of a property against the one of ``site`` and ``step``, on the same samples.

    Rows: site, step; ``difference``: accuracy there less accuracy here; ``low``, ``high``: its interval by a bootstrap
    over groups; ``p_value``: two-sided, from flipping the sign of whole groups' differences (the null: a group does as
    well in either cell), NaN where the grouped columns cross, as there is no one set of independent groups to flip;
    ``q_value``: Benjamini and Yekutieli's, as all rows share a cell. The cell compared with should not be chosen by
    its accuracy in the same table. Raises :class:`InputError` for a property, site or step that is not there.
    """
    own = (frame["property"] == property_name).to_numpy()
    here = own & ((frame["site"] == site) & (frame["step"] == step)).to_numpy()
    if not here.any():
        raise InputError(
            f"The table has no row of property {property_name!r} at site {site!r}, step {step}. Properties: "
            f"{', '.join(map(repr, frame['property'].unique()))}; sites and steps stand in table.frame."
        )
    others = own & ~here
    known = outcomes.right[here][0] != UNLABELLED
    apart = outcomes.right[others][:, known].astype(np.float64) - outcomes.right[here][0, known]
    units = [np.unique(codes[known], return_inverse=True)[1] for codes in outcomes.units]
    low, high = group_intervals(apart, units, confidence=confidence, bootstraps=RESAMPLES, seed=seed)
    single = len(units) == 1
    p_values = sign_flip_p_values(apart, units[0], seed=seed) if single else np.full(len(apart), np.nan)
    place = frame.loc[others, ["property", "site", "step"]].reset_index(drop=True)
    return place.assign(
        difference=apart.mean(1), low=low, high=high, p_value=p_values, q_value=adjusted(p_values, dependent=True)
    )


def sign_flip_p_values(differences: Float64Array, groups: IntArray, *, seed: int) -> Float64Array:
    """Two-sided p-values (m,) of the sums of ``differences`` (m, n), with the signs of ``groups`` (n,) flipped."""
    totals = np.stack([np.bincount(groups, weights=row) for row in differences])
    observed = np.abs(totals.sum(1))
    rng, reached = np.random.default_rng(seed), np.ones(len(totals))
    for first in range(0, FLIPS, BATCH):
        signs = rng.choice([-1.0, 1.0], size=(totals.shape[1], min(BATCH, FLIPS - first)))
        reached += (np.abs(totals @ signs) >= observed[:, None] - 1e-9).sum(1)
    return np.asarray(reached / (FLIPS + 1))
