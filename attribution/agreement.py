"""Decodable against causal: what a probe can read at a site, beside what the site is seen to cause."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from outcrop.attribution.bootstrap import FloatArray, Resampling, bca_ends, divide, draw_counts
from outcrop.attribution.effect_table import EffectTable
from outcrop.attribution.profiles import weighted_profiles
from outcrop.data.errors import InputError
from outcrop.probes.table import ProbeTable

READINGS = {
    ("yes", "yes"): "decodable and used",
    ("yes", "no"): "decodable but unused",
    ("no", "yes"): "used but not linearly decodable",
    ("no", "no"): "neither",
}
UNDECIDED = "undecided"


@dataclass(frozen=True)
class Agreement:
    """``frame``: a row per property and site: ``decodable`` (accuracy above chance, as part of what is possible) and
    ``effect`` with their intervals, and ``reading``. ``correlations``: Spearman's rank correlation of the two over the
    ``sites``, per property, with its interval. ``least``: from where on a value counts.
    """

    frame: pd.DataFrame
    correlations: pd.DataFrame
    least: float

    @property
    def off_diagonal(self) -> pd.DataFrame:
        """The sites where the two disagree."""
        wanted = (READINGS["yes", "no"], READINGS["no", "yes"])
        return self.frame[self.frame["reading"].isin(wanted)].reset_index(drop=True)

    def to_text(self) -> str:
        counts = pd.crosstab(self.frame["property"], self.frame["reading"])
        return f"{counts.to_string()}\n\n{self.correlations.round(2).to_string(index=False)}"


def compare_with_probes(
    probes: ProbeTable, effects: EffectTable, *, cells: Sequence[int] | None = None, least: float = 0.1
) -> Agreement:
    """Join the probes' table with the effects of ``cells`` (all single sites without control), site by site.

    A site is *decodable* (*used*) where the whole interval lies above ``least``, *not* where all of it lies below, and
    else undecided: that nothing was found is no finding of nothing. Probes are averaged over the steps of the cell's
    window, by their place in the schedule. The correlation's interval resamples the pairs of the study and the groups
    of the probes' samples; the sites stay. ``pairs`` are those that could be read: with fewer than ten it warns
    (:class:`~outcrop.attribution.effect_table.FewPairsWarning`). Raises :class:`InputError` where the two share no
    property or no site.
    """
    rows = _cells(probes, effects, cells)
    names = [name for name in effects.properties if name in set(probes.frame["property"])]
    if not names:
        raise InputError(
            f"Probes and effects share no property. Of the probes: {_few(probes.frame['property'])}; of the effects: "
            f"{_few(effects.properties)}."
        )
    if rows.empty:
        raise InputError(
            f"Probes and effects share no site. Of the probes: {_few(probes.frame['site'])}; of the effects: "
            f"{_few(effects.frame['site'])}. Probe a capture of the sites that were intervened on."
        )
    effects.warn_of_few_pairs(names)
    parts, correlations = [], []
    for name in names:
        joined = _join(probes, effects, rows, name)
        parts.append(joined.drop(columns="rows"))
        correlations.append(_correlation(probes, effects, joined, name))
    frame = pd.concat(parts, ignore_index=True)
    verdicts = [
        (_verdict(row["decodable_low"], row["decodable_high"], least), _verdict(row["low"], row["high"], least))
        for _, row in frame.iterrows()
    ]
    frame["reading"] = [READINGS.get(pair, UNDECIDED) for pair in verdicts]
    return Agreement(frame, pd.DataFrame(correlations), least)


def _few(names: Iterable[object], *, count: int = 4) -> str:
    known = list(dict.fromkeys(map(str, names)))
    return ", ".join(known[:count]) + (f" and {len(known) - count} more" if len(known) > count else "")


def _verdict(low: float, high: float, least: float) -> str:
    return "yes" if low > least else "no" if high < least else UNDECIDED


def _cells(probes: ProbeTable, effects: EffectTable, cells: Sequence[int] | None) -> pd.DataFrame:
    first = effects.frame[effects.frame["property"] == effects.properties[0]].set_index("cell")
    chosen = first[first["control"] == "none"] if cells is None else first.loc[list(cells)]
    chosen = chosen[chosen["site"].isin(probes.frame["site"])]
    if chosen["site"].duplicated().any():
        raise InputError("Several cells have the same site: choose one intervention and one window by their cells.")
    return chosen


def _join(probes: ProbeTable, effects: EffectTable, cells: pd.DataFrame, name: str) -> pd.DataFrame:
    frame = probes.frame.reset_index(drop=True)
    own = frame[frame["property"] == name]
    last = max(int(own["step"].max()), 1)
    moments = max(int(effects.provenance["steps"]) - 1, 1)
    result = []
    for cell, row in cells.iterrows():
        first, end = (int(edge) / moments for edge in str(row["window"]).split("-"))
        at = own[own["site"] == row["site"]]
        place = at["step"] / last
        within = at[(place >= first - 1e-9) & (place <= end + 1e-9)]
        within = within if len(within) else at.loc[[(place - (first + end) / 2).abs().idxmin()]]
        scale = (1 - within["chance"]).to_numpy()
        decodable = [float(((within[part] - within["chance"]) / scale).mean()) for part in ("accuracy", "low", "high")]
        found = effects.frame[(effects.frame["property"] == name) & (effects.frame["cell"] == cell)].iloc[0]
        result.append(
            {
                "property": name,
                "site": row["site"],
                "window": row["window"],
                **dict(zip(("decodable", "decodable_low", "decodable_high"), decodable, strict=True)),
                **{part: found[part] for part in ("effect", "low", "high", "q_value")},
                "cell": cell,
                "rows": list(within.index),
            }
        )
    return pd.DataFrame(result)


def _correlation(probes: ProbeTable, effects: EffectTable, joined: pd.DataFrame, name: str) -> dict[str, object]:
    resampling = effects.resampling
    scores = effects.scores[name]
    values = scores.toward[joined["cell"].to_numpy()].T[None] if scores.read.any() else None
    row: dict[str, object] = {"property": name, "sites": len(joined), "pairs": int(scores.read.sum())}
    if values is None or len(joined) < 3:
        return row | dict.fromkeys(("correlation", "low", "high"), np.nan)
    n = values.shape[1]
    weights = np.concatenate([np.ones((1, n)), draw_counts(n, resampling), 1 - np.eye(n)])
    caused = weighted_profiles(values, weights)[:, 0]
    read = np.broadcast_to(joined["decodable"].to_numpy(dtype=np.float64), caused.shape).copy()
    redrawn = _redrawn(probes, joined, resampling)
    if redrawn is not None:
        read[1 : 1 + resampling.resamples] = redrawn
    found = rank_correlation(caused, read)
    low, high = bca_ends(
        found[:1],
        found[1 : 1 + resampling.resamples, None],
        found[None, 1 + resampling.resamples :],
        confidence=resampling.confidence,
    )
    return row | {"correlation": float(found[0]), "low": float(low[0]), "high": float(high[0])}


def _redrawn(probes: ProbeTable, joined: pd.DataFrame, resampling: Resampling) -> FloatArray | None:
    """Accuracies (resample, site) of the same probes on other groups of samples; None for a table without outcomes.

    Its order is that of accuracies above chance, as all sites of a property have the same chance.
    """
    if probes.outcomes is None:
        return None
    right = probes.outcomes.right
    units = np.unique(probes.outcomes.units[0], return_inverse=True)[1]
    counts = draw_counts(int(units.max()) + 1, resampling)[:, units]
    columns = []
    for rows in joined["rows"]:
        known = right[rows[0]] >= 0
        hits = right[rows][:, known].mean(0)
        columns.append(divide(counts[:, known] @ hits, counts[:, known].sum(1)))
    return np.stack(columns, axis=1)


def rank_correlation(some: FloatArray, others: FloatArray) -> FloatArray:
    """Spearman's correlation (r,) of the rows of two (r, site); NaN where one of them is constant."""
    ranks = [rankdata(values, axis=1) for values in (some, others)]
    a, b = (values - values.mean(1, keepdims=True) for values in ranks)
    return divide((a * b).sum(1), np.sqrt((a * a).sum(1) * (b * b).sum(1)))
