"""The solver against scikit-learn's optimum."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from outcrop.probes.design import fit_rotation, stack_designs
from outcrop.probes.lbfgs import Rule, minimise
from outcrop.probes.logistic import cross_validate
from outcrop.probes.problems import pose
from outcrop.probes.properties import encode
from outcrop.probes.softmax import TaskStack
from outcrop.probes.splits import make_splits

Matrix = np.ndarray[tuple[int, int], np.dtype[np.float64]]


def draw(n: int, d: int, classes: tuple[int, ...], seed: int) -> tuple[Matrix, Matrix]:
    """Features of decaying spectrum and unlike scales, and one row of codes per task."""
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(k, size=n) for k in classes])
    x = rng.standard_normal((n, d)) * np.arange(1, d + 1) ** -0.5 @ rng.standard_normal((d, d)) + 3
    for row in codes:
        x += 0.5 * rng.standard_normal((row.max() + 1, d))[row]
    return x * 10 ** rng.uniform(-2, 2, size=d), codes


def reference_objective(x: Matrix, y: Matrix, *, strength: float) -> float:
    """Least mean loss + |w|^2 / (2 C n), by scikit-learn."""
    scaled = StandardScaler().fit_transform(x)
    model = LogisticRegression(C=strength, tol=1e-8, max_iter=20_000).fit(scaled, y)
    p = model.predict_proba(scaled)[np.arange(len(y)), np.searchsorted(model.classes_, y)]
    return float(-np.log(p).mean() + (model.coef_**2).sum() / (2 * strength * len(y)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "d"), [(120, 8), (60, 40), (40, 150)])
@pytest.mark.parametrize("strength", [1e-3, 1.0, 100.0])
def test_objectives_of_a_batch_equal_scikit_learns(dtype: type, n: int, d: int, strength: float) -> None:
    x, codes = draw(n, d, (2, 3, 5), seed=0)
    rows = np.random.default_rng(1).random((3, n)) < np.array([[0.6], [0.8], [1.1]])
    x = x.astype(dtype)
    tasks = TaskStack(codes, (2, 3, 5))
    designs = stack_designs(x, [fit_rotation(x[train]) for train in rows], rows)
    problems = pose(designs, tasks, strengths=np.full((3, 3), strength))
    certain, likely = (
        minimise(problems, problems.start_at_frequencies(), rule=Rule(1e-4, certified=certified)).objective
        for certified in (True, False)
    )
    for f, t in np.ndindex(3, 3):
        expected = reference_objective(x[rows[f]].astype(np.float64), codes[t, rows[f]], strength=strength)
        assert certain[f, t] == pytest.approx(expected, rel=1e-4)
        assert likely[f, t] == pytest.approx(expected, rel=3e-4)


def test_the_gap_bounds_the_excess() -> None:
    x, codes = draw(100, 20, (3,), seed=2)
    rows = np.ones((1, 100), dtype=bool)
    problems = pose(stack_designs(x, [fit_rotation(x)], rows), TaskStack(codes, (3,)), strengths=np.full((1, 1), 10.0))
    least = minimise(problems, problems.start_at_frequencies(), rule=Rule(1e-10, certified=True)).objective
    for most in (1, 3, 10, 30):
        found = minimise(problems, problems.start_at_frequencies(), rule=Rule(0, most=most))
        assert (found.objective - least <= found.gap).all()


def test_a_class_that_training_lacks_is_never_predicted() -> None:
    x, codes = draw(60, 5, (3,), seed=3)
    rows = (codes != 2)[:1]
    problems = pose(
        stack_designs(x, [fit_rotation(x[rows[0]])], rows), TaskStack(codes, (3,)), strengths=np.full((1, 1), 1.0)
    )
    found = minimise(problems, problems.start_at_frequencies(), rule=Rule(1e-6))
    assert (problems.logits(found.solution)[0].argmax(0) != 2).all()
    x_seen, seen = x[rows[0]], codes[0, rows[0]]
    assert found.objective[0, 0] == pytest.approx(reference_objective(x_seen, seen, strength=1.0), rel=1e-4)


def test_a_fold_is_not_moved_by_its_test_rows() -> None:
    """Whatever stands in a fold's test rows, its probe, standardisation included, stays the same."""
    x, codes = draw(90, 6, (3,), seed=4)
    samples = pd.DataFrame({"template": np.arange(90) % 15})
    target = encode(pd.Series(codes[0]), name="y")
    splits = make_splits(samples, [target], group_by=("template",), folds=3, seed=0)
    spoiled = x.copy()
    one = splits.folds[0].test
    spoiled[np.flatnonzero(one)[0]] *= 1000
    before = cross_validate(x, [target], splits, strengths=(0.1, 1.0))
    after = cross_validate(spoiled, [target], splits, strengths=(0.1, 1.0))
    others = one.copy()
    others[np.flatnonzero(one)[0]] = False
    assert (before.predicted[0, others] == after.predicted[0, others]).all()
    assert before.strengths[0] == after.strengths[0]


def test_constant_features_get_weight_zero() -> None:
    x, codes = draw(80, 6, (2,), seed=5)
    x[:, 2] = 7.0
    samples = pd.DataFrame({"template": np.arange(80) % 10})
    target = encode(pd.Series(codes[0]), name="y")
    splits = make_splits(samples, [target], group_by=("template",), folds=4, seed=0)
    fit = cross_validate(x.astype(np.float32), [target], splits, strengths=(0.1, 1.0))
    assert (fit.weights[0].coef[:, 2] == 0).all()
    nothing = cross_validate(np.ones((80, 3), dtype=np.float32), [target], splits, strengths=(0.1, 1.0))
    assert (nothing.weights[0].coef == 0).all()


@pytest.mark.parametrize("d", [10, 200])
def test_stored_weights_are_in_units_of_the_raw_features(d: int) -> None:
    x, codes = draw(100, d, (3,), seed=6)
    samples = pd.DataFrame({"template": np.arange(100) % 10})
    target = encode(pd.Series(codes[0]), name="y")
    splits = make_splits(samples, [target], group_by=("template",), folds=4, seed=0)
    fit = cross_validate(x, [target], splits, strengths=(0.5,))
    weights = fit.weights[0]
    scaled = StandardScaler().fit(x)
    model = LogisticRegression(C=0.5, tol=1e-8, max_iter=20_000).fit(scaled.transform(x), codes[0])
    expected = model.decision_function(scaled.transform(x))
    scores = x @ weights.coef.T + weights.intercept
    np.testing.assert_allclose(
        scores - scores.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=0.2
    )


def test_a_strong_penalty_is_solved_for_its_direction_too() -> None:
    """Where the objective hardly falls below that of the class frequencies, predictions still are the optimum's."""
    x, codes = draw(150, 12, (4,), seed=7)
    rows = np.ones((1, 150), dtype=bool)
    problems = pose(stack_designs(x, [fit_rotation(x)], rows), TaskStack(codes, (4,)), strengths=np.full((1, 1), 1e-4))
    loose, tight = (
        minimise(problems, problems.start_at_frequencies(), rule=Rule(tolerance)).solution[0, :, :-1]
        for tolerance in (1e-2, 1e-9)
    )
    assert np.linalg.norm(loose - tight) < 0.1 * np.linalg.norm(tight)
    gain = (
        problems.entropy()[0, 0] - minimise(problems, problems.start_at_frequencies(), rule=Rule(1e-9)).objective[0, 0]
    )
    assert 0 < gain < 0.05
