"""The online code costs what it should where that is known in closed form."""

import numpy as np
import pytest

from outcrop.probes.online import code_lengths, deal_portions
from outcrop.probes.softmax import TaskStack
from outcrop.probes.spec import STRENGTHS

N = 320
GROUPS = np.arange(N) // 4
PORTIONS = deal_portions(GROUPS, seed=0)


def lengths(x: np.ndarray, *codes: np.ndarray, portions: np.ndarray = PORTIONS) -> np.ndarray:
    tasks = TaskStack(np.stack(codes), tuple(int(code.max()) + 1 for code in codes))
    return code_lengths(x.astype(np.float32), tasks, portions, strengths=STRENGTHS)


def test_portions_double_and_keep_groups_whole() -> None:
    assert np.bincount(PORTIONS).tolist() == [12, 8, 20, 40, 80, 160]
    assert all(len(set(PORTIONS[group == GROUPS])) == 1 for group in range(80))
    assert (deal_portions(GROUPS, seed=1) != PORTIONS).any()


def test_constant_features_leave_the_frequencies_so_far() -> None:
    """Each portion at -log2 of the class's share of what came before, mixed with the even guess."""
    codes = np.random.default_rng(0).choice(3, size=N, p=[0.6, 0.3, 0.1])
    expected = (PORTIONS == 0).sum() * np.log2(3)
    for number in range(1, PORTIONS.max() + 1):
        seen, sent = codes[number > PORTIONS], codes[number == PORTIONS]
        share, spread = np.bincount(seen, minlength=3) / len(seen), 1 / (len(seen) + 1)
        expected -= np.log2((1 - spread) * share[sent] + spread / 3).sum()
    assert lengths(np.ones((N, 4)), codes)[0] == pytest.approx(expected / N, rel=1e-3)


def test_what_is_told_outright_costs_little_more_than_the_first_portion() -> None:
    codes = np.random.default_rng(1).integers(4, size=N)
    found = lengths(20 * np.eye(4)[codes], codes)[0]
    assert 2 * 12 / N < found < 0.35


def test_random_labels_cannot_be_compressed() -> None:
    rng = np.random.default_rng(2)
    codes = rng.integers(4, size=N)
    assert 1.98 < lengths(rng.standard_normal((N, 10)), codes)[0] < 2.3


def test_the_weaker_the_signal_the_longer_the_code() -> None:
    rng = np.random.default_rng(3)
    codes, noise = rng.integers(2, size=N), rng.standard_normal((N, 6))
    found = [lengths(noise + effect * codes[:, None], codes)[0] for effect in (0.0, 0.5, 1.0, 3.0)]
    assert (np.diff(found) < 0).all()


def test_tasks_do_not_disturb_one_another_and_missing_labels_cost_nothing() -> None:
    rng = np.random.default_rng(4)
    first, second, x = rng.integers(3, size=N), rng.integers(2, size=N), rng.standard_normal((N, 5))
    x[:, 0] += 3 * second
    second[::3] = -1
    both = lengths(x, first, second)
    np.testing.assert_allclose(both, [lengths(x, first)[0], lengths(x, second)[0]], rtol=0.01)
    assert both[1] < 0.8


def test_one_portion_is_coded_evenly() -> None:
    codes = np.arange(N) % 5
    assert lengths(np.ones((N, 2)), codes, portions=np.zeros(N, dtype=int))[0] == np.log2(5)
