"""Power: the formulas hold where the truth is planted, and foretell the intervals that a sweep gives."""

import math

import numpy as np
import pytest

from outcrop.data.errors import InputError
from outcrop.probes.intervals import group_intervals
from outcrop.probes.power import design_effect, groups_needed, interval_width, intraclass_correlation


def planted(groups: int, size: int, correlation: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Hits of accuracy .5 in groups whose own accuracies follow a beta distribution: its spread is the correlation."""
    rng = np.random.default_rng(seed)
    spread = 0.5 * (1 / correlation - 1) if correlation else math.inf
    own = rng.beta(spread, spread, groups) if correlation else np.full(groups, 0.5)
    return rng.random((groups, size)).ravel() < np.repeat(own, size), np.repeat(np.arange(groups), size)


@pytest.mark.parametrize(
    ("sizes", "correlation", "expected"),
    [([1] * 9, 0.7, 1.0), ([5] * 4, 0.0, 1.0), ([5] * 4, 1.0, 5.0), ([3] * 7, 0.25, 1.5), ([1, 9], 0.5, 1 + 7.2 / 2)],
)
def test_the_design_effect_is_kishs(sizes: list[int], correlation: float, expected: float) -> None:
    assert design_effect(sizes, correlation=correlation) == pytest.approx(expected)


def test_groups_that_are_wholly_alike_count_as_one_sample_each() -> None:
    alone = interval_width([1] * 50, correlation=0.0)
    assert interval_width([20] * 50, correlation=1.0) == pytest.approx(alone)
    assert interval_width([20] * 50, correlation=0.0) < alone / 4


@pytest.mark.parametrize("correlation", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("width", [0.04, 0.1, 0.3])
def test_as_many_groups_as_needed_suffice_and_one_less_does_not(width: float, correlation: float) -> None:
    count = groups_needed(width, size=6, correlation=correlation)
    assert interval_width([6] * count, correlation=correlation) <= width
    assert interval_width([6] * (count - 1), correlation=correlation) > width


@pytest.mark.parametrize("correlation", [0.0, 0.1, 0.4])
def test_a_planted_correlation_is_found(correlation: float) -> None:
    found = [intraclass_correlation(*planted(60, 8, correlation, seed)) for seed in range(40)]
    assert np.mean(found) == pytest.approx(correlation, abs=4 * np.std(found) / 40**0.5)


def test_where_there_is_nothing_to_correlate_it_says_so() -> None:
    codes = np.repeat(np.arange(4), 3)
    assert math.isnan(intraclass_correlation(np.ones(12, bool), codes))
    assert math.isnan(intraclass_correlation(np.arange(12) % 2 == 0, np.arange(12)))


@pytest.mark.parametrize("correlation", [0.0, 0.3])
def test_the_width_is_that_of_a_sweep_s_intervals(correlation: float) -> None:
    widths = []
    for seed in range(30):
        right, codes = planted(50, 6, correlation, seed)
        low, high = group_intervals(right[None], [codes], confidence=0.95, bootstraps=400, seed=seed)
        widths.append(float(high[0] - low[0]))
    assert np.mean(widths) == pytest.approx(interval_width([6] * 50, correlation=correlation), rel=0.06)


@pytest.mark.parametrize("width", [0.0, 1.0, -0.1, math.nan])
def test_a_width_that_is_none_is_refused(width: float) -> None:
    with pytest.raises(InputError, match="must lie between 0 and 1"):
        groups_needed(width, size=1, correlation=0.1)


def test_what_no_study_could_pay_for_is_refused() -> None:
    with pytest.raises(InputError, match="takes more than 10,000,000 groups"):
        groups_needed(1e-5, size=1, correlation=0.5)


@pytest.mark.parametrize(("sizes", "correlation"), [([], 0.1), ([3, 0], 0.1), ([3], 1.5), ([3], -0.1)])
def test_groups_that_cannot_be_are_refused(sizes: list[int], correlation: float) -> None:
    with pytest.raises(InputError, match="A design effect needs groups"):
        design_effect(sizes, correlation=correlation)
