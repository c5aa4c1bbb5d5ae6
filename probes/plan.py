"""A sweep that has been checked against its data set, before anything is fitted."""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.data.errors import InputError
from outcrop.data.patterns import did_you_mean, match_names, near_misses
from outcrop.probes.advice import split_or_advise
from outcrop.probes.baselines import MADE_BY
from outcrop.probes.control import control_task
from outcrop.probes.dependence import steadied
from outcrop.probes.features import Recording
from outcrop.probes.grouping import GroupColumn, UnsplittableError, grouped_columns
from outcrop.probes.intervals import group_intervals
from outcrop.probes.online import deal_portions
from outcrop.probes.permutation import permuted_codes, warn_if_untested
from outcrop.probes.properties import (
    IntArray,
    Target,
    categorical,
    choose_targets,
    warn_if_aliased,
    warn_if_confounded,
)
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.splits import Splits, make_splits

Cell = tuple[str, int]
"""A site and a step."""


@dataclass(frozen=True)
class Plan:
    """A sweep that has been checked: everything but the activations."""

    spec: ProbeSpec
    sites: tuple[str, ...]
    steps: tuple[int, ...]
    targets: tuple[Target, ...]
    controls: tuple[tuple[Target, ...], ...]
    permuted: tuple[IntArray, ...]
    portions: IntArray | None
    splits: Splits
    confounded: tuple[tuple[str, str], ...]
    aliased: tuple[tuple[str, int], ...]

    def intervals(
        self,
        scores: NDArray[np.floating] | NDArray[np.bool_],
        target: Target,
        *,
        shared: NDArray[np.float64] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Ends (m,) of the intervals of the row means of ``scores`` (m, rows with a label of ``target``).

        ``shared`` (m,): variance of the rows' sums that folds owe to each other.
        """
        units, spec = self._units(target), self.spec
        return group_intervals(
            scores,
            units,
            confidence=spec.confidence,
            bootstraps=spec.bootstraps,
            seed=spec.seed,
            shared=None if shared is None else shared / target.known.sum() ** 2,
        )

    def steadied(self, shared: NDArray[np.float64], right: NDArray[np.bool_], target: Target) -> NDArray[np.float64]:
        """Estimates (m,) of the variance that folds owe to each other, steadied by theory: see
        :func:`outcrop.probes.dependence.steadied`. ``right`` (m, rows with a label of ``target``).
        """
        return steadied(shared, right, self._units(target), classes=len(target.classes))

    def _units(self, target: Target) -> list[IntArray]:
        return [unit.codes[target.known] for unit in self.splits.grouping.units]

    @property
    def cells(self) -> list[Cell]:
        """In the order in which they are fitted, and stand in the table."""
        return [(site, step) for site in self.sites for step in self.steps]


def make_plan(recording: Recording, spec: ProbeSpec) -> Plan:
    """Resolve ``spec`` against the tables of ``recording`` and split the samples. Raises :class:`InputError`."""
    added = getattr(recording, "added", ())
    names = [name for name in recording.sites.index if name not in added]
    for pattern in (*(spec.sites or ()), *([spec.given] if spec.given else ())):
        _check_baseline(pattern, list(recording.sites.index))
    sites = [*match_names(spec.sites or ("*",), names, kind="Site"), *added]
    if spec.given is not None and spec.given not in recording.sites.index:
        raise InputError(
            f"given names {spec.given!r}, which is no site.{near_misses(spec.given, recording.sites.index)}"
        )
    steps = tuple(int(step) for step in (recording.steps.index if spec.steps is None else spec.steps))
    absent = [step for step in steps if step not in recording.steps.index]
    if absent:
        raise InputError(f"steps must be among {list(recording.steps.index)}. Got {absent} besides.")
    group_by = grouped_columns(recording.samples, spec.group_by)
    targets = choose_targets(recording.labels, properties=spec.properties, group_by=group_by)
    splits = _split(recording, targets, group_by, spec)
    confounded = warn_if_confounded(targets)
    aliased = warn_if_aliased(targets, confounded=confounded)
    groups = splits.grouping.units[0].codes
    controls = tuple(
        tuple(
            control_task(target, groups, folds=splits.dealt, seed=spec.seed, draw=draw) for draw in range(spec.controls)
        )
        for target in targets
    )
    permuted = _permuted(recording, targets, splits.grouping.units[0], spec) if spec.permutations else ()
    portions = deal_portions(groups, seed=spec.seed) if spec.code_length else None
    return Plan(spec, tuple(sites), steps, targets, controls, permuted, portions, splits, confounded, aliased)


def _split(recording: Recording, targets: Sequence[Target], group_by: Sequence[str], spec: ProbeSpec) -> Splits:
    """Folds that do not depend on which properties are asked for, where these samples allow it."""
    every = categorical(recording.labels, group_by=group_by)
    named = {target.name for target in every}
    balanced = (*every, *(target for target in targets if target.name not in named))
    settings: dict[str, Any] = {"group_by": group_by, "folds": spec.folds, "seed": spec.seed}
    try:
        return make_splits(recording.samples, targets, balanced=balanced, **settings)
    except UnsplittableError:
        return split_or_advise(recording.samples, targets, **settings)


def _check_baseline(name: str, there: Sequence[str]) -> None:
    """Tell how a baseline that is not there is made; also where its name is nearly that of one."""
    if fnmatch.filter(there, name) or did_you_mean(name, there, cutoff=0.8):
        return
    for known, made_by in MADE_BY.items():
        if fnmatch.fnmatch(name, known) or did_you_mean(name, [known], cutoff=0.8):
            raise InputError(f"This data set has no site {name!r}. {known} is made by {made_by}.")


def _permuted(
    recording: Recording, targets: Sequence[Target], unit: GroupColumn, spec: ProbeSpec
) -> tuple[IntArray, ...]:
    """The same permutations for every cell."""
    samples = recording.samples
    found = pd.factorize(samples["prompt"])[0] if "prompt" in samples else np.arange(len(samples))
    prompts = found.astype(np.int64)
    settings = {"permutations": spec.permutations, "seed": spec.seed}
    permuted = tuple(permuted_codes(target, unit.codes, prompts, **settings) for target in targets)
    warn_if_untested(targets, permuted, prompts, unit)
    return permuted
