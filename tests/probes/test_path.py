"""A path over penalties ends at the same minima as separate searches do, in fewer steps."""

import numpy as np
import pytest

from outcrop.probes.design import rotated_designs
from outcrop.probes.lbfgs import Rule, minimise
from outcrop.probes.path import Path, follow
from outcrop.probes.problems import Problems, pose
from outcrop.probes.softmax import TaskStack
from outcrop.probes.spec import STRENGTHS

SIZES = (2, 6)


@pytest.fixture
def problems() -> Problems:
    rng = np.random.default_rng(0)
    n, d = 150, 40
    codes = np.stack([rng.integers(size, size=n) for size in SIZES]).astype(np.int64)
    x = rng.standard_normal((n, d)) * np.arange(1, d + 1) ** -0.5 @ rng.standard_normal((d, d))
    x += 0.7 * rng.standard_normal((SIZES[1], d))[codes[1]]
    rows = rng.random((2, n)) < 0.8
    return pose(rotated_designs(x.astype(np.float32), rows)[1], TaskStack(codes, SIZES), strengths=np.ones((2, 2)))


def test_every_point_of_a_path_is_a_minimum(problems: Problems) -> None:
    steps = 0
    apart = 0
    for strength, found in zip(STRENGTHS, follow(problems, STRENGTHS, rule=Rule(1e-4)), strict=True):
        own = problems.with_ridge(problems.ridge / strength)
        alone = minimise(own, problems.start_at_frequencies(), rule=Rule(1e-4))
        np.testing.assert_allclose(found.objective, alone.objective, rtol=2e-4)
        np.testing.assert_allclose(found.logits, own.logits(found.solution), atol=2e-3)
        steps, apart = steps + found.iterations, apart + alone.iterations
    assert steps < apart / 2


def test_a_problem_that_has_stopped_stays_where_it_is(problems: Problems) -> None:
    path = Path(problems)
    for strength in (0.01, 0.1):
        path.advance(problems.ridge / strength, rule=Rule(1e-3))
    before = path.solution.copy()
    wanted = np.array([[True, False], [True, True]])
    for strength in (1.0, 10.0):
        path.advance(problems.ridge / strength, rule=Rule(1e-3), wanted=wanted)
    columns = problems.tasks.owner == 1
    np.testing.assert_array_equal(path.solution[0, columns], before[0, columns])
    assert (path.solution[1] != before[1]).any()


@pytest.mark.parametrize(("rows", "seed"), [(12, 8), (12, 18), (8, 8)])
def test_what_intercepts_share_does_not_grow_until_no_digit_is_left(rows: int, seed: int) -> None:
    """Nothing holds it; in a few rows that are fitted the objective once went below its minimum by it."""
    rng, d = np.random.default_rng(seed), 12 if rows == 12 else 5
    x = rng.standard_normal((rows, d)) * 3 + 3
    codes = rng.permutation(np.minimum(np.arange(rows) // (rows // 3 + 1), 2))[None]
    minima = []
    for kind, rule in ((np.float32, Rule(1e-4)), (np.float64, Rule(1e-6))):
        designs = rotated_designs(x.astype(kind), np.ones((1, rows), dtype=np.bool_))[1]
        problems = pose(designs, TaskStack(codes, (3,)), strengths=np.ones((1, 1)))
        minima.append(list(follow(problems, STRENGTHS, rule=rule)))
        assert all(np.abs(found.solution[0, :, -1].mean()) < 50 for found in minima[-1])
    for single, double in zip(*minima, strict=True):
        np.testing.assert_allclose(single.objective, double.objective, rtol=3e-4)


@pytest.mark.parametrize("strengths", [STRENGTHS, (1e-5, 1e-3, 10.0)])
def test_few_rows_do_not_lead_astray(strengths: tuple[float, ...]) -> None:
    """Nearly equal moves get large coefficients, and a class may have no rows; what is reached is a minimum still."""
    rng = np.random.default_rng(0)
    x, even = rng.standard_normal((9, 8)) + 3, rng.permutation(np.arange(9) % 3)
    codes = np.stack([even, np.array([1, 1, 1, 0, -1, -1, -1, -1, -1])])
    designs = rotated_designs(x.astype(np.float32), np.ones((1, 9), dtype=np.bool_))[1]
    problems = pose(designs, TaskStack(codes, (3, 3)), strengths=np.ones((1, 2)))
    for strength, found in zip(strengths, follow(problems, strengths, rule=Rule(1e-3)), strict=True):
        own = problems.with_ridge(problems.ridge / strength)
        alone = minimise(own, problems.start_at_frequencies(), rule=Rule(1e-3))
        np.testing.assert_allclose(found.objective, alone.objective, rtol=5e-3)
        np.testing.assert_allclose(found.logits, own.logits(found.solution), atol=1e-3)
