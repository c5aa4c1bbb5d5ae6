"""Does one site tell more than another? Paired tests on the same samples."""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.data.errors import InputError
from outcrop.probes.intervals import group_intervals
from outcrop.probes.permutation import adjusted
from outcrop.probes.properties import REALISED, IntArray

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
    its accuracy in the same table. Raises :class:`InputError` for a property, site or step that is not there, and where
    there is no other cell.
    """
    own = (frame["property"] == property_name).to_numpy()
    here = own & ((frame["site"] == site) & (frame["step"] == step)).to_numpy()
    if not here.any():
        raise InputError(
            f"The table has no row of property {property_name!r} at site {site!r}, step {step}. Properties: "
            f"{', '.join(map(repr, frame['property'].unique()))}; sites and steps stand in table.frame."
        )
    others = own & ~here
    if not others.any():
        raise InputError(f"The table has one cell of {property_name!r}: there is no other to compare it with.")
    known = outcomes.right[here][0] != UNLABELLED
    apart = outcomes.right[others][:, known].astype(np.float64) - outcomes.right[here][0, known]
    place = frame.loc[others, ["property", "site", "step"]].reset_index(drop=True)
    return _tested(place, apart, outcomes.units[:, known], confidence=confidence, seed=seed)


def compare_properties(
    frame: pd.DataFrame, outcomes: Outcomes, first: str, second: str, *, confidence: float, seed: int
) -> pd.DataFrame:
    """Accuracy of property ``first`` less that of ``second`` at every cell, on the samples that have both labels.

    The use: ``content:oracle`` against ``content``, what the picture shows against what was asked for. Columns as of
    :func:`compare_cells`. Raises :class:`InputError` for a property that is not there. Warns where the two are no
    labels of one thing: accuracies of other classes are not on one scale, and their difference answers no question.
    """
    rows = []
    for name in (first, second):
        found = np.flatnonzero((frame["property"] == name).to_numpy())
        if not found.size:
            named = ", ".join(map(repr, frame["property"].unique()))
            raise InputError(f"The table has no property {name!r}. Properties: {named}.")
        rows.append(found)
    if first.split(REALISED, maxsplit=1)[0] != second.split(REALISED, maxsplit=1)[0]:
        warnings.warn(
            f"compare_properties holds what pictures show against what was asked for ('content:oracle' and 'content'); "
            f"{first!r} and {second!r} are different questions, and their accuracies are not on one scale.",
            stacklevel=3,
        )
    right = [outcomes.right[found] for found in rows]
    known = (right[0][0] != UNLABELLED) & (right[1][0] != UNLABELLED)
    apart = right[0][:, known].astype(np.float64) - right[1][:, known]
    place = frame.loc[rows[0], ["site", "step"]].reset_index(drop=True)
    return _tested(place, apart, outcomes.units[:, known], confidence=confidence, seed=seed)


def _tested(place: pd.DataFrame, apart: Float64Array, units: IntArray, *, confidence: float, seed: int) -> pd.DataFrame:
    """``place`` with mean, interval and tests of the differences ``apart`` (m, n)."""
    groups = [np.unique(codes, return_inverse=True)[1] for codes in units]
    low, high = group_intervals(apart, groups, confidence=confidence, bootstraps=RESAMPLES, seed=seed)
    single = len(groups) == 1
    p_values = sign_flip_p_values(apart, groups[0], seed=seed) if single else np.full(len(apart), np.nan)
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
