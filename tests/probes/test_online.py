"""The online code costs what it should where that is known in closed form."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from outcrop.probes.online import code_length, code_lengths, deal_portions
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


def test_rounding_does_not_choose_the_strength() -> None:
    """Every strength codes portions of one class alike: of equals the strongest penalty codes on."""
    tasks, even = TaskStack(np.zeros((1, 6), dtype=np.int64), (2,)), np.array([0, 1, 1, 2, 2, 2])
    bits = np.array([[[0.5], [3.0]], [[0.5 - 1e-6], [9.0]]])
    assert code_length(bits, tasks, even) == pytest.approx((1 + 0.5 + 3.0) / 6)
    assert code_length(bits - [[[0], [0]], [[0.1], [0]]], tasks, even) == pytest.approx((1 + 0.5 + 9.0) / 6)


@pytest.mark.parametrize("seed", range(2))
def test_two_dozen_samples_cost_what_scikit_learns_optima_say(seed: int) -> None:
    """Few rows, more features, classes that a portion lacks, weak penalties: bits of each portion at each strength."""
    rng = np.random.default_rng(seed)
    codes, portions = rng.permutation(np.arange(24) % 3), deal_portions(np.arange(24), seed=seed)
    x = rng.standard_normal((24, 40)) + 2 * rng.standard_normal((3, 40))[codes] + 3
    rows, sent = (np.stack([op(portions, number) for number in range(1, 6)]) for op in (np.less, np.equal))
    tasks, found = TaskStack(codes[None], (3,)), np.full((len(STRENGTHS), 5, 1), np.nan)
    for s, f in np.ndindex(len(STRENGTHS), 5):
        seen, spread = codes[rows[f]], 1 / (rows[f].sum() + 1)
        shares = np.zeros((sent[f].sum(), 3))
        if len(set(seen)) == 1:
            shares[:, seen[0]] = 1
        else:
            scaler = StandardScaler().fit(x[rows[f]])
            model = LogisticRegression(C=STRENGTHS[s], tol=1e-8, max_iter=5000).fit(scaler.transform(x[rows[f]]), seen)
            shares[:, model.classes_] = model.predict_proba(scaler.transform(x[sent[f]]))
        own = shares[np.arange(len(shares)), codes[sent[f]]]
        found[s, f] = -np.log2((1 - spread) * own + spread / 3).sum()
    assert lengths(x, codes, portions=portions)[0] == pytest.approx(code_length(found, tasks, portions)[0], rel=0.02)


def test_one_portion_is_coded_evenly() -> None:
    codes = np.arange(N) % 5
    assert lengths(np.ones((N, 2)), codes, portions=np.zeros(N, dtype=int))[0] == np.log2(5)
