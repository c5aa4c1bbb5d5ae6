"""Ridge regression for properties with a scale: what of a number can be read, at which site and step.

One eigendecomposition of each set of training rows serves all properties, all strengths and all permutations: in the
eigenbasis the solution for a penalty is a division. The strength is chosen inside each training fold. R2 is out of fold
and against the mean of the training rows, 1 - sum of squared errors / sum of squares about that mean: below 0 where the
probe is worse than the mean.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.data.errors import InputError
from outcrop.data.patterns import match_names, near_misses
from outcrop.probes.advice import split_or_advise
from outcrop.probes.cells import Progress
from outcrop.probes.checks import check_sequence
from outcrop.probes.design import Rotation, fit_rotation
from outcrop.probes.features import Recording, feature_matrix
from outcrop.probes.grouping import grouped_columns
from outcrop.probes.intervals import ratio_intervals
from outcrop.probes.permutation import adjusted
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.splits import Splits

Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

PENALTIES = tuple(10.0**power for power in range(-4, 4))
"""Relative to the mean variance of the standardised features."""


@dataclass(frozen=True)
class Scale:
    """A property with a scale: ``values`` (n, m) of its m columns, NaN rows where a label is missing."""

    name: str
    values: Float64Array

    @property
    def known(self) -> BoolArray:
        return np.asarray(np.isfinite(self.values).all(1))


@dataclass(frozen=True)
class Regression:
    """Of one property at one cell: ``errors`` and ``about_mean`` (n,), squared and summed over its columns; ``penalty``
    the middle one of the folds' choices; ``p_value``, NaN without permutations.
    """

    errors: Float64Array
    about_mean: Float64Array
    penalty: float
    p_value: float


def regress(
    recording: Recording,
    properties: Sequence[str | Sequence[str]],
    *,
    spec: ProbeSpec | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """R2 of each of ``properties`` at each site and step, out of fold.

    A property is a numeric label column, or several that are read together (``("x", "y")``), each of which is brought
    to unit variance and counts alike. ``spec`` gives sites, steps, groups, folds, permutations and intervals.
    Rows: ``property``, ``site``, ``step``, ``n``, ``r2``, ``low``, ``high``, ``penalty``, and with permutations
    ``p_value`` (values permuted within groups, where these have several rows), ``q_value``.

    Raises :class:`InputError` for columns that are missing, are no numbers, or do not vary.
    """
    spec = spec or ProbeSpec()
    scales = [_scale(recording.labels, _columns(name)) for name in check_sequence("properties", properties)]
    if not scales:
        raise InputError("properties must name at least one. Got an empty sequence.")
    group_by = grouped_columns(recording.samples, spec.group_by)
    splits = split_or_advise(recording.samples, [], group_by=group_by, folds=spec.folds, seed=spec.seed)
    sites = match_names(spec.sites or ("*",), list(recording.sites.index), kind="Site")
    steps = [int(step) for step in (recording.steps.index if spec.steps is None else spec.steps)]
    orders = _permuted_rows(splits, permutations=spec.permutations, seed=spec.seed)
    rows: list[dict[str, Any]] = []
    cells = [(site, step) for site in sites for step in steps]
    for done, (site, step) in enumerate(cells, 1):
        features = feature_matrix(recording, site, step=step)
        for scale in scales:
            found = fit_regression(features, scale, splits, orders=orders)
            rows.append({"property": scale.name, "site": site, "step": step, **_row(found, scale, splits, spec)})
        if progress is not None:
            progress(done, len(cells))
    frame = pd.DataFrame(rows)
    if not spec.permutations:
        return frame.drop(columns="p_value")
    return frame.assign(q_value=adjusted(frame["p_value"].to_numpy()))


def fit_regression(
    features: NDArray[np.floating], scale: Scale, splits: Splits, *, orders: Sequence[NDArray[np.intp]] = ()
) -> Regression:
    """Ridge regression of ``scale`` on ``features`` (n, d) by the folds of ``splits``.

    ``orders``: rows whose values each row is given in a permutation; all are refitted, at strengths of their own.
    """
    known = scale.known
    values = np.where(known[:, None], scale.values, 0)
    spread = values[known].std(0)
    standard = np.where(known[:, None], (values - values[known].mean(0)) / spread, 0)
    outcomes = np.stack([standard, *(standard[order] for order in orders)])
    present = np.stack([known, *(known[order] for order in orders)])
    errors, about, chosen = np.zeros(present.shape), np.zeros(present.shape), []
    penalties = _choose(features, outcomes, present, splits)
    for own, fold in enumerate(splits.folds):
        path = _Path.fit(features, fold.train, fold.test, outcomes, present)
        for labelling, number in enumerate(penalties[own]):
            error, mean = path.errors(outcomes, labelling, PENALTIES[number])
            tested = fold.test & present[labelling]
            errors[labelling, tested], about[labelling, tested] = error[tested[fold.test]], mean[tested[fold.test]]
        chosen.append(PENALTIES[penalties[own, 0]])
    explained = 1 - errors.sum(1) / about.sum(1)
    p_value = float((explained >= explained[0]).mean()) if len(orders) else float("nan")
    middle = float(np.quantile(chosen, 0.5, method="lower"))
    return Regression(errors[0], about[0], middle, p_value)


@dataclass(frozen=True)
class _Path:
    """The training rows' decomposition: every penalty is a division away.

    ``weights`` (p, r, m): cross-products of coordinates and centred outcomes of each labelling, per training row;
    ``tested`` (r, rows); ``means`` (p, m).
    """

    rotation: Rotation
    weights: Float64Array
    tested: Float64Array
    means: Float64Array
    rows: BoolArray

    @classmethod
    def fit(
        cls,
        features: NDArray[np.floating],
        train: BoolArray,
        test: BoolArray,
        outcomes: Float64Array,
        present: BoolArray,
    ) -> "_Path":
        rotation = fit_rotation(features[train].astype(np.float64))
        coordinates = rotation.coordinates(features[train].astype(np.float64))
        own = present[:, train, None]
        count = np.maximum(own.sum(1), 1)
        means = (outcomes[:, train] * own).sum(1) / count
        centred = (outcomes[:, train] - means[:, None]) * own
        weights = np.einsum("rt,ptm->prm", coordinates, centred, optimize=True) / count[:, None]
        tested = np.asarray(rotation.coordinates(features[test].astype(np.float64)), dtype=np.float64)
        return cls(rotation, weights, tested, means, test)

    def errors(self, outcomes: Float64Array, labelling: int, penalty: float) -> tuple[Float64Array, Float64Array]:
        """Squared errors, and squares about the training mean, of the tested rows, summed over columns."""
        spectrum = self.rotation.spectrum
        ridge = spectrum + penalty * max(float(spectrum.mean()), float(np.finfo(np.float64).tiny))
        predicted = self.tested.T @ (self.weights[labelling] / ridge[:, None])
        apart = outcomes[labelling][self.rows] - self.means[labelling]
        return ((apart - predicted) ** 2).sum(1), (apart**2).sum(1)


def _choose(
    features: NDArray[np.floating], outcomes: Float64Array, present: BoolArray, splits: Splits
) -> NDArray[np.intp]:
    """Which of ``PENALTIES`` has the least validated error, for each outer fold and labelling (f, p)."""
    losses = np.zeros((len(splits.folds), len(outcomes), len(PENALTIES)))
    for inner in splits.inner:
        held = np.logical_or.reduce([validated for _, validated in inner.validate])
        path = _Path.fit(features, inner.train, held, outcomes, present)
        for labelling in range(len(outcomes)):
            for number, penalty in enumerate(PENALTIES):
                error = path.errors(outcomes, labelling, penalty)[0]
                for own, validated in inner.validate:
                    losses[own, labelling, number] += error[(validated & present[labelling])[held]].sum()
    return np.asarray(losses.argmin(2))


def _permuted_rows(splits: Splits, *, permutations: int, seed: int) -> list[NDArray[np.intp]]:
    """Rows in other orders: within groups, or among all where every row is a group."""
    rng = np.random.default_rng([seed, 3])
    groups = splits.grouping.units[0].codes
    order = np.argsort(groups, kind="stable")
    result = []
    for _ in range(permutations):
        shuffled = np.empty_like(order)
        shuffled[order] = np.lexsort((rng.random(len(groups)), groups))
        result.append(shuffled if len(np.unique(groups)) < len(groups) else rng.permutation(len(groups)))
    return result


def _row(found: Regression, scale: Scale, splits: Splits, spec: ProbeSpec) -> dict[str, Any]:
    known = scale.known
    units = [unit.codes[known] for unit in splits.grouping.units]
    settings: dict[str, Any] = {"confidence": spec.confidence, "bootstraps": spec.bootstraps, "seed": spec.seed}
    low, high = ratio_intervals(found.errors[known], found.about_mean[known], units, **settings)
    explained = 1 - found.errors.sum() / found.about_mean.sum()
    return {
        "n": int(known.sum()),
        "r2": float(explained),
        "low": 1 - high,
        "high": 1 - low,
        "penalty": found.penalty,
        "p_value": found.p_value,
    }


def _columns(name: object) -> tuple[str, ...]:
    """The label columns of a property: one, or several that are read together."""
    columns = (name,) if isinstance(name, str) else tuple(name) if isinstance(name, Iterable) else ()
    if not columns or not all(isinstance(column, str) for column in columns):
        raise InputError(f"A property must be a label column, or several: ('x', 'y'). Got {name!r}.")
    return tuple(map(str, columns))


def _scale(labels: pd.DataFrame, columns: Sequence[str]) -> Scale:
    name = " + ".join(columns)
    parts = []
    for column in columns:
        if column not in labels:
            raise InputError(f"There is no label column {column!r}.{near_misses(column, map(str, labels.columns))}")
        values = pd.to_numeric(labels[column], errors="coerce").to_numpy(dtype=np.float64)
        wrong = ~np.isfinite(values) & labels[column].notna().to_numpy() & (labels[column].astype(str) != "").to_numpy()
        if wrong.any():
            first = labels[column].iloc[int(np.argmax(wrong))]
            raise InputError(
                f"Label column {column!r} holds {first!r}, which is no number. Probe it as classes "
                f"(properties of `oc.probe`)."
            )
        if len(np.unique(values[np.isfinite(values)])) < 2:
            raise InputError(f"Label column {column!r} does not vary: there is nothing to explain. Leave it out.")
        parts.append(values)
    return Scale(name, np.stack(parts, axis=1))
