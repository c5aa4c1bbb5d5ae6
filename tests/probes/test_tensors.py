"""Cells solved by PyTorch (on a GPU where there is one) against scikit-learn and against the solver on NumPy."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from outcrop.probes import logistic, online, strengths
from outcrop.probes.lbfgs import Rule
from outcrop.probes.logistic import cross_validate
from outcrop.probes.online import deal_portions
from outcrop.probes.permutation import permuted_codes
from outcrop.probes.properties import Target, encode
from outcrop.probes.splits import make_splits
from outcrop.probes.sweep import ProbeSpec, probe
from outcrop.probes.tensors import cells as fitting
from outcrop.probes.tensors import strengths as choosing
from outcrop.probes.tensors.cells import cross_validate_cells
from outcrop.probes.tensors.designs import Cells
from outcrop.probes.tensors.problems import Tasks
from outcrop.probes.tensors.search import minimise

SIZES = (2, 3, 5)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SHAPES = [(60, 8), (40, 60)]


def draw(n: int, d: int, *, seed: int) -> tuple[np.ndarray, list[Target]]:
    """Features of decaying spectrum and unlike scales, one of them constant, and three properties."""
    codes, rng = [np.random.default_rng(k).permutation(np.arange(n) % k) for k in SIZES], np.random.default_rng(seed)
    x = rng.standard_normal((n, d)) * np.arange(1, d + 1) ** -0.5 @ rng.standard_normal((d, d)) + 3
    for own in codes:
        x += 0.5 * rng.standard_normal((own.max() + 1, d))[own]
    x *= 10 ** rng.uniform(-2, 2, size=d)
    x[:, 2] = 7
    return x.astype(np.float32), [encode(pd.Series(own), name=f"of {own.max() + 1}") for own in codes]


def least_objective(x: np.ndarray, y: np.ndarray, *, strength: float) -> float:
    """Mean loss + |w|^2 / (2 C n) at scikit-learn's optimum."""
    scaled = StandardScaler().fit_transform(x.astype(np.float64))
    model = LogisticRegression(C=strength, tol=1e-8, max_iter=20_000).fit(scaled, y)
    p = model.predict_proba(scaled)[np.arange(len(y)), np.searchsorted(model.classes_, y)]
    return float(-np.log(p).mean() + (model.coef_**2).sum() / (2 * strength * len(y)))


@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("strength", [1e-3, 10.0])
def test_objectives_of_several_cells_equal_scikit_learns(n: int, d: int, strength: float) -> None:
    (first, targets), (second, _) = draw(n, d, seed=0), draw(n, d, seed=1)
    rows = np.random.default_rng(1).random((2, n)) < np.array([[0.6], [1.1]])
    second[rows[0], 4:6] = second[rows[0]][0, 4:6]  # constant in one fold of one cell
    cells = Cells([first, second], DEVICE)
    problems = Tasks.of(targets, cells).pose(cells, cells.designs(rows), rows, strength)
    found = minimise(problems, problems.start(), rule=Rule(1e-4, certified=True))
    assert (found.gap <= 1e-4 * found.objective).all()
    for z, f, t in np.ndindex(2, 2, 3):
        x, y = (first, second)[z][rows[f]], targets[t].codes[rows[f]]
        assert float(found.objective[2 * z + f, t]) == pytest.approx(least_objective(x, y, strength=strength), rel=1e-4)


def whole_problem(n: int, d: int) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Two cells, and all that is asked of one; a property lacks labels."""
    cells, rng = [draw(n, d, seed=seed) for seed in (0, 1)], np.random.default_rng(2)
    targets, groups = cells[0][1], np.arange(n) // 4
    targets[1] = encode(pd.Series(targets[1].codes).where(rng.random(n) < 0.9), name="gaps")
    controls = [[replace(own, codes=rng.permutation(own.codes)) for _ in range(2)] for own in targets]
    settings = {
        "targets": targets,
        "splits": make_splits(pd.DataFrame({"template": groups}), targets, group_by=("template",), folds=3, seed=0),
        "strengths": (1e-3, 1.0),
        "controls": controls,
        "permuted": [permuted_codes(own, groups, np.arange(n), permutations=19, seed=0) for own in targets],
        "portions": deal_portions(groups, seed=0),
    }
    return [own for own, _ in cells], settings


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_fits_are_those_of_the_solver_on_numpy(monkeypatch: pytest.MonkeyPatch, n: int, d: int) -> None:
    """All that a cell yields, once both solve closely, so that no two strengths are as good as each other by chance."""
    for module in (strengths, logistic, online, choosing, fitting):
        for rule in ("PATH_RULE", "FIT_RULE", "CONTROL_RULE", "CODE_RULE"):
            monkeypatch.setattr(module, rule, Rule(1e-6, certified=True), raising=False)
    features, settings = whole_problem(n, d)
    found = cross_validate_cells(Cells(features, DEVICE), **settings)
    for own, x in zip(found, features, strict=True):
        expected = cross_validate(x.astype(np.float64), **settings)
        for name in ("predicted", "controls"):
            assert (getattr(own, name) == getattr(expected, name)).mean() > 0.99
        np.testing.assert_array_equal(own.strengths, expected.strengths)
        np.testing.assert_allclose(own.p_values, expected.p_values, atol=0.051)
        np.testing.assert_allclose(own.code_lengths, expected.code_lengths, rtol=0.01)
        np.testing.assert_allclose(own.shared, expected.shared, atol=2)
        assert own.gap.shape == expected.gap.shape
        for metrics, wanted in zip(own.metrics, expected.metrics, strict=True):
            assert metrics.log_loss == pytest.approx(wanted.log_loss, rel=0.01)
        for weights, wanted in zip(own.weights, expected.weights, strict=True):
            scores, others = (x @ each.coef.T + each.intercept for each in (weights, wanted))
            np.testing.assert_allclose(scores, others, atol=0.02 * np.abs(others).max())
            assert (weights.coef[:, 2] == 0).all()


def test_training_rows_of_one_class_give_a_gap_of_0() -> None:
    features, settings = whole_problem(60, 8)
    first, *rest = settings["splits"].folds
    narrow = replace(first, train=first.train & (settings["targets"][0].codes == 0))
    settings["splits"] = replace(settings["splits"], folds=(narrow, *rest))
    for own in cross_validate_cells(Cells(features, DEVICE), **settings):
        assert own.gap[0, 0] == 0
        assert np.isfinite(own.gap).all()


def test_a_sweep_on_a_device_gives_the_same_table(recording) -> None:
    """Within what the looser rules of a sweep leave open: a sample or two of 240."""
    spec = ProbeSpec(
        sites=("mid",), steps=(0, 1), group_by=("template",), folds=3, bootstraps=50, strengths=(1e-2, 1.0),
        code_length=True, permutations=19,
    )  # fmt: skip
    plain, solved = (probe(recording, spec=replace(spec, device=device)).frame for device in (None, DEVICE))
    assert list(solved.columns) == list(plain.columns)
    assert np.abs(solved["accuracy"] - plain["accuracy"]).max() < 0.02
    assert np.abs(solved["control"] - plain["control"]).max() < 0.03
    assert np.abs(solved["code_length"] - plain["code_length"]).max() < 0.05
    np.testing.assert_allclose(solved["p_value"], plain["p_value"], atol=0.051)
