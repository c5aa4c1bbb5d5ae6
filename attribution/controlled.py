"""What is left of effects when those of one kind of control are taken off, pair by pair."""

from typing import Literal

import numpy as np
import pandas as pd

from outcrop.attribution.bootstrap import ratio_intervals
from outcrop.attribution.effect_table import EffectTable
from outcrop.data.errors import InputError
from outcrop.probes.comparison import sign_flip_p_values
from outcrop.probes.permutation import adjusted

Kind = Literal["random-site", "random-direction"]
SAME = ("intervention", "site", "window", "dose", "half")


def against_controls(table: EffectTable, kind: Kind) -> pd.DataFrame:
    """A row per property and cell that has controls of ``kind``: ``effect``, ``control`` (the mean effect of its
    controls) and ``over``, the difference on the same pairs, each with its interval; ``p_value`` by flipped signs of
    whole pairs, ``q_value`` over all rows (Benjamini-Hochberg).

    Raises :class:`InputError` for a table without such controls.
    """
    frame = table.frame.fillna({"dose": np.inf})  # NaN equals nothing, itself included
    first = frame[frame["property"] == table.properties[0]].set_index("cell")
    places = dict(zip(map(int, first.index), first[list(SAME)].itertuples(index=False), strict=True))
    kinds = dict(zip(map(int, first.index), first["control"], strict=True))
    own = {
        cell: [other for other, place in places.items() if kinds[other] == kind and place == places[cell]]
        for cell in places
        if kinds[cell] == "none"
    }
    tested = [cell for cell, controls in own.items() if controls]
    if not tested:
        known = sorted(set(frame["control"]) - {"none"})
        raise InputError(f"The table has no {kind} controls. It has {', '.join(known) or 'none'}.")
    parts = []
    for name, one in table.scores.items():
        effect = one.toward[tested]
        control = np.stack([one.toward[own[cell]].mean(0) for cell in tested])
        rows = first.loc[tested, ["site", "window", "intervention"]].reset_index()
        rows.insert(0, "property", name)
        span = np.broadcast_to(one.toward_span, effect.shape)
        for label, values in (("effect", effect), ("control", control), ("over", effect - control)):
            found = ratio_intervals(values, span, resampling=table.resampling)
            rows[label], rows[f"{label}_low"], rows[f"{label}_high"] = found
        kept = (effect - control)[:, one.read]
        enough = kept.shape[1] > 1
        seed = table.resampling.seed
        rows["p_value"] = sign_flip_p_values(kept, np.arange(kept.shape[1]), seed=seed) if enough else np.nan
        parts.append(rows)
    joined = pd.concat(parts, ignore_index=True)
    joined["q_value"] = adjusted(joined["p_value"].to_numpy())
    return joined
