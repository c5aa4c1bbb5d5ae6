"""Recipes about what can be decoded, run on recordings: noise levels, token positions, alignment of models."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from outcrop.attribution.recipe import LEAST, NOT_TESTABLE, Card, Outcome, Verdict
from outcrop.data.errors import InputError
from outcrop.probes.alignment import alignment_matrix
from outcrop.probes.features import Recording, feature_matrix
from outcrop.probes.intervals import group_intervals
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.sweep import probe
from outcrop.probes.table import ProbeTable

PEAK_NOISE = Card(
    "peak-noise",
    "how well a property can be decoded rises and falls with the noise level: best neither at the noisiest nor at the "
    "cleanest step",
    "Tang et al. 2023, DIFT; arXiv 2502.05743, SD and ADM",
    "steps of a generation in place of noised photographs; mean over the sites",
)
POSITION_LEAK = Card(
    "position-leak",
    "where a token stands can be decoded linearly at every site, best in the first half of the network",
    "Loos and Linhardt 2025, arXiv 2504.07008, SD1.5, SD2.1, SD Turbo (abstract)",
    "cells of a pooled grid in place of single tokens",
)
PLATONIC = Card(
    "platonic",
    "the more capable a model, the more its layers agree with those of another on which pictures are alike",
    "Huh et al. 2024, arXiv 2405.07987; a critique of 2026 finds that it falls as the sample grows",
    "sites of recorded generations; the sample size is an axis of the figures",
)
NEIGHBOURS, HALVES, SIZES = 10, 100, (0.25, 0.5, 1.0)


def peak_noise(table: ProbeTable, *, model: str, seed: int = 0) -> Verdict:
    """Find each property's best step on half of the groups, and compare it with both ends on the other half."""
    if table.outcomes is None or table.outcomes.units.shape[0] != 1:
        return _blind(PEAK_NOISE, model, "the probes' table does not say which samples of which group were right")
    steps = sorted(table.frame["step"].unique())
    if len(steps) < 3:
        return _blind(PEAK_NOISE, model, "it takes three steps or more to have one between two others")
    units = np.unique(table.outcomes.units[0], return_inverse=True)[1]
    chosen = np.random.default_rng(seed).permutation(int(units.max()) + 1) % 2 == 0
    rows = [_peak(table, str(name), steps, units, chosen[units]) for name in table.frame["property"].unique()]
    figures = pd.DataFrame(rows)
    failed = figures[figures["reading"] != "shown"]["property"]
    reason = f"not so for {', '.join(failed)}" if len(failed) else "so for every property"
    basis = {"pictures": table.outcomes.right.shape[1], "groups": int(units.max()) + 1}
    return Verdict(PEAK_NOISE, model, "does not hold" if len(failed) else "holds", reason, figures, basis=basis)


def _peak(
    table: ProbeTable, name: str, steps: Sequence[int], units: NDArray[np.int64], first_half: NDArray[np.bool_]
) -> dict[str, object]:
    assert table.outcomes is not None
    frame = table.frame.reset_index(drop=True)
    own = frame[frame["property"] == name]
    right = np.stack(
        [table.outcomes.right[own.index[own["step"] == step]].astype(np.float64).mean(0) for step in steps]
    )
    known = table.outcomes.right[own.index[0]] >= 0
    peak = int(right[:, known & first_half].mean(1).argmax())
    other = known & ~first_half
    apart = right[peak, other] - right[[0, -1]][:, other]
    low, high = group_intervals(apart, [units[other]], confidence=0.95, bootstraps=2000, seed=0)
    noise = own.loc[own["step"] == steps[peak], "noise"].iloc[0]
    inside = 0 < peak < len(steps) - 1
    row: dict[str, object] = {"property": name, "peak step": steps[peak], "noise": noise}
    row |= {"above the noisiest": apart[0].mean(), "low": low[0], "high": high[0]}
    row |= {"above the cleanest": apart[1].mean(), "low ": low[1], "high ": high[1]}
    return row | {"reading": "shown" if inside and (low > 0).all() else "not shown"}


@dataclass(frozen=True)
class GridCells:
    """A recording of ``grid:k`` features, read cell by cell: a row for every sample and cell, labelled by ``position``.

    Made by :func:`grid_cells`; it is a :class:`outcrop.probes.features.Recording`.
    """

    recording: Recording
    chosen: NDArray[np.int64]
    sites: pd.DataFrame
    cells: int
    uuid: str = ""
    samples: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def steps(self) -> pd.DataFrame:
        return self.recording.steps

    @property
    def labels(self) -> pd.DataFrame:
        return self.samples[["position"]]

    def activations(self, site: str, *, step: int) -> NDArray[np.generic]:
        """(sample x cell, channel)."""
        values = np.asarray(self.recording.activations(site, step=step))[self.chosen]
        return np.moveaxis(values.reshape(*values.shape[:2], -1), 1, 2).reshape(-1, values.shape[1])


def grid_cells(recording: Recording, *, most: int, seed: int = 0) -> GridCells:
    """The cells of at most ``most`` samples. Raises :class:`InputError` for a recording without maps of one size."""
    shapes = recording.sites["shape"].map(tuple)
    maps = shapes[shapes.map(len) == 3]
    sizes = maps.map(lambda shape: shape[1:])
    grids = sizes[sizes.map(lambda size: size[0] * size[1] > 1)]
    if grids.empty:
        raise InputError("Positions need maps: capture with reduction grid:4 (or full), not mean.")
    grid = grids.mode()[0]
    kept = grids.index[[size == grid for size in grids]]
    count = len(recording.samples)
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[:most])
    cells = int(np.prod(grid))
    samples = recording.samples.iloc[np.repeat(chosen, cells)].copy()
    samples["picture"] = np.repeat([f"picture {number}" for number in chosen], cells)
    samples["position"] = np.tile([f"cell {cell}" for cell in range(cells)], len(chosen))
    samples.index = pd.Index([f"{number:016x}" for number in range(len(samples))], name="id")
    return GridCells(recording, chosen, recording.sites.loc[kept], cells, recording.uuid, samples)


def position_leak(recording: Recording, *, model: str, most: int = 60) -> Verdict:
    """Probe the position of a cell at every site, at the middle step."""
    try:
        cells = grid_cells(recording, most=most)
    except InputError as error:
        return _blind(POSITION_LEAK, model, str(error))
    step = int(cells.steps.index[len(cells.steps) // 2])
    spec = ProbeSpec(properties=("position",), steps=(step,), group_by=("picture",), controls=1)
    table = probe(cells, spec=spec)
    frame = table.frame[["site", "depth", "accuracy", "low", "high", "chance"]].sort_values("depth")
    frame["reading"] = np.where(frame["low"] > frame["chance"], "shown", "not shown")
    figures = frame.reset_index(drop=True)
    everywhere = bool((figures["reading"] == "shown").all())
    assert table.outcomes is not None
    early = (table.frame["depth"] < table.frame["depth"].median()).to_numpy()
    hits = table.outcomes.right.astype(np.float64)
    if not early.any():
        return _blind(POSITION_LEAK, model, "it takes maps at two depths or more")
    apart = hits[early].mean(0) - hits[~early].mean(0)
    low, high = group_intervals(apart[None], [table.outcomes.units[0]], confidence=0.95, bootstraps=2000, seed=0)
    parts = [f"decodable at {'every site' if everywhere else 'some sites only'}"]
    parts.append(f"first half less second {apart.mean():+.2f} ({low[0]:+.2f} to {high[0]:+.2f})")
    holds: Outcome = "holds" if everywhere and low[0] > LEAST else "does not hold"
    basis = {"pictures": len(cells.chosen), "cells of each": cells.cells}
    return Verdict(POSITION_LEAK, model, holds, "; ".join(parts), figures, basis=basis)


def platonic(reference: Recording, others: Sequence[Recording], *, names: Sequence[str], seed: int = 0) -> Verdict:
    """Mutual nearest neighbours of ``reference`` and each of ``others``, which are ordered from less to more capable.

    All have the same samples (prompt and seed). Each model counts with its best pair of sites, at the last step; the
    interval is that of half-samples (Politis and Romano 1994). ``names``: of the reference, then of the others.
    """
    model = ", ".join(names)
    if len(others) < 2:
        return _blind(PLATONIC, model, "it takes two models or more, from less to more capable, beside the reference")
    keys = [list(zip(one.samples["prompt"], one.samples["seed"], strict=True)) for one in (reference, *others)]
    if any(key != keys[0] for key in keys[1:]):
        return _blind(PLATONIC, model, "the recordings do not have the same prompts and seeds in the same order")
    base, features = _features(reference), [_features(one) for one in others]
    n = len(keys[0])
    if n // 2 <= 2 * NEIGHBOURS:
        return _blind(PLATONIC, model, f"it takes more than {4 * NEIGHBOURS} samples; there are {n}")
    rng = np.random.default_rng(seed)
    whole = np.array([_aligned(base, one, np.arange(n)) for one in features])
    halves = [np.sort(rng.permutation(n)[: n // 2]) for _ in range(HALVES)]
    drawn = np.array([[_aligned(base, one, rows) for one in features] for rows in halves])
    rows = [
        _size_row(base, features, names, np.sort(rng.permutation(n)[: max(int(share * n), 2 * NEIGHBOURS)]))
        for share in SIZES
    ]
    gain = whole[-1] - whole[0]
    half = float(norm.ppf(0.975) * (drawn[:, -1] - drawn[:, 0]).std(ddof=1))
    rising = bool((np.diff(whole) > 0).all()) and gain - half > 0
    interval = f"{gain:+.3f} ({gain - half:+.3f} to {gain + half:+.3f})"
    reason = f"from {names[1]} to {names[-1]} the agreement changes by {interval}"
    basis = {"pictures": len(reference.samples), "neighbours": NEIGHBOURS}
    return Verdict(PLATONIC, model, "holds" if rising else "does not hold", reason, pd.DataFrame(rows), basis=basis)


def _size_row(
    base: Sequence[NDArray[np.float32]],
    features: Sequence[Sequence[NDArray[np.float32]]],
    names: Sequence[str],
    rows: NDArray[np.int64],
) -> dict[str, object]:
    found = {name: _aligned(base, one, rows) for name, one in zip(names[1:], features, strict=True)}
    return {"samples": len(rows), **found, "by chance": NEIGHBOURS / (len(rows) - 1)}


def _features(recording: Recording) -> list[NDArray[np.float32]]:
    step = int(recording.steps.index[-1])
    return [feature_matrix(recording, str(site), step=step) for site in recording.sites.index]


def _aligned(
    base: Sequence[NDArray[np.float32]], other: Sequence[NDArray[np.float32]], rows: NDArray[np.int64]
) -> float:
    return float(
        alignment_matrix(
            [x[rows] for x in base], [x[rows] for x in other], measure="mutual-knn", neighbours=NEIGHBOURS
        ).max()
    )


def _blind(card: Card, model: str, reason: str) -> Verdict:
    return Verdict(card, model, NOT_TESTABLE, reason)
