"""Grouped k-fold splits: no test sample shares a value of any grouped column with a training sample."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.data.counted import counted
from outcrop.probes.grouping import GroupColumn, Grouping, IntArray, UnsplittableError, form_groups
from outcrop.probes.properties import Target

BoolArray = NDArray[np.bool_]
Scheme = Literal["single", "components", "crossed", "blocks"]

LEAST_TRAINING = 0.5
"""Crossed folds are used while every training fold keeps this share of the samples; blocks otherwise."""

NEIGHBOURS = 2
"""Each fold's strength is validated on the folds at most this far along the ring (all others, for five folds)."""


@dataclass(frozen=True)
class Fold:
    """Rows (n,) to fit on and rows to score; rows in neither were left out to keep the two apart."""

    train: BoolArray
    test: BoolArray


@dataclass(frozen=True)
class InnerFold:
    """Rows to fit on inside two outer training folds at once, and what each of those validates its strength on."""

    train: BoolArray
    validate: tuple[tuple[int, BoolArray], ...]


@dataclass(frozen=True)
class Splits:
    """Outer folds, which test every sample once, and inner folds for the choice of strength.

    ``dealt`` (n,): the fold that the first unit's groups were dealt to; no training row has that of a test row.
    ``balanced`` names the labels over whose classes groups were dealt evenly.
    """

    grouping: Grouping
    scheme: Scheme
    dealt: IntArray
    folds: tuple[Fold, ...]
    inner: tuple[InnerFold, ...]
    balanced: tuple[str, ...] = ()

    def describe(self) -> dict[str, object]:
        """What was grouped and how, for the provenance."""
        return {
            "scheme": self.scheme,
            "kept_apart": list(self.grouping.apart),
            "balanced_over": list(self.balanced),
            "units": {unit.name: unit.count for unit in self.grouping.units},
            "folds": len(self.folds),
            "inner_folds": len(self.inner),
            "training_rows": [int(fold.train.sum()) for fold in self.folds],
        }


def make_splits(
    samples: pd.DataFrame,
    targets: Sequence[Target],
    *,
    group_by: Sequence[str],
    folds: int,
    seed: int,
    balanced: Sequence[Target] | None = None,
) -> Splits:
    """Deal the groups of ``samples`` (n rows) to ``folds`` folds with the classes of ``balanced`` (``targets``) even.

    ``single``: one column implies all others, and its groups are dealt. ``components``: connected components of the
    columns' values are dealt. ``crossed``: the first column's groups are dealt, and training rows that share another
    column's value with the test rows are dropped. ``blocks``: where that would drop too much (templates fully crossed
    with seeds, say), every column is dealt, each block of folds is tested in turn, and its training rows lie outside
    the block in every column.

    Raises, before anything is fitted, :class:`~outcrop.data.errors.InputError` for columns that are not there (see
    ``form_groups``), and :class:`UnsplittableError` for columns that cannot be grouped, a class with fewer groups than
    folds, and a class that a training fold would lack. :func:`outcrop.probes.advice.split_or_advise` says what to do.
    """
    grouping = form_groups(samples, group_by=group_by, folds=folds)
    balanced = balanced or targets
    for unit, target in itertools.product(grouping.units, targets):
        _check_class_groups(unit, target, folds=folds)
    dealt = [deal_groups(unit.codes, balanced, folds=folds, seed=seed) for unit in grouping.units]
    scheme, outer, places = _choose_scheme(grouping, dealt, targets, folds=folds)
    for number, fold in enumerate(outer):
        for target in targets:
            _check_training_classes(number, fold, target, grouping=grouping)
    inner = tuple(_inner_folds(outer, _ring_pairs(places, folds=folds)))
    _check_inner(outer, inner, grouping=grouping)
    return Splits(grouping, scheme, dealt[0], outer, inner, tuple(target.name for target in balanced))


def deal_groups(codes: IntArray, targets: Sequence[Target], *, folds: int, seed: int) -> IntArray:
    """The fold (n,) of every sample: largest groups first, each to the fold where sizes and classes stay most even."""
    counts = _group_counts(codes, targets)
    share = counts.sum(0) / folds
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-counts[order].max(1), kind="stable")]
    held = np.zeros((folds, counts.shape[1]))
    fold_of = np.empty(len(counts), dtype=np.int64)
    for position, group in enumerate(order):
        before, after = held - share, held + counts[group] - share
        growth = ((after**2 - before**2) / np.maximum(share, 1)).sum(1)
        empty = held[:, 0] == 0
        if len(order) - position <= empty.sum():
            growth[~empty] = np.inf
        fold_of[group] = np.argmin(growth)
        held[fold_of[group]] += counts[group]
    return fold_of[codes]


def _group_counts(codes: IntArray, targets: Sequence[Target]) -> NDArray[np.float64]:
    """(groups, 1 + classes): samples of each group, and of each of its classes."""
    groups = int(codes.max()) + 1
    parts = [np.bincount(codes, minlength=groups)[:, None].astype(np.float64)]
    for target in targets:
        table = np.zeros((groups, len(target.classes)))
        np.add.at(table, (codes[target.known], target.codes[target.known]), 1)
        parts.append(table)
    return np.concatenate(parts, axis=1)


def _choose_scheme(
    grouping: Grouping, dealt: Sequence[IntArray], targets: Sequence[Target], *, folds: int
) -> tuple[Scheme, tuple[Fold, ...], list[tuple[int, ...]]]:
    ring: list[tuple[int, ...]] = [(number,) for number in range(folds)]
    if len(dealt) == 1:
        outer = tuple(Fold(dealt[0] != number, dealt[0] == number) for number in range(folds))
        scheme: Scheme = "components" if grouping.joined else "single"
        return scheme, outer, ring
    crossed = tuple(_crossed_fold(dealt[0] == number, grouping.units[1:]) for number in range(folds))
    enough = all(fold.train.mean() >= LEAST_TRAINING for fold in crossed)
    if enough and all(_trains_all(fold, target) for fold, target in itertools.product(crossed, targets)):
        return "crossed", crossed, ring
    places = [
        place
        for place in itertools.product(range(folds), repeat=len(dealt))
        if np.logical_and.reduce([column == at for column, at in zip(dealt, place, strict=True)]).any()
    ]
    return "blocks", tuple(_block_fold(dealt, place) for place in places), places


def _crossed_fold(test: BoolArray, others: Sequence[GroupColumn]) -> Fold:
    train = ~test
    for column in others:
        train &= ~np.isin(column.codes, column.codes[test])
    return Fold(train, test)


def _block_fold(dealt: Sequence[IntArray], place: tuple[int, ...]) -> Fold:
    inside = np.stack([column == at for column, at in zip(dealt, place, strict=True)])
    return Fold(np.logical_not(inside.any(axis=0)), np.asarray(inside.all(axis=0)))


def _ring_pairs(places: Sequence[tuple[int, ...]], *, folds: int) -> list[tuple[int, int]]:
    """Pairs of folds that validate each other: as far apart in every column, at most ``NEIGHBOURS`` along the ring."""
    number = {place: i for i, place in enumerate(places)}
    pairs = set()
    for place, far in itertools.product(places, range(1, NEIGHBOURS + 1)):
        partner = number.get(tuple((at + far) % folds for at in place))
        if partner is not None and partner != number[place]:
            pairs.add((min(number[place], partner), max(number[place], partner)))
    return sorted(pairs)


def _inner_folds(outer: Sequence[Fold], pairs: Iterable[tuple[int, int]]) -> Iterable[InnerFold]:
    for i, j in pairs:
        train = outer[i].train & outer[j].train
        validate = tuple(
            (own, outer[own].train & outer[partner].test)
            for own, partner in ((i, j), (j, i))
            if (outer[own].train & outer[partner].test).any()
        )
        if train.any() and validate:
            yield InnerFold(train, validate)


def _trains_all(fold: Fold, target: Target) -> bool:
    return len(np.unique(target.codes[fold.train & target.known])) == len(target.classes)


def _check_class_groups(unit: GroupColumn, target: Target, *, folds: int) -> None:
    for code, name in enumerate(target.classes):
        count = len(np.unique(unit.codes[target.codes == code]))
        if count < folds:
            raise UnsplittableError(
                f"Class {name!r} of property {target.name!r} occurs in {counted(count, 'group')} of {unit.name!r}; "
                f"{folds} folds need at least {folds}."
            )


def _check_training_classes(number: int, fold: Fold, target: Target, *, grouping: Grouping) -> None:
    if _trains_all(fold, target):
        return
    present = set(target.codes[fold.train])
    lacking = [name for code, name in enumerate(target.classes) if code not in present]
    raise UnsplittableError(
        f"Fold {number} has no training sample of {', '.join(map(repr, lacking))} for property {target.name!r} once "
        f"{', '.join(grouping.apart)} are kept apart ({int(fold.train.sum())} of {len(fold.train)} rows are left to "
        f"train on)."
    )


def _check_inner(outer: Sequence[Fold], inner: Sequence[InnerFold], *, grouping: Grouping) -> None:
    served = {own for fold in inner for own, _ in fold.validate}
    if len(served) < len(outer):
        raise UnsplittableError(
            f"{len(outer) - len(served)} of {len(outer)} folds leave no rows to choose the strength on once "
            f"{', '.join(grouping.apart)} are kept apart."
        )


def majority_accuracy(target: Target, splits: Splits) -> float:
    """Out-of-fold accuracy of the most frequent class of each training fold."""
    right = 0
    for fold in splits.folds:
        guess = np.bincount(target.codes[fold.train & target.known]).argmax()
        right += int((target.codes[fold.test & target.known] == guess).sum())
    return right / int(target.known.sum())
