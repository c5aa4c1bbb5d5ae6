"""Properties: the label columns to be explained, encoded as classes."""

import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.data.counted import counted
from outcrop.data.errors import InputError
from outcrop.data.patterns import did_you_mean

IntArray = NDArray[np.int64]

MISSING = -1
MOST_CLASSES = 50
MOST_CLASSES_SHARE = 0.5
"""Numbers of which more than this share differ from all others are a quantity."""
REALISED = ":"
"""Stands between a property and who says what the picture shows of it (:mod:`outcrop.data.labels`)."""
CONFOUNDED = 0.95


class ConfoundedWarning(UserWarning):
    """Two properties vary together, so that a probe of one also reads the other."""


@dataclass(frozen=True)
class Target:
    """What one probe predicts: ``codes`` (n,) into ``classes``, -1 where the label is missing."""

    name: str
    codes: IntArray
    classes: tuple[str, ...]

    @property
    def known(self) -> NDArray[np.bool_]:
        known: NDArray[np.bool_] = self.codes != MISSING
        return known


def choose_targets(
    labels: pd.DataFrame, *, properties: Sequence[str] | None, group_by: Sequence[str]
) -> tuple[Target, ...]:
    """Encode ``properties``, or every label column with 2 to 50 classes that is not grouped by.

    Raises :class:`InputError` for a column that is missing or has one class, or where nothing is left.
    """
    if properties is None:
        targets = categorical(labels, group_by=group_by)
        if not targets:
            raise InputError(
                f"No label column has 2 to {MOST_CLASSES} classes. Label columns: {_listed(labels)}. "
                f"Add labels, or name properties."
            )
        return targets
    return tuple(_named_target(labels, name) for name in properties)


def categorical(labels: pd.DataFrame, *, group_by: Sequence[str] = ()) -> tuple[Target, ...]:
    """Every label column with 2 to 50 classes that is not grouped by, encoded."""
    candidates = [encode(labels[name], name=str(name)) for name in labels.columns if name not in group_by]
    return tuple(target for target in candidates if 2 <= len(target.classes) <= MOST_CLASSES)


def encode(values: pd.Series, *, name: str) -> Target:
    """Classes in sorted order (numbers by value); missing and empty values get the code -1."""
    empty = (values.isna() | (values.astype(str) == "")).to_numpy(dtype=bool)
    codes = np.full(len(values), MISSING, dtype=np.int64)
    found, classes = pd.factorize(values[~empty], sort=True)
    codes[~empty] = found
    return Target(name, codes, tuple(str(value) for value in classes))


def warn_if_confounded(targets: Sequence[Target]) -> tuple[tuple[str, str], ...]:
    """Warn of, and return, the pairs of properties whose Cramer's V exceeds 0.95.

    A prompted property and its realised counterparts (``content`` and ``content:oracle``) are meant to agree.
    """
    pairs = []
    for first, second in itertools.combinations(targets, 2):
        if _subject(first) == _subject(second):
            continue
        association = cramers_v(first, second)
        if association > CONFOUNDED:
            pairs.append((first.name, second.name))
            warnings.warn(
                f"Properties {first.name!r} and {second.name!r} are confounded (Cramer's V = {association:.2f}): "
                f"a probe of one cannot be told from a probe of the other. Capture prompts in which they vary "
                f"independently.",
                ConfoundedWarning,
                stacklevel=4,
            )
    return tuple(pairs)


def warn_if_aliased(
    targets: Sequence[Target], *, confounded: Sequence[tuple[str, str]] = ()
) -> tuple[tuple[str, int], ...]:
    """Warn of properties that the others together determine in part, and return them with the ranks that they lack.

    Checked on the design matrix of all properties' indicators, as in an analysis of variance without interactions.
    ``confounded`` pairs have been warned of and are passed over; so are realised counterparts of prompted properties.
    """
    passed = {name for pair in confounded for name in pair}
    names = {target.name for target in targets}
    passed |= {target.name for target in targets if _subject(target) != target.name and _subject(target) in names}
    checked = [target for target in targets if target.name not in passed]
    both = np.logical_and.reduce([target.known for target in checked]) if checked else np.zeros(0, dtype=np.bool_)
    columns = [np.eye(len(target.classes))[target.codes[both]][:, 1:] for target in checked]
    aliased = []
    for number, target in enumerate(checked if both.any() else ()):
        others = [np.ones((int(both.sum()), 1)), *columns[:number], *columns[number + 1 :]]
        own = _rank([others[0], columns[number]]) - 1
        gain = _rank([*others, columns[number]]) - _rank(others)
        if gain < own:
            aliased.append((target.name, own - gain))
    if aliased:
        design = [np.ones((int(both.sum()), 1)), *columns]
        named = ", ".join(f"{name!r} ({lacking} of its directions)" for name, lacking in aliased)
        warnings.warn(
            f"Properties are determined by the others together: {named}; their design matrix has rank {_rank(design)} "
            f"of {sum(column.shape[1] for column in design)}. A probe of one reads a combination of the others as "
            f"well. Capture prompts in which they vary independently.",
            ConfoundedWarning,
            stacklevel=4,
        )
    return tuple(aliased)


def _subject(target: Target) -> str:
    """The property that a realised label is about: ``content`` of ``content:oracle``."""
    return target.name.split(REALISED)[0]


def _rank(columns: Sequence[NDArray[np.float64]]) -> int:
    return int(np.linalg.matrix_rank(np.concatenate(columns, axis=1)))


def cramers_v(first: Target, second: Target) -> float:
    """Association of two properties in [0, 1]; 1 where one determines the other (Cramer 1946, uncorrected)."""
    both = first.known & second.known
    table = np.zeros((len(first.classes), len(second.classes)))
    np.add.at(table, (first.codes[both], second.codes[both]), 1)
    table = table[table.any(1)][:, table.any(0)]
    if min(table.shape) < 2:
        return 0.0
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    chi_squared = ((table - expected) ** 2 / expected).sum()
    return float(np.sqrt(chi_squared / (table.sum() * (min(table.shape) - 1))))


def _named_target(labels: pd.DataFrame, name: str) -> Target:
    if name not in labels:
        raise InputError(
            f"There is no label column {name!r}. Label columns: {_listed(labels)}."
            f"{did_you_mean(name, list(labels.columns))}"
        )
    target = encode(labels[name], name=name)
    if len(target.classes) < 2:
        have = f"one class ({target.classes[0]!r})" if target.classes else "no value"
        raise InputError(
            f"Property {name!r} has {have} in {len(labels)} samples; a probe needs two. Leave it out (properties)."
        )
    if pd.api.types.is_numeric_dtype(labels[name]) and len(target.classes) > MOST_CLASSES_SHARE * target.known.sum():
        raise InputError(
            f"Property {name!r} has {len(target.classes)} different numbers in {target.known.sum()} samples: it is a "
            f"quantity, and no classes. Read it with outcrop.probes.regress(ds, [{name!r}])."
        )
    return target


def _listed(labels: pd.DataFrame) -> str:
    return ", ".join(f"{name} ({counted(labels[name].nunique(), 'value')})" for name in labels.columns) or "none"
