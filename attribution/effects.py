"""From pictures to effects: how far an intervention carries each property from the donor into the picture."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.attribution.bootstrap import DEFAULT, FloatArray, Resampling, ratio_intervals
from outcrop.attribution.effect_table import EffectTable
from outcrop.attribution.outcomes import CellInfo, Outcomes
from outcrop.attribution.readouts import Readout
from outcrop.attribution.scores import DONOR, NEITHER, RECEIVER, Progress, PropertyScores, score
from outcrop.data.errors import InputError
from outcrop.probes.comparison import sign_flip_p_values
from outcrop.probes.permutation import adjusted

Z = 1.959964  # of a two-sided 95 % interval
NO_CONTROL = "none"
PLACE = ("intervention", "site", "window", "dose", "half", "control")
TESTED = (
    "signs of whole pairs flipped, two-sided; with controls the largest p-value of several, of the effect and of what "
    "it is beyond each kind of control in the same direction; q_value: Benjamini-Hochberg over all cells and properties"
)


def effects(
    outcomes: Outcomes,
    readouts: Sequence[Readout],
    *,
    resampling: Resampling = DEFAULT,
    progress: Progress | None = None,
) -> EffectTable:
    """The effect of each cell of a study on each property that ``readouts`` read, with intervals over pairs.

    ``progress`` is called with the readouts that are done, and all.
    Raises :class:`InputError` where no pair can be read: A and B must differ in a property, and be recognised.
    """
    scores = score(outcomes, readouts, progress=progress)
    if not any(one.read.any() for one in scores.values()):
        raise InputError(
            f"None of the {len(outcomes.pairs)} pairs can be read: in no property do donor and receiver differ and "
            "show what was asked for. Choose other pairs, or readouts that recognise this model's pictures."
        )
    return tabulate(outcomes, scores, resampling=resampling)


def tabulate(
    outcomes: Outcomes, scores: Mapping[str, PropertyScores], *, resampling: Resampling = DEFAULT
) -> EffectTable:
    """The table of what every pair gave in every cell of ``outcomes``."""
    cells = cell_table(outcomes)
    kinds = sorted({cell.control for cell in outcomes.record.cells} - {NO_CONTROL})
    controls = [control_cells(outcomes.record.cells, kind) for kind in kinds]
    parts = [_rows(name, one, cells, controls, resampling) for name, one in scores.items()]
    frame = pd.concat(parts, ignore_index=True)
    tested = (frame["control"] == NO_CONTROL).to_numpy()
    frame["q_value"] = adjusted(np.where(tested, frame["p_value"], np.nan))
    provenance: dict[str, Any] = {
        "model": outcomes.record.model,
        "steps": outcomes.record.steps,
        "guidance": outcomes.record.guidance,
        "pairs": len(outcomes.pairs),
        "confidence": resampling.confidence,
        "resamples": resampling.resamples,
        "seed": resampling.seed,
        "sites": [site.model_dump(mode="json") for site in outcomes.record.sites],
        "tested": TESTED,
    }
    return EffectTable(frame, scores, provenance)


def cell_table(outcomes: Outcomes) -> pd.DataFrame:
    """One row per cell: what was done, and role and depth where it was done at a single site."""
    rows = [{name: getattr(cell, name) for name in PLACE} for cell in outcomes.record.cells]
    cells = pd.DataFrame(rows, columns=list(PLACE)).astype({"dose": float})
    known = outcomes.sites
    cells.insert(0, "cell", np.arange(len(cells)))
    for name, empty in (("role", ""), ("depth", np.nan)):
        cells[name] = [known[name].get(site, empty) for site in cells["site"]]
    cells["taken"] = [cell.taken for cell in outcomes.record.cells]
    return cells


def control_cells(cells: Sequence[CellInfo], kind: str) -> list[list[int]]:
    """For each cell its controls of ``kind``: of its intervention, site, window, dose, half, or else of its window."""
    found = []
    controls = [number for number, cell in enumerate(cells) if cell.control == kind]
    for cell in cells:
        same = [number for number in controls if cell.control == NO_CONTROL and cells[number].window == cell.window]
        near = [number for number in same if _spot(cells[number]) == _spot(cell)]
        found.append(near or same)
    return found


def _spot(cell: CellInfo) -> tuple[object, ...]:
    return cell.intervention, cell.site, cell.dose, cell.half


def _rows(
    name: str, one: PropertyScores, cells: pd.DataFrame, controls: Sequence[list[list[int]]], resampling: Resampling
) -> pd.DataFrame:
    def interval(values: FloatArray, span: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        return ratio_intervals(values, np.broadcast_to(span, values.shape), resampling=resampling)

    rows = cells.copy()
    rows.insert(0, "property", name)
    rows["n"] = int(one.read.sum())
    rows["effect"], rows["low"], rows["high"] = interval(one.toward, one.toward_span)
    rows["necessity"], rows["necessity_low"], rows["necessity_high"] = interval(one.away, one.away_span)
    for state, label in ((DONOR, "donor"), (RECEIVER, "receiver"), (NEITHER, "neither")):
        rows[label], rows[f"{label}_low"], rows[f"{label}_high"] = _shares(one.state == state, one.read)
    beyond = [one.toward - _control(one.toward, found) for found in controls]
    least = _least(beyond, one)
    rows["over_control"], rows["over_control_low"], rows["over_control_high"] = interval(least, one.toward_span)
    rows["p_value"] = _p_values(one.toward, beyond, one.read, seed=resampling.seed)
    return rows


def _control(toward: FloatArray, controls: list[list[int]]) -> FloatArray:
    """Mean over the controls of each cell, pair by pair; NaN where it has none."""
    return np.stack([toward[found].mean(0) if found else np.full(toward.shape[1], np.nan) for found in controls])


def _least(beyond: Sequence[FloatArray], one: PropertyScores) -> FloatArray:
    """Of what the cells (m,) are ``beyond`` each kind of control, pair by pair, the kind of which least is left."""
    least = np.full(one.toward.shape, np.nan)
    for over in beyond:
        left = over[:, one.read].sum(1)
        fewer = ~np.isnan(left) & ~(left >= least[:, one.read].sum(1))  # NaN where there is none yet
        least[fewer] = over[fewer]
    return least


def _shares(hits: NDArray[np.bool_], read: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Shares of the pairs ``read`` with their 95 % score intervals (Wilson 1927)."""
    n = int(read.sum())
    if not n:
        empty = np.full(len(hits), np.nan)
        return empty, empty, empty
    share = (hits & read).sum(1) / n
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return share, np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)


def _p_values(toward: FloatArray, beyond: Sequence[FloatArray], read: NDArray[np.bool_], *, seed: int) -> FloatArray:
    """Of cells (m,), from what the pairs gave (m, pair) and what is left of it ``beyond`` each kind of control (NaN
    where a cell has none).

    A cell must show an effect, and more of it than every kind of its controls (intersection-union test, Berger 1982,
    Technometrics 24, 295): else a cell that does nothing is found wherever its control happens to do much, and one that
    does what any other site does, wherever a random direction does nothing.
    """
    if read.sum() < 2:
        return np.full(len(toward), np.nan)
    kept = toward[:, read]
    pairs = np.arange(kept.shape[1])
    result = sign_flip_p_values(kept, pairs, seed=seed)
    for over in beyond:
        controlled = np.flatnonzero(~np.isnan(over[:, read]).any(1))
        if not len(controlled):
            continue
        left = over[np.ix_(controlled, read)]
        more = np.sign(left.sum(1)) == np.sign(kept[controlled].sum(1))
        found = sign_flip_p_values(left, pairs, seed=seed)
        result[controlled] = np.where(more, np.maximum(result[controlled], found), 1.0)
    return result
