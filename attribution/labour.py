"""The division-of-labour index: do different places cause different properties?

See ``docs/decisions/0008-division-of-labour.md`` for why it is defined so. Let e_p be the profile of property p: its
true effects, one per place. The index is 1 - the mean over pairs of properties of cos(e_p, e_q). All properties settled
at the same places in the same proportions: 0, be it a single latent or every layer. Each property at places of its own:
1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd

from outcrop.attribution.bootstrap import FloatArray, bca_ends, draw_counts, mean_known
from outcrop.attribution.effect_table import EffectTable
from outcrop.attribution.profiles import (
    cross_products,
    earth_mover,
    entropy_concentration,
    gini,
    jensen_shannon,
    overlaps,
    weighted_profiles,
)
from outcrop.data.errors import InputError

Over = Literal["site", "window", "cell"]


@dataclass(frozen=True)
class Labour:
    """The index (NaN where fewer than two properties are caused anywhere) with its interval, and what it is made of.

    ``properties``: a row each with ``n`` pairs, ``strength`` (root mean square effect, noise taken off), ``entropy``
    and ``gini`` (concentration of the effect, 0 spread evenly, 1 all at one place), their intervals, ``top`` (the place
    of the largest effect) and ``caused`` (does the interval of the strength lie above 0? others are left out of the
    index). ``pairs``: a row per two properties with ``apart`` (1 - cosine), ``jensen_shannon`` and ``earth_mover``, and
    beside both distances ``*_noise``: what two samples of this size of one and the same profile would show.
    ``profiles``: mean effects, property x place.
    """

    index: float
    low: float
    high: float
    over: Over
    properties: pd.DataFrame
    pairs: pd.DataFrame
    profiles: pd.DataFrame

    @property
    def left_out(self) -> tuple[str, ...]:
        """Properties that no place was seen to cause."""
        return tuple(self.properties.index[~self.properties["caused"]])


def division_of_labour(table: EffectTable, *, cells: Sequence[int] | None = None, over: Over = "site") -> Labour:
    """The index over ``cells`` of ``table`` (all that are no control), with profiles over sites, step windows or both.

    Raises :class:`InputError` for cells that mix interventions or doses, as their effects are not parts of one whole.
    Warns (:class:`~outcrop.attribution.effect_table.FewPairsWarning`) of properties read off fewer than ten pairs.
    """
    chosen = _choose(table, cells)
    table.warn_of_few_pairs(table.properties)
    places, values = _by_place(table, chosen, over)
    resampling = table.resampling
    n = values.shape[1]
    weights = np.concatenate([np.ones((1, n)), draw_counts(n, resampling), 1 - np.eye(n)])
    split = (1, 1 + resampling.resamples)
    estimates = _Estimates(values, weights, split, resampling.confidence)
    products = cross_products(values, weights)
    profiles = weighted_profiles(values, weights)
    properties = _property_rows(table.properties, places.index, values, products, profiles, estimates)
    pairs = _pair_rows(table.properties, places, products, profiles, estimates)
    caused = [number for number, name in enumerate(table.properties) if properties.loc[name, "caused"]]
    index = np.clip(estimates.interval(_index(products, caused)), 0.0, 1.0)
    shown = pd.DataFrame(profiles[0], index=pd.Index(table.properties, name="property"), columns=places.index)
    return Labour(float(index[0]), float(index[1]), float(index[2]), over, properties, pairs, shown)


@dataclass(frozen=True)
class _Estimates:
    """Turns statistics under all weights (estimate, resamples, jackknife) into intervals."""

    values: FloatArray
    weights: FloatArray
    split: tuple[int, int]
    confidence: float

    def interval(self, statistics: FloatArray) -> FloatArray:
        """Estimate, low and high (3,) of ``statistics`` (r,)."""
        first, second = self.split
        if np.isnan(statistics[0]):
            return np.full(3, np.nan)
        resampled, left_out = statistics[first:second, None], statistics[None, second:]
        low, high = bca_ends(statistics[:1], resampled, left_out, confidence=self.confidence)
        return np.array([statistics[0], low[0], high[0]])


def _choose(table: EffectTable, cells: Sequence[int] | None) -> pd.DataFrame:
    rows = table.frame[table.frame["property"] == table.properties[0]].set_index("cell")
    rows = rows[rows["control"] == "none"] if cells is None else rows.loc[list(cells)]
    for column in ("intervention", "dose", "half"):
        kinds = rows[column].dropna().unique()
        if len(kinds) > 1:
            raise InputError(
                f"A profile is made of one kind of intervention. The cells have {column} {', '.join(map(str, kinds))}; "
                "choose some by their number in table.frame."
            )
    if rows.empty:
        raise InputError("A profile needs at least one cell that is no control.")
    return rows


def _by_place(table: EffectTable, rows: pd.DataFrame, over: Over) -> tuple[pd.DataFrame, FloatArray]:
    """The places with their depth, and effects (property, pair, place): means over the cells of a place."""
    keys = rows["site"] + " " + rows["window"] if over == "cell" else rows[over]
    depth = rows["depth"].groupby(keys.to_numpy(), sort=False).mean()
    members = [rows.index[keys == place] for place in depth.index]
    values = [np.stack([one.toward[cells].mean(0) for cells in members], axis=1) for one in table.scores.values()]
    spans = [mean_known(one.toward_span) for one in table.scores.values()]
    return depth.to_frame("depth"), np.stack([value / span for value, span in zip(values, spans, strict=True)])


def _index(products: FloatArray, caused: Sequence[int]) -> FloatArray:
    if len(caused) < 2:
        return np.full(len(products), np.nan)
    cosines = overlaps(products[:, caused][:, :, caused])
    one, other = np.triu_indices(len(caused), 1)
    result: FloatArray = 1 - cosines[:, one, other].mean(1)
    return result


def _property_rows(
    names: Sequence[str],
    places: pd.Index,
    values: FloatArray,
    products: FloatArray,
    profiles: FloatArray,
    estimates: _Estimates,
) -> pd.DataFrame:
    rows = []
    for number, name in enumerate(names):
        row: dict[str, object] = {"property": name, "n": int((~np.isnan(values[number, :, 0])).sum())}
        square = estimates.interval(products[:, number, number] / len(places))
        row |= dict(zip(("strength", "strength_low", "strength_high"), np.sqrt(np.maximum(square, 0)), strict=True))
        for label, measure in (("entropy", entropy_concentration), ("gini", gini)):
            found = estimates.interval(measure(profiles[:, number]))
            row |= dict(zip((label, f"{label}_low", f"{label}_high"), found, strict=True))
        own = profiles[0, number]
        row["top"] = places[int(np.argmax(own))] if np.isfinite(own).any() else ""
        row["caused"] = bool(square[1] > 0)
        rows.append(row)
    return pd.DataFrame(rows).set_index("property")


def _pair_rows(
    names: Sequence[str], places: pd.DataFrame, products: FloatArray, profiles: FloatArray, estimates: _Estimates
) -> pd.DataFrame:
    cosines = overlaps(products)
    depth = places["depth"].to_numpy(dtype=np.float64)
    rows = []
    for p, q in combinations(range(len(names)), 2):
        row: dict[str, object] = {"property": names[p], "other": names[q]}
        found = estimates.interval(1 - cosines[:, p, q])
        row |= dict(zip(("apart", "apart_low", "apart_high"), found, strict=True))
        row["jensen_shannon"] = float(jensen_shannon(profiles[0, p], profiles[0, q]))
        row["earth_mover"] = float(earth_mover(profiles[0, p], profiles[0, q], depth))
        drawn = profiles[estimates.split[0] : estimates.split[1]]
        for label, distance in (
            ("jensen_shannon_noise", jensen_shannon),
            ("earth_mover_noise", lambda one, other: earth_mover(one, other, depth)),
        ):
            row[label] = float(mean_known(np.concatenate([distance(drawn[1:, k], drawn[:-1, k]) for k in (p, q)])))
        rows.append(row)
    return pd.DataFrame(rows)
