"""Is one effect larger than another? Contrasts between cells and between properties, on the same pairs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from outcrop.attribution.bootstrap import FloatArray, bca_ends, divide, draw_counts
from outcrop.attribution.effect_table import EffectTable

Measure = Literal["effect", "necessity"]
Entry = tuple[str, int]
"""A property and the number of a cell."""


@dataclass(frozen=True)
class Contrast:
    """A difference of mean effects with its interval."""

    value: float
    low: float
    high: float

    def to_text(self) -> str:
        return f"{self.value:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


def contrast(
    table: EffectTable, more: Sequence[Entry], less: Sequence[Entry] = (), *, measure: Measure = "effect"
) -> Contrast:
    """The mean effect of the entries ``more`` less that of ``less`` (0, if left out), with a BCa interval over pairs.

    Every pair is drawn with all that it gave, so that the comparison is paired. NaN where an entry has no pairs.
    """
    n = next(iter(table.scores.values())).toward.shape[1]
    resampling = table.resampling
    weights = np.concatenate([np.ones((1, n)), draw_counts(n, resampling), 1 - np.eye(n)])
    found = _mean_effect(table, more, weights, measure)
    if less:
        found = found - _mean_effect(table, less, weights, measure)
    if np.isnan(found[0]):
        return Contrast(np.nan, np.nan, np.nan)
    split = 1 + resampling.resamples
    low, high = bca_ends(found[:1], found[1:split, None], found[None, split:], confidence=resampling.confidence)
    return Contrast(float(found[0]), float(low[0]), float(high[0]))


def _mean_effect(table: EffectTable, entries: Sequence[Entry], weights: FloatArray, measure: Measure) -> FloatArray:
    effects = []
    for name, cell in entries:
        one = table.scores[name]
        over, under = (one.toward[cell], one.toward_span) if measure == "effect" else (one.away[cell], one.away_span)
        known = ~np.isnan(over)
        effects.append(divide(weights[:, known] @ over[known], weights[:, known] @ under[known]))
    mean: FloatArray = np.mean(effects, axis=0)
    return mean
