"""Iterated null-space projection, and what is left to be read after erasure."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.probes.cells import Progress
from outcrop.probes.checks import check_names, check_wholes
from outcrop.probes.erasure import EraserFitter
from outcrop.probes.estimator import LinearProbe
from outcrop.probes.features import Recording, feature_matrix
from outcrop.probes.plan import Plan, make_plan
from outcrop.probes.progress import shown
from outcrop.probes.properties import IntArray, Target
from outcrop.probes.softmax import TaskStack, predict_codes
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.splits import majority_accuracy
from outcrop.probes.strengths import choose_strengths
from outcrop.probes.usable import fit_folds

Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Change = Callable[[NDArray[np.floating]], NDArray[np.floating]]

ROUNDS = (1, 2, 4, 8)


def removed_directions(
    features: NDArray[np.floating], codes: IntArray, *, rounds: int, strength: float = 1.0
) -> list[Float64Array]:
    """Orthonormal directions (d, r) that each of ``rounds`` of null-space projection removes, all so far together.

    In each round a linear probe is fitted to what is left of features (n, d), and the directions that it reads are
    projected out (Ravfogel et al. 2020, arXiv:2004.07667, algorithm 1). It takes more directions than LEACE, and the
    more the longer it goes on. It ends early where nothing is left.
    """
    left = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    removed = np.zeros((features.shape[1], 0))
    result: list[Float64Array] = []
    for _ in range(rounds):
        read = LinearProbe(C=strength, tol=1e-4).fit(left, codes).coef_.T
        if read.shape[1] > 1:
            read = read - read.mean(1, keepdims=True)  # classes differ in one direction fewer than there are classes
        fresh = read - removed @ (removed.T @ read)
        vectors, sizes, _ = np.linalg.svd(fresh, full_matrices=False)
        vectors = vectors[:, sizes > 1e-6 * max(float(sizes.max(initial=0)), np.finfo(np.float64).tiny)]
        if not vectors.shape[1]:
            break
        removed = np.linalg.qr(np.concatenate([removed, vectors], axis=1))[0]
        left = left - (left @ removed) @ removed.T
        result.append(removed)
    return result


def erasure_effect(  # noqa: PLR0913  # what to erase, where, in which ways, and who is told
    recording: Recording,
    property_name: str,
    *,
    site: str,
    step: int,
    others: Sequence[str] = (),
    rounds: Sequence[int] = ROUNDS,
    spec: ProbeSpec | None = None,
    progress: Progress | bool = False,
) -> pd.DataFrame:
    """Accuracy of ``property_name`` and ``others`` before and after ``property_name`` is erased.

    Erasers are fitted on each fold's training rows, and probes refitted on what is left of these, at the strengths
    chosen before; the test rows, of other groups, are erased by the same eraser. Rows: ``erased_by`` ("nothing",
    "leace", "inlp"), ``rounds``, ``directions`` removed (mean over folds), ``property``, ``accuracy``, ``low``,
    ``high``, ``majority``. An accuracy of the erased property above ``majority`` is what an eraser misses on new
    groups. Raises :class:`InputError` for names that are not there. ``progress`` as of :func:`outcrop.probes.probe`.
    """
    others = check_names("others", others)
    rounds = check_wholes("rounds", rounds, least=1)
    names = (property_name, *(name for name in others if name != property_name))
    plan = make_plan(
        recording, dataclasses.replace(spec or ProbeSpec(), properties=names, sites=(site,), steps=(step,))
    )
    features = feature_matrix(recording, site, step=step)
    strengths = choose_strengths(
        features, TaskStack.of(plan.targets), plan.splits, strengths=plan.spec.strengths
    ).strengths
    kinds = [("nothing", 0), ("leace", 0), *(("inlp", count) for count in rounds)]
    changes: list[list[tuple[Change, int]]] = []
    parts = []
    with shown(progress, title="erase", unit="fits") as update:
        total = len(plan.splits.folds) + len(kinds)
        for fold in plan.splits.folds:
            changes.append(_changes(features, plan.targets[0], fold.train, rounds=rounds))
            update(len(changes), total)
        for number, (kind, count) in enumerate(kinds):
            own = [change[number] for change in changes]
            right = _hits(features, plan, [change for change, _ in own], strengths=strengths)
            place = {"erased_by": kind, "rounds": count, "directions": float(np.mean([size for _, size in own]))}
            parts += [place | _row(plan, target, right[t]) for t, target in enumerate(plan.targets)]
            update(len(changes) + number + 1, total)
    return pd.DataFrame(parts)


def _changes(
    features: NDArray[np.float32], target: Target, train: BoolArray, *, rounds: Sequence[int]
) -> list[tuple[Change, int]]:
    """What each way of erasing makes of features, and how many directions it takes, from training rows."""
    rows = train & target.known
    own, codes = features[rows], target.codes[rows]
    eraser = EraserFitter(features.shape[1], classes=len(target.classes)).update(own, codes).result()
    scale = np.maximum(own.std(0, dtype=np.float64), np.finfo(np.float32).tiny)
    mean = own.mean(0, dtype=np.float64)
    removed = removed_directions((own - mean) / scale, codes, rounds=max(rounds))
    changes: list[tuple[Change, int]] = [(lambda x: x, 0), (eraser, eraser.rank)]
    for count in rounds:
        basis = removed[min(count, len(removed)) - 1] if removed else np.zeros((features.shape[1], 0))

        def project(x: NDArray[np.floating], basis: Float64Array = basis) -> NDArray[np.floating]:
            standard = (x - mean) / scale
            return np.asarray((standard - (standard @ basis) @ basis.T).astype(np.float32))

        changes.append((project, basis.shape[1]))
    return changes


def _hits(
    features: NDArray[np.float32], plan: Plan, changes: Sequence[Change], *, strengths: Float64Array
) -> BoolArray:
    """Which rows (t, n) are right out of fold, each fold's features changed in its own way."""
    tasks = TaskStack.of(plan.targets)
    right = np.zeros((len(plan.targets), len(features)), dtype=np.bool_)
    for number, (fold, change) in enumerate(zip(plan.splits.folds, changes, strict=True)):
        erased = np.asarray(change(features), dtype=np.float32)
        (fitted,) = fit_folds(erased, tasks, (fold,), strengths=strengths[[number]])
        codes = predict_codes(fitted.logits(fitted.tested(erased)), tasks)[0]
        right[:, fold.test] = codes == tasks.codes[:, fold.test]
    return right


def _row(plan: Plan, target: Target, right: BoolArray) -> dict[str, Any]:
    low, high = plan.intervals(right[None, target.known], target)
    return {
        "property": target.name,
        "accuracy": float(right[target.known].mean()),
        "low": float(low[0]),
        "high": float(high[0]),
        "majority": majority_accuracy(target, plan.splits),
    }
