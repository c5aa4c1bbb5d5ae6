"""Intervals over groups cover what they should."""

import tracemalloc

import numpy as np
import pytest

from outcrop.probes import intervals
from outcrop.probes.intervals import group_intervals


def coverage(*, groups: int, clustered: bool, trials: int) -> float:
    """Share of 95 % intervals over groups of 10 rows that hold the true accuracy, where groups differ much."""
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(groups), 10)
    held = 0
    for trial in range(trials):
        ease = rng.beta(2, 2, size=groups)
        correct = rng.random(len(codes)) < ease[codes]
        units = [codes] if clustered else [np.arange(len(codes))]
        low, high = group_intervals(correct[None], units, confidence=0.95, bootstraps=400, seed=trial)
        held += int(low[0] <= 0.5 <= high[0])
    return held / trials


@pytest.mark.parametrize("groups", [8, 30])
def test_95_percent_of_intervals_hold_the_truth_give_or_take_three_errors(groups: int) -> None:
    assert abs(coverage(groups=groups, clustered=True, trials=300) - 0.95) <= 3 * np.sqrt(0.95 * 0.05 / 300)


def test_rows_alone_would_not_be_covered() -> None:
    assert coverage(groups=30, clustered=False, trials=100) < 0.8


def test_two_partitions_are_wider_than_one() -> None:
    rng = np.random.default_rng(1)
    first, second = np.repeat(np.arange(20), 20), np.tile(np.arange(20), 20)
    correct = rng.random(400) < (0.25 * rng.random(20)[first] + 0.75 * rng.random(20)[second])
    settings = {"confidence": 0.95, "bootstraps": 400, "seed": 0}
    one = np.ptp(group_intervals(correct[None], [first], **settings))
    both = np.ptp(group_intervals(correct[None], [first, second], **settings))
    assert both > one


def test_rows_are_independent_and_the_seed_decides() -> None:
    correct = np.random.default_rng(2).random((3, 100)) < 0.7
    groups = [np.arange(100) // 5]
    settings = {"confidence": 0.9, "bootstraps": 250}
    together = group_intervals(correct, groups, seed=3, **settings)
    alone = group_intervals(correct[1:2], groups, seed=3, **settings)
    other = group_intervals(correct, groups, seed=4, **settings)
    np.testing.assert_allclose([together[0][1], together[1][1]], [alone[0][0], alone[1][0]])
    assert (together[0] != other[0]).any()


def test_a_paired_difference_of_nothing_is_nothing() -> None:
    low, high = group_intervals(np.zeros((2, 50)), [np.arange(50) // 5], confidence=0.95, bootstraps=100, seed=0)
    assert (low == 0).all()
    assert (high == 0).all()


def test_what_groups_owe_to_each_other_widens_and_never_narrows() -> None:
    correct, groups = np.random.default_rng(2).random((3, 100)) < 0.5, [np.arange(100) // 5]
    settings = {"confidence": 0.95, "bootstraps": 400, "seed": 0}
    plain = np.stack(group_intervals(correct, groups, **settings))
    spread = np.ptp(plain, axis=0) / 4
    wider = np.stack(group_intervals(correct, groups, shared=np.array([0.0, -1.0, 3 * spread[2] ** 2]), **settings))
    np.testing.assert_allclose(wider[:, :2], plain[:, :2])
    assert np.ptp(wider[:, 2]) == pytest.approx(2 * np.ptp(plain[:, 2]), rel=0.15)
    assert (np.diff(np.stack([wider[0], correct.mean(1), wider[1]]), axis=0) > 0).all()


def test_no_interval_goes_beyond_what_a_sample_can_score() -> None:
    correct, groups = np.random.default_rng(2).random((1, 60)) < 0.9, [np.arange(60) // 3]
    low, high = group_intervals(correct, groups, confidence=0.95, bootstraps=200, seed=0, shared=np.array([1.0]))
    assert (low[0], high[0]) == (0, 1)


def test_many_samples_are_drawn_a_few_at_a_time_with_the_same_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """One partition's draws come one after the other from the generator, in batches of any size."""
    rng = np.random.default_rng(0)
    right, groups = rng.random((3, 400)) < 0.7, rng.integers(40, size=400)

    def ends() -> np.ndarray:
        return np.stack(group_intervals(right, [groups], confidence=0.95, bootstraps=250, seed=1))

    whole = ends()
    monkeypatch.setattr(intervals, "CELLS", 7 * 400)
    np.testing.assert_allclose(ends(), whole, rtol=1e-12)
    monkeypatch.setattr(intervals, "CELLS", 1)
    np.testing.assert_allclose(ends(), whole, rtol=1e-12)


def test_a_million_samples_take_little_memory() -> None:
    groups = np.arange(2**20) % 64
    tracemalloc.start()
    group_intervals(np.ones((1, 2**20), bool), [groups], confidence=0.95, bootstraps=40, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * 8 * 2**20
