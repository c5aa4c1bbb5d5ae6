"""Dose and response: how an effect grows with the dose of a steering or the factor of a head."""

import numpy as np
import pandas as pd

from outcrop.attribution.bootstrap import FloatArray, ratio_intervals
from outcrop.attribution.effect_table import EffectTable
from outcrop.data.errors import InputError

SAME = ("intervention", "site", "window", "half", "control")


def dose_response(table: EffectTable) -> pd.DataFrame:
    """A row per property and place with two doses or more: ``doses`` (how many), ``slope``, the effect gained per unit
    of dose (least squares over the doses, pair by pair), with its interval, and ``steady``: the share of neighbouring
    doses between which the mean effect grows.

    The effects of each dose stand in ``table.frame``. Raises :class:`InputError` for a table without doses.
    """
    first = table.frame[table.frame["property"] == table.properties[0]].dropna(subset=["dose"])
    groups = [rows for _, rows in first.groupby(list(SAME), sort=False) if rows["dose"].nunique() > 1]
    if not groups:
        raise InputError("The table has no place with two doses: give a grid of steering or head scaling `doses`.")
    result = []
    for name, one in table.scores.items():
        for group in groups:
            rows = group.sort_values("dose", kind="stable")
            doses = rows["dose"].to_numpy(dtype=np.float64)
            centred = doses - doses.mean()
            toward = one.toward[rows["cell"].to_numpy()]
            gained = (centred @ toward / (centred @ centred))[None]
            slope, low, high = (float(part[0]) for part in _slope(gained, one.toward_span, table))
            grown = np.diff(toward[:, one.read].mean(1)) > 0 if one.read.any() else np.array([np.nan])
            row = {"property": name, **{key: rows[key].iloc[0] for key in SAME}, "doses": len(doses)}
            result.append(row | {"slope": slope, "low": low, "high": high, "steady": float(np.mean(grown))})
    return pd.DataFrame(result)


def _slope(gained: FloatArray, span: FloatArray, table: EffectTable) -> tuple[FloatArray, ...]:
    return ratio_intervals(gained, span[None], resampling=table.resampling)
