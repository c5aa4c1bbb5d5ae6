"""The scikit-learn classifier."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from outcrop.probes.estimator import LinearProbe


@parametrize_with_checks([LinearProbe()])
def test_scikit_learns_conventions(estimator: LinearProbe, check: Callable[[LinearProbe], None]) -> None:
    check(estimator)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("standardise", [True, False])
def test_probabilities_equal_scikit_learns(classes: int, standardise: bool) -> None:
    rng = np.random.default_rng(classes)
    y = rng.integers(classes, size=150)
    x = rng.standard_normal((150, 10)) * np.arange(1, 11) + rng.standard_normal((classes, 10))[y]
    reference = LogisticRegression(C=0.3, tol=1e-8, max_iter=10_000)
    if standardise:
        reference = make_pipeline(StandardScaler(), reference)
    ours = LinearProbe(C=0.3, standardise=standardise, tol=1e-9).fit(x, y)
    np.testing.assert_allclose(ours.predict_proba(x), reference.fit(x, y).predict_proba(x), atol=1e-4)
    assert ours.coef_.shape == (1 if classes == 2 else classes, 10)


def test_more_features_than_samples() -> None:
    rng = np.random.default_rng(0)
    y = np.array(["a", "b"])[rng.integers(2, size=40)]
    x = rng.standard_normal((40, 300)) + (y == "a")[:, None]
    probe = LinearProbe().fit(x[:30], y[:30])
    assert probe.score(x[30:], y[30:]) == 1


def test_a_search_is_told_where_it_was_cut_short_and_only_there() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 8)), rng.integers(3, size=60)
    with pytest.warns(ConvergenceWarning, match="stopped after max_iter=1 steps"):
        LinearProbe(C=100, max_iter=1).fit(x, y)
    needed = LinearProbe().fit(x, y).n_iter_
    assert LinearProbe(max_iter=needed).fit(x, y).n_iter_ == needed  # met at the last step: no warning
    with pytest.warns(ConvergenceWarning, match=f"after max_iter={needed - 1} steps"):
        LinearProbe(max_iter=needed - 1).fit(x, y)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"C": 0}, "C must be positive and finite. Got 0"),
        ({"C": "1"}, "C must be positive and finite. Got '1'"),
        ({"C": None}, "C must be positive and finite. Got None"),
        ({"tol": -1.0}, "tol must be positive and finite. Got -1.0"),
        ({"tol": float("nan")}, "tol must be positive and finite. Got nan"),
        ({"max_iter": 0}, "max_iter must be at least 1. Got 0"),
        ({"max_iter": 2.5}, "max_iter must be a whole number. Got 2.5"),
        ({"standardise": "no"}, "standardise must be True or False. Got 'no'"),
    ],
)
def test_settings_without_sense_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LinearProbe(**settings).fit([[0.0], [1.0]], [0, 1])
