"""The strength is chosen inside the training folds, wherever on the path it predicts best."""

import numpy as np
import pandas as pd

from outcrop.probes.design import fit_rotation, stack_designs
from outcrop.probes.lbfgs import Rule, minimise
from outcrop.probes.problems import pose
from outcrop.probes.properties import Target, encode
from outcrop.probes.softmax import TaskStack
from outcrop.probes.spec import STRENGTHS
from outcrop.probes.splits import Splits, make_splits
from outcrop.probes.strengths import choose_strengths

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
    for fold, (other, weights) in zip(splits.folds, choice.near, strict=True):
        rows = fold.train[None]
        rotation = fit_rotation(x[fold.train])
        moved = rotation.moved_from(other, weights)
        designs = stack_designs(x, [rotation], rows)
        same = weights[:, :-1] @ other.coordinates(x[fold.train]) + weights[:, -1:]
        np.testing.assert_allclose(moved @ designs.coordinates[0], same, atol=1e-3)
        problems = pose(designs, tasks, strengths=np.full((1, 1), 0.3))
        plain, near = (
            minimise(problems, start, rule=Rule(0, most=0)).objective
            for start in (problems.start_at_frequencies(), moved[None])
        )
        assert near < plain
