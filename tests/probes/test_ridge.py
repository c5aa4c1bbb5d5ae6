"""Ridge sweeps against scikit-learn, fit by fit."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.preprocessing import StandardScaler

from outcrop.data.errors import InputError
from outcrop.probes.ridge import fit_ridge, indicators, ridge_scores

PENALTIES = (1e-2, 1.0, 1e3)


@pytest.mark.parametrize(("n", "d"), [(90, 12), (50, 80)])
def test_scores_of_every_penalty_and_outcome_equal_scikit_learns(n: int, d: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, d)) * 10 ** rng.uniform(-2, 2, size=d) + 3
    codes = rng.integers(4, size=n)
    outcomes = np.concatenate([rng.standard_normal((n, 2)), indicators(codes, 4, dtype=np.float64)], axis=1)
    train = rng.random(n) < 0.8
    scores = ridge_scores(x, outcomes, train, penalties=PENALTIES)
    scaler = StandardScaler().fit(x[train])
    held = scaler.transform(x[~train])
    for penalty, own in zip(PENALTIES, scores, strict=True):
        model = Ridge(alpha=penalty).fit(scaler.transform(x[train]), outcomes[train])
        np.testing.assert_allclose(own, model.predict(held), rtol=1e-6, atol=1e-8)
        classifier = RidgeClassifier(alpha=penalty).fit(scaler.transform(x[train]), codes[train])
        assert (own[:, 2:].argmax(1) == classifier.predict(held)).all()


def test_weights_score_raw_features_alike() -> None:
    rng = np.random.default_rng(1)
    x, outcomes = rng.standard_normal((60, 7)) * 5 + 2, rng.standard_normal((60, 3))
    fit = fit_ridge(x, outcomes)
    coef, intercept = fit.weights(2.0)
    np.testing.assert_allclose(x @ coef.T + intercept, fit.scores(x, [2.0])[0], atol=1e-10)


def test_no_penalty_and_a_constant_feature_give_least_squares() -> None:
    rng = np.random.default_rng(2)
    x, outcomes = rng.standard_normal((40, 5)), rng.standard_normal((40, 1))
    x[:, 3] = 4.0
    fitted = fit_ridge(x, outcomes).scores(x, [0.0])[0]
    full = np.concatenate([x, np.ones((40, 1))], axis=1)
    np.testing.assert_allclose(fitted, full @ np.linalg.lstsq(full, outcomes, rcond=None)[0], atol=1e-8)


@pytest.mark.parametrize("outcomes", [np.zeros((9, 1)), np.zeros(10), np.full((10, 2), np.nan)])
def test_outcomes_that_do_not_fit_are_refused(outcomes: np.ndarray) -> None:
    with pytest.raises(InputError, match="outcomes must be"):
        fit_ridge(np.zeros((10, 3)), outcomes)
