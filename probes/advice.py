"""What to do where samples cannot be split as asked: only what has been tried on them is advised."""

from collections.abc import Iterator, Sequence

import pandas as pd

from outcrop.probes.grouping import UnsplittableError
from outcrop.probes.properties import Target
from outcrop.probes.spec import LEAST_FOLDS
from outcrop.probes.splits import Splits, make_splits


def split_or_advise(
    samples: pd.DataFrame, targets: Sequence[Target], *, group_by: Sequence[str], folds: int, seed: int
) -> Splits:
    """:func:`make_splits`. Where it cannot be done, the error tells what can be done with these samples instead."""
    try:
        return make_splits(samples, targets, group_by=group_by, folds=folds, seed=seed)
    except UnsplittableError as error:
        ways = list(_ways(samples, targets, group_by, folds=folds, seed=seed))
        advice = (
            f"With these samples one can {', or '.join(ways)}."
            if ways
            else f"No grouping and no number of folds from {LEAST_FOLDS} on does with these samples: capture more "
            f"prompts, so that each class occurs in at least {LEAST_FOLDS} of them."
        )
        raise UnsplittableError(f"{error} {advice}") from None


def _ways(
    samples: pd.DataFrame, targets: Sequence[Target], group_by: Sequence[str], *, folds: int, seed: int
) -> Iterator[str]:
    """Fewer folds; another grouping, with the most folds that it allows; fewer properties."""
    fewer = _most_folds(samples, targets, group_by, folds=folds - 1, seed=seed)
    if fewer:
        yield f"use fewer folds (--folds {fewer}, in Python spec=ProbeSpec(folds={fewer}))"
    for name in group_by if len(group_by) > 1 else ("seed", "prompt"):
        if name in group_by and len(group_by) == 1:
            continue
        count = _most_folds(samples, targets, (name,), folds=folds, seed=seed) if name in samples else 0
        if count > fewer:
            with_folds = "" if count == folds else f" and use --folds {count}"
            in_python = f"in Python spec=ProbeSpec(group_by=({name!r},))"
            yield f"group by {name!r} alone (--group-by {name}, {in_python}){with_folds}"
    able = [target for target in targets if _most_folds(samples, [target], group_by, folds=folds, seed=seed) == folds]
    if able and len(able) < len(targets) and _splits(samples, able, group_by, folds=folds, seed=seed):
        named = ", ".join(repr(target.name) for target in able)
        yield f"probe {named} alone (--property, in Python spec=ProbeSpec(properties=...))"


def _most_folds(
    samples: pd.DataFrame, targets: Sequence[Target], group_by: Sequence[str], *, folds: int, seed: int
) -> int:
    """The most folds up to ``folds`` that can be made; 0 if there are none."""
    counts = range(folds, LEAST_FOLDS - 1, -1)
    return next((count for count in counts if _splits(samples, targets, group_by, folds=count, seed=seed)), 0)


def _splits(
    samples: pd.DataFrame, targets: Sequence[Target], group_by: Sequence[str], *, folds: int, seed: int
) -> bool:
    try:
        make_splits(samples, targets, group_by=group_by, folds=folds, seed=seed)
    except UnsplittableError:
        return False
    return True
