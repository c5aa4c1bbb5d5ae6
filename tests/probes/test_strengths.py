"""The strength is chosen inside the training folds, wherever on the path it predicts best."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import outcrop.probes.design
import outcrop.probes.permutation
import outcrop.probes.strengths
from outcrop.probes.design import fit_rotation, stack_designs
from outcrop.probes.lbfgs import Rule, minimise
from outcrop.probes.logistic import cross_validate
from outcrop.probes.online import deal_portions
from outcrop.probes.permutation import permuted_codes
from outcrop.probes.problems import pose
from outcrop.probes.properties import Target, encode
from outcrop.probes.softmax import TaskStack
from outcrop.probes.spec import STRENGTHS
from outcrop.probes.splits import Splits, make_splits
from outcrop.probes.strengths import batch_of_designs, choose_strengths

Matrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]


def full_grid(*, nuisance: float, effect: float, seed: int) -> tuple[Matrix, Target, Splits]:
    """Six classes balanced against eight of another property, which the features carry with strength ``nuisance``."""
    rng, n, d = np.random.default_rng(seed), 144, 24
    y, other = np.arange(n) % 6, np.arange(n) // 6 % 8
    x = rng.standard_normal((n, d)) + nuisance * rng.standard_normal((8, d))[other]
    x += effect * rng.standard_normal((6, d))[y]
    target = encode(pd.Series(y), name="y")
    samples = pd.DataFrame({"template": rng.permutation(n) % 12})
    return x.astype(np.float32), target, make_splits(samples, [target], group_by=("template",), folds=4, seed=0)


def test_a_loss_that_rises_before_it_falls_does_not_end_the_path() -> None:
    """What the training rows have too many of, the test rows have too few of: a strong penalty is below chance."""
    for seed in range(4):
        x, target, splits = full_grid(nuisance=6.0, effect=1.0, seed=seed)
        choice = choose_strengths(x, TaskStack.of([target]), splits, strengths=STRENGTHS)
        assert (choice.strengths >= 0.1).all()
        assert (choice.hits[:, 0].max(1) > choice.hits[:, 0, 0]).all()


def test_rows_that_are_fitted_and_no_better_predicted_end_the_path() -> None:
    _, target, splits = full_grid(nuisance=0.0, effect=0.0, seed=0)
    noise = np.random.default_rng(0).standard_normal((144, 300)).astype(np.float32)
    choice = choose_strengths(noise, TaskStack.of([target]), splits, strengths=STRENGTHS)
    assert np.isinf(choice.losses[:, 0, -1]).all()
    assert (choice.hits[:, 0, -1] == -1).all()


def test_rows_of_one_class_are_fitted_and_end_no_path() -> None:
    """Few training rows may all be of one class: the others' path goes on, and no gap is NaN."""
    x, target, splits = full_grid(nuisance=6.0, effect=1.0, seed=0)
    alone, *others = splits.inner
    few = replace(splits, inner=(replace(alone, train=alone.train & (target.codes == 0)), *others))
    assert (choose_strengths(x, TaskStack.of([target]), few, strengths=STRENGTHS).strengths >= 0.1).all()
    first, *rest = splits.folds
    narrow = replace(splits, folds=(replace(first, train=first.train & (target.codes == 0)), *rest))
    fit = cross_validate(x, [target], narrow, strengths=(0.1, 1000.0))
    assert np.isfinite(fit.gap).all()
    assert (fit.predicted[0, first.test] == 0).all()


def test_the_loss_decides_between_strengths_of_equal_hits() -> None:
    x, target, splits = full_grid(nuisance=0.0, effect=20.0, seed=0)
    choice = choose_strengths(x, TaskStack.of([target]), splits, strengths=(1.0, 10.0))
    assert (choice.hits[:, 0, 0] == choice.hits[:, 0, 1]).all()
    assert (choice.losses[:, 0, 1] < choice.losses[:, 0, 0]).all()
    assert (choice.strengths == 10.0).all()


def test_test_rows_have_no_say() -> None:
    x, target, splits = full_grid(nuisance=1.0, effect=1.0, seed=0)
    before = choose_strengths(x, TaskStack.of([target]), splits, strengths=STRENGTHS)
    for number, fold in enumerate(splits.folds):
        spoiled = x.copy()
        spoiled[fold.test] = 1e3 * np.random.default_rng(number).standard_normal(spoiled[fold.test].shape)
        after = choose_strengths(spoiled, TaskStack.of([target]), splits, strengths=STRENGTHS)
        np.testing.assert_allclose(after.losses[number], before.losses[number], rtol=1e-4)
        assert (after.strengths[number] == before.strengths[number]).all()


def test_the_lent_weights_are_near_the_outer_folds() -> None:
    """Moved into the outer fold's coordinates they score its rows alike, and their objective beats the plain start."""
    x, target, splits = full_grid(nuisance=1.0, effect=1.0, seed=0)
    tasks = TaskStack.of([target])
    choice = choose_strengths(x, tasks, splits, strengths=(0.3,))
    for fold, (coef, intercept) in zip(splits.folds, choice.near, strict=True):
        rows = fold.train[None]
        rotation = fit_rotation(x[fold.train])
        moved = rotation.from_raw(coef, intercept)
        designs = stack_designs(x, [rotation], rows)
        same = coef @ x[fold.train].T + intercept[:, None]
        np.testing.assert_allclose(moved @ designs.coordinates[0], same, atol=1e-3)
        problems = pose(designs, tasks, strengths=np.full((1, 1), 0.3))
        plain, near = (
            minimise(problems, start, rule=Rule(0, most=0)).objective
            for start in (problems.start_at_frequencies(), moved[None])
        )
        assert near < plain


def test_batches_choose_as_one_batch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for nuisance, effect in ((0.0, 20.0), (1.0, 1.0)):
        x, target, splits = full_grid(nuisance=nuisance, effect=effect, seed=0)
        monkeypatch.setattr(outcrop.probes.strengths, "DESIGN_BYTES", 2**30)
        together = choose_strengths(x, TaskStack.of([target]), splits, strengths=STRENGTHS)
        monkeypatch.setattr(outcrop.probes.strengths, "DESIGN_BYTES", 0)
        apart = choose_strengths(x, TaskStack.of([target]), splits, strengths=STRENGTHS)
        np.testing.assert_array_equal(apart.strengths, together.strengths)
        np.testing.assert_array_equal(apart.hits, together.hits)
        np.testing.assert_allclose(apart.losses, together.losses, rtol=1e-3)


@pytest.mark.parametrize("shape", [(432, 640), (432, 1280), (240, 65536), (60, 5000)])
def test_wide_columns_are_worked_on_with_few_bases_at_once(shape: tuple[int, int]) -> None:
    n, d = shape
    batch, rank = batch_of_designs(np.empty(shape, np.float32), TaskStack(np.zeros((1, n), np.int64), (2,))), min(shape)
    assert batch == 1 or batch * 4 * max(d * rank, 8 * n * (rank + 1)) <= 2**26
    assert (batch + 1) * 4 * max(d * rank, 8 * n * (rank + 1)) > 2**26


def test_peak_memory_is_three_columns_whatever_the_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all that a cell of a sweep does, the column itself among it; several properties, controls and permutations."""
    monkeypatch.setattr(outcrop.probes.strengths, "DESIGN_BYTES", 0)
    monkeypatch.setattr(outcrop.probes.design, "ROWS", 64)
    monkeypatch.setattr(outcrop.probes.permutation, "BATCH_BYTES", 2**16)
    rng = np.random.default_rng(0)
    groups = np.arange(1600) % 40
    targets = [encode(pd.Series(rng.integers(3, size=1600)), name=name) for name in "abc"]
    splits = make_splits(pd.DataFrame({"template": groups}), targets, group_by=("template",), folds=5, seed=0)
    tests = [permuted_codes(target, groups, np.arange(1600), permutations=99, seed=0) for target in targets]
    portions = deal_portions(groups, seed=0)
    controls = [[target, target] for target in targets]
    options = {"controls": controls, "permuted": tests, "portions": portions}
    narrow = rng.standard_normal((1600, 4), dtype=np.float32)
    cross_validate(narrow, targets, splits, strengths=(1e-3,), **options)  # compiles the loops: not the column's memory
    peaks = []
    for strengths in ((1e-3,), (1e-4, 1e-3, 1e-2)):
        tracemalloc.start()
        column = rng.standard_normal((1600, 320), dtype=np.float32)
        cross_validate(column, targets, splits, strengths=strengths, **options)
        peaks.append(tracemalloc.get_traced_memory()[1] / column.nbytes)
        tracemalloc.stop()
    assert max(peaks) < 3
    assert peaks[1] < 1.1 * peaks[0]
