"""Which samples belong together, so that nothing of a test sample has been seen in training."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from outcrop.data.counted import counted
from outcrop.data.errors import InputError
from outcrop.data.patterns import near_misses

IntArray = NDArray[np.int64]

BY_DEFAULT = ("template", "seed")
"""Columns that are grouped by where none are named, as far as they tell samples apart."""

ALWAYS_APART = ("prompt", "image")
"""Columns that are kept apart besides the named ones, where a value is not empty and not the same everywhere."""

COMBINED = "*"
"""Joins columns of which the combination of values is kept apart: ``content * style``."""

LARGEST_COMPONENT = 1.5
"""Components serve as groups while the largest holds at most this many times a fold's share of the samples."""


class UnsplittableError(InputError):
    """The samples cannot be split as asked; another grouping, or fewer folds, may do."""


@dataclass(frozen=True)
class GroupColumn:
    """One partition of the samples: ``codes`` (n,) from 0, ``name`` for messages."""

    name: str
    codes: IntArray

    @property
    def count(self) -> int:
        return int(self.codes.max()) + 1


@dataclass(frozen=True)
class Grouping:
    """Columns of which a test and a training sample may share no value.

    ``apart`` names all columns kept apart; ``units`` are the partitions that are enough to do so: one, or several
    that cross each other. ``joined`` is true where the one unit is a connected component of the columns' values.
    """

    apart: tuple[str, ...]
    units: tuple[GroupColumn, ...]
    joined: bool = False

    @property
    def name(self) -> str:
        """What was grouped, for the table: ``template``, ``template x seed``, ``template + seed``."""
        return " x ".join(unit.name for unit in self.units)


def form_groups(samples: pd.DataFrame, *, group_by: Sequence[str], folds: int) -> Grouping:
    """Reduce the columns of ``samples`` to the partitions that folds have to respect.

    A column whose every value has a single value of another column needs no care of its own (each seed occurs with
    one template: keeping templates apart keeps seeds apart). Columns that cross only a little are joined into
    connected components of their values. A prompt that all samples share tells nothing and is not kept apart; where
    nothing is left to keep apart, each sample is a group. Raises :class:`InputError` for a column that is missing, and
    :class:`UnsplittableError` for one that is empty or has fewer distinct values than there are folds.
    """
    named = [_named_column(samples, name, folds=folds) for name in group_by]
    others = [_column(samples, name) for name in ALWAYS_APART if name in samples and name not in group_by]
    implied = [column for column in others if column.count > 1]
    _check_implied(implied, folds=folds, samples=len(samples))
    columns = named + implied
    needed = _drop_refinements(columns) or [GroupColumn("sample", np.arange(len(samples)))]
    apart = tuple(column.name for column in columns)
    if len(needed) > 1:
        joined = _components(needed)
        largest = np.bincount(joined.codes).max()
        if joined.count >= folds and largest * folds <= LARGEST_COMPONENT * len(samples):
            return Grouping(apart, (joined,), joined=True)
    return Grouping(apart, tuple(needed))


def grouped_columns(samples: pd.DataFrame, group_by: Sequence[str] | None) -> tuple[str, ...]:
    """``group_by``, or without it those of ``BY_DEFAULT`` that are there and differ between samples."""
    if group_by is not None:
        return tuple(group_by)
    there = (name for name in BY_DEFAULT if name in samples and not _empty(samples, name).all())
    return tuple(name for name in there if _column(samples, name).count > 1)


def parts_of(name: str) -> tuple[str, ...]:
    """The columns that ``name`` asks for: several where they are joined by ``*``."""
    return tuple(part.strip() for part in name.split(COMBINED))


def _empty(samples: pd.DataFrame, name: str) -> NDArray[np.bool_]:
    """Where one of the columns of ``name`` has no value, (n,)."""
    columns = [samples[part] for part in parts_of(name)]
    empty = [(values.isna() | (values.astype(str) == "")).to_numpy(dtype=bool) for values in columns]
    return np.asarray(np.stack(empty).any(0))


def _column(samples: pd.DataFrame, name: str) -> GroupColumn:
    """Codes of one column, or of a combination; an empty or missing value belongs to its sample alone."""
    empty = _empty(samples, name)
    columns = list(parts_of(name))
    values = samples[name] if len(columns) == 1 else samples.groupby(columns, sort=True).ngroup()
    codes = np.empty(len(samples), dtype=np.int64)
    codes[~empty] = pd.factorize(values[~empty], sort=True)[0]
    first = codes[~empty].max() + 1 if (~empty).any() else 0
    codes[empty] = first + np.arange(empty.sum())
    return GroupColumn(name, codes)


def _named_column(samples: pd.DataFrame, name: str, *, folds: int) -> GroupColumn:
    for part in parts_of(name):
        if part not in samples:
            raise InputError(
                f"group_by names {part!r}, which is no sample column.{near_misses(part, list(samples.columns))}"
            )
    if _empty(samples, name).all():
        raise UnsplittableError(f"Samples are grouped by {name!r}, which is empty for all {len(samples)} samples.")
    column = _column(samples, name)
    if column.count < folds:
        raise UnsplittableError(
            f"Samples are grouped by {name!r}, which has {counted(column.count, 'distinct value')}; {folds} folds need "
            f"at least {folds}."
        )
    return column


def _check_implied(columns: Sequence[GroupColumn], *, folds: int, samples: int) -> None:
    for column in columns:
        if column.count < folds:
            raise UnsplittableError(
                f"{samples} samples have {counted(column.count, 'distinct value')} of {column.name!r}, which is never "
                f"shared between training and test; {folds} folds need at least {folds}."
            )


def _drop_refinements(columns: Sequence[GroupColumn]) -> list[GroupColumn]:
    """The columns less those that a kept one implies; of equal partitions the first stays."""
    kept: list[GroupColumn] = []
    for i, column in enumerate(columns):
        coarser = (
            other
            for j, other in enumerate(columns)
            if j != i and _refines(column, other) and not (_refines(other, column) and j > i)
        )
        if next(coarser, None) is None:
            kept.append(column)
    return kept


def _refines(fine: GroupColumn, coarse: GroupColumn) -> bool:
    """Whether every value of ``fine`` occurs with one value of ``coarse``."""
    pairs = np.unique(np.stack([fine.codes, coarse.codes]), axis=1)
    return int(pairs.shape[1]) == fine.count


def _components(columns: Sequence[GroupColumn]) -> GroupColumn:
    """Connected components of the graph whose vertices are the columns' values and whose edges are the samples."""
    first, vertices = columns[0], sum(column.count for column in columns)
    starts, ends, offset = [], [], first.count
    for column in columns[1:]:
        starts.append(first.codes)
        ends.append(offset + column.codes)
        offset += column.count
    rows, cols = np.concatenate(starts), np.concatenate(ends)
    graph = coo_array((np.ones(len(rows)), (rows, cols)), shape=(vertices, vertices))
    labels = connected_components(graph, directed=False)[1]
    _, codes = np.unique(labels[first.codes], return_inverse=True)
    return GroupColumn(" + ".join(column.name for column in columns), codes.astype(np.int64))
