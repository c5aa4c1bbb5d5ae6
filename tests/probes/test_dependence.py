"""What folds owe to each other's labels: as much as hits vary beyond their groups, and nothing where all is clear."""

import dataclasses

import numpy as np
import pandas as pd

from outcrop.probes.dependence import shared_variance, steadied
from outcrop.probes.logistic import cross_validate
from outcrop.probes.properties import encode
from outcrop.probes.splits import Splits, make_splits

N, GROUPS = 60, 20
SAMPLES = pd.DataFrame({"template": np.arange(N) % GROUPS})


def draw(*, effect: float, seed: int) -> tuple[float, float, float]:
    """The hits of one data set of two classes, their variance between groups, and what folds owe to each other."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(N) % 2)
    x = rng.standard_normal((N, 4)) + effect * (2 * y[:, None] - 1)
    target = encode(pd.Series(y), name="y")
    splits = make_splits(SAMPLES, [target], group_by=("template",), folds=5, seed=seed)
    fit = cross_validate(x.astype(np.float32), [target], splits, strengths=(0.1,))
    right = fit.predicted[0] == y
    totals = np.bincount(SAMPLES["template"], weights=right - right.mean())
    return float(right.sum()), float((totals**2).sum() * GROUPS / (GROUPS - 1)), float(fit.shared[0])


def test_without_a_signal_it_is_what_the_groups_variance_lacks() -> None:
    """Up to 2 / pi of the variance of independent hits, for two classes; give or take three errors of 200 trials."""
    hits, between, shared = np.array([draw(effect=0.0, seed=seed) for seed in range(200)]).T
    lacking = (hits.var() - between.mean()) / between.mean()
    assert lacking > 0.25
    assert abs(shared.mean() / between.mean() - 2 / np.pi) < 3 * shared.std() / between.mean() / np.sqrt(200)


def test_where_all_is_clear_there_is_next_to_none() -> None:
    _, between, shared = np.array([draw(effect=0.8, seed=seed) for seed in range(40)]).T
    assert abs(shared.mean()) < 0.15 * between.mean()


def splits_of(folds: int) -> Splits:
    y = encode(pd.Series(np.arange(N) // 2 % 2), name="y")
    return make_splits(SAMPLES, [y], group_by=("template",), folds=folds, seed=0)


def test_a_help_that_all_training_rows_are_is_no_dependence() -> None:
    splits = splits_of(5)
    right = np.ones((1, N), dtype=np.bool_)
    apart = np.array([[[rows.sum() - 3] for _, rows in inner.validate] for inner in splits.inner])
    np.testing.assert_allclose(shared_variance(right, splits, apart), 0, atol=1e-9)


def test_folds_that_are_not_compared_count_like_those_that_are() -> None:
    """Three pairs without a common fold move both sides by 2, 2 and -2: products of 4, those of strangers -4 / 3."""
    splits = splits_of(6)
    moves = {(0, 1): 2, (2, 3): 2, (4, 5): -2}
    pairs = {tuple(own for own, _ in inner.validate): inner for inner in splits.inner}
    few = dataclasses.replace(splits, inner=tuple(pairs[pair] for pair in moves))
    right = np.ones((1, N), dtype=np.bool_)
    apart = np.array([[[rows.sum() - move] for _, rows in pairs[pair].validate] for pair, move in moves.items()])
    every_pair = 15
    np.testing.assert_allclose(shared_variance(right, few, apart), 2 * every_pair * (4 + 4 / 3))


def test_an_estimate_is_drawn_half_way_to_what_theory_expects() -> None:
    groups = np.arange(N) % GROUPS
    right = np.stack([groups < GROUPS // 2, np.ones(N, dtype=np.bool_)])  # whole groups by luck; all
    between = GROUPS * (N / GROUPS / 2) ** 2 * GROUPS / (GROUPS - 1)
    found = steadied(np.array([3.0, 3.0]), right, [groups], classes=2)
    np.testing.assert_allclose(found, [(3 + 2 / np.pi * between) / 2, 1.5])
    np.testing.assert_allclose(steadied(np.array([-9.0, -9.0]), right, [groups], classes=2), [between / np.pi, 0])
    many = steadied(
        np.zeros(1), right[:1], [groups], classes=3
    )  # 3 E^2 / 4, E = 3 / (2 sqrt(pi)); misses 1 / 2 of 2 / 3
    np.testing.assert_allclose(many, 27 / (16 * np.pi) * between * (3 / 4) ** 2 / 2)
