import numpy as np
import pytest
from scipy.stats import bootstrap

from outcrop.attribution.bootstrap import Resampling, draw_counts, ratio_intervals

RESAMPLING = Resampling(resamples=999, seed=3)


def test_intervals_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    over = np.stack([rng.exponential(size=25), rng.normal(size=25), (rng.random(25) < 0.2).astype(float)])
    under = np.stack([rng.uniform(0.5, 1.5, 25), np.ones(25), np.ones(25)])
    estimate, low, high = ratio_intervals(over, under, resampling=RESAMPLING)
    for row in range(3):
        expected = bootstrap(
            (over[row], under[row]), lambda a, b, axis: a.sum(axis) / b.sum(axis), paired=True, method="BCa",
            n_resamples=999, rng=np.random.default_rng(3), vectorized=True,
        ).confidence_interval  # fmt: skip
        assert estimate[row] == pytest.approx(over[row].sum() / under[row].sum())
        np.testing.assert_allclose([low[row], high[row]], expected, rtol=1e-9)


def test_pairs_that_do_not_count_leave_no_trace() -> None:
    rng = np.random.default_rng(1)
    values = rng.exponential(size=(1, 40))
    gaps = np.concatenate([values, np.full((1, 10), np.nan)], axis=1)
    whole = ratio_intervals(values, np.ones((1, 40)), resampling=RESAMPLING)
    with_gaps = ratio_intervals(gaps, np.ones((1, 50)), resampling=RESAMPLING)
    assert whole[0] == pytest.approx(with_gaps[0])
    np.testing.assert_allclose(whole[1:], with_gaps[1:], rtol=0.1)


def test_what_has_no_estimate_is_nan_and_what_never_varies_is_a_point() -> None:
    values = np.stack([np.full(6, np.nan), np.r_[1.0, np.full(5, np.nan)], np.full(6, 0.25)])
    estimate, low, high = ratio_intervals(values, np.ones((3, 6)), resampling=RESAMPLING)
    np.testing.assert_array_equal(estimate, [np.nan, np.nan, 0.25])
    np.testing.assert_array_equal(low, [np.nan, np.nan, 0.25])
    np.testing.assert_array_equal(high, [np.nan, np.nan, 0.25])


def test_every_resample_draws_as_many_pairs_as_there_are() -> None:
    counts = draw_counts(17, RESAMPLING)
    assert counts.shape == (999, 17)
    assert (counts.sum(1) == 17).all()
    assert np.array_equal(counts, draw_counts(17, RESAMPLING))


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    values = (rng.random((400, 40)) < 0.3).astype(float)
    _, low, high = ratio_intervals(values, np.ones(values.shape), resampling=Resampling(resamples=400, seed=0))
    assert 0.9 < ((low <= 0.3) & (high >= 0.3)).mean() < 0.98
