"""Learning curves: how many samples a probe needs until a property is decodable."""

import dataclasses
import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.data.errors import InputError
from outcrop.probes.cells import Progress
from outcrop.probes.checks import check_sequence, is_number
from outcrop.probes.features import Recording, feature_matrix
from outcrop.probes.logistic import cross_validate
from outcrop.probes.plan import Plan, make_plan
from outcrop.probes.progress import shown
from outcrop.probes.properties import IntArray
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.splits import Fold, InnerFold, Splits, majority_accuracy

SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
CURVE = ("samples", "low", "majority", "chance")
"""Columns of a learning curve that tell where a property becomes decodable."""
LEAST_ROWS = 2


def learning_curve(
    recording: Recording,
    property_name: str,
    *,
    site: str,
    step: int,
    shares: Sequence[float] = SHARES,
    spec: ProbeSpec | None = None,
    progress: Progress | bool = False,
) -> pd.DataFrame:
    """Accuracy out of fold with a share of the groups of each training fold, whole groups at a time.

    The smaller shares are part of the larger ones; the test rows stay the same, and the strength is chosen again inside
    each share. Shares that leave a fold too few rows to be fitted are left out, with a warning. Rows: ``share``,
    ``samples`` (training rows, mean over folds), ``accuracy``, ``low``, ``high``, ``chance``, ``majority``;
    :func:`samples_needed` reads off where it becomes decodable. Raises :class:`InputError` for names that are not
    there, shares outside (0, 1], and shares that are all too small. ``progress`` as of :func:`outcrop.probes.probe`.
    """
    shares = _checked_shares(shares)
    asked = dataclasses.replace(spec or ProbeSpec(), properties=(property_name,), sites=(site,), steps=(step,))
    plan = make_plan(recording, asked)
    features = feature_matrix(recording, site, step=step)
    ranks = _ranks(plan.splits.grouping.units[0].codes, seed=plan.spec.seed)
    thinner = {share: thinned(plan.splits, ranks, share=share) for share in sorted(set(shares))}
    held = {share: splits for share, splits in thinner.items() if _enough(splits, plan.targets[0].known)}
    _tell_left_out([share for share in thinner if share not in held], property_name, every=not held)
    points: list[dict[str, float]] = []
    with shown(progress, title="learning curve", unit="shares") as update:
        for share, splits in held.items():
            points.append({"share": share, **_point(features, plan, splits)})
            update(len(points), len(held))
    return pd.DataFrame(points)


def _checked_shares(shares: object) -> tuple[float, ...]:
    found = check_sequence("shares", shares)
    numbers = tuple(share for share in found if is_number(share) and 0 < share <= 1)
    if not found or len(numbers) < len(found):
        raise InputError(f"shares must lie in (0, 1]. Got {found}.")
    return numbers


def samples_needed(curve: pd.DataFrame) -> int | None:
    """The least number of training samples from which on the interval lies above majority and chance; None if none.

    Warns where the curve's first point is clear already: then it takes at most so many, and maybe far fewer. Raises
    :class:`InputError` for a table that is no learning curve.
    """
    lacking = [name for name in CURVE if name not in curve]
    if lacking:
        raise InputError(f"samples_needed reads what learning_curve gives. Got a table without {', '.join(lacking)}.")
    clear = (curve["low"] > curve[["majority", "chance"]].max(axis=1)).to_numpy()
    stays = np.flip(np.logical_and.accumulate(np.flip(clear)))
    if stays.any() and stays[0]:
        warnings.warn(
            f"At most {int(curve['samples'].iloc[0])} samples are needed: the curve's first point is clear of chance "
            f"already. Give learning_curve smaller shares to see where it begins.",
            stacklevel=2,
        )
    return int(curve["samples"].to_numpy()[np.argmax(stays)]) if stays.any() else None


def _tell_left_out(shares: Sequence[float], name: str, *, every: bool) -> None:
    if not shares:
        return
    message = (
        f"{', '.join(f'{share:g}' for share in shares)} of the groups leave fewer than {LEAST_ROWS} rows of "
        f"{name!r} in a fold to train on, or to choose the strength on"
    )
    if every:
        raise InputError(f"There is no learning curve: shares of {message}. Give larger shares.")
    warnings.warn(f"The learning curve begins later: shares of {message}.", stacklevel=3)


def _point(features: NDArray[np.float32], plan: Plan, splits: Splits) -> dict[str, float]:
    target = plan.targets[0]
    fit = cross_validate(features, [target], splits, strengths=plan.spec.strengths)
    known = target.known
    right = (fit.predicted[0] == target.codes)[known]
    shared = plan.steadied(fit.shared, right[None], target)
    low, high = plan.intervals(right[None], target, shared=shared)
    return {
        "samples": round(float(np.mean([(fold.train & known).sum() for fold in splits.folds]))),
        "accuracy": float(right.mean()),
        "low": float(low[0]),
        "high": float(high[0]),
        "chance": 1 / len(target.classes),
        "majority": majority_accuracy(target, plan.splits),
    }


def thinned(splits: Splits, ranks: NDArray[np.float64], *, share: float) -> Splits:
    """``splits`` with training and validation rows of ``ranks`` (n,), a number per group, below ``share`` alone."""
    kept = ranks < share
    folds = tuple(Fold(fold.train & kept, fold.test) for fold in splits.folds)
    inner = tuple(
        InnerFold(fold.train & kept, tuple((own, validated & kept) for own, validated in fold.validate))
        for fold in splits.inner
    )
    return dataclasses.replace(splits, folds=folds, inner=inner)


def _enough(splits: Splits, known: NDArray[np.bool_]) -> bool:
    """Whether every fold has labelled rows (n,) to fit on, inner ones too, and to choose its strength on."""
    trains = [fold.train for fold in splits.folds] + [fold.train for fold in splits.inner]
    chosen = np.zeros(len(splits.folds))
    for fold in splits.inner:
        for own, validated in fold.validate:
            chosen[own] += (validated & known).sum()
    return min(int((train & known).sum()) for train in trains) >= LEAST_ROWS and bool(chosen.min() >= LEAST_ROWS)


def _ranks(groups: IntArray, *, seed: int) -> NDArray[np.float64]:
    """The place (n,) of each row's group in a random order, from 0 to below 1."""
    count = int(groups.max()) + 1
    order = np.random.default_rng([seed, 4]).permutation(count)
    return np.asarray(order[groups] / count)
