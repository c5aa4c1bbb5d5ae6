"""The metrics against scikit-learn's, and where they are known in closed form."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss, roc_auc_score

from outcrop.probes.metrics import LEAST_PROBABILITY, measure


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_they_are_scikit_learns(classes: int, dtype: type) -> None:
    rng = np.random.default_rng(classes)
    codes = rng.integers(classes, size=300)
    odds = np.exp(rng.standard_normal((300, classes)) + 1.5 * np.eye(classes)[codes])
    shares = (odds / odds.sum(1, keepdims=True)).astype(dtype)
    shares[:40] = shares[0]
    found = measure(shares, codes)
    exact = shares.astype(np.float64) / shares.astype(np.float64).sum(1, keepdims=True)
    auc = [roc_auc_score(codes == k, shares[:, k]) for k in range(classes)]
    assert found.macro_f1 == pytest.approx(f1_score(codes, shares.argmax(1), average="macro"))
    assert found.log_loss == pytest.approx(log_loss(codes, exact), rel=1e-5)
    assert found.auroc == pytest.approx(np.mean(auc))


def test_calibrated_guesses_have_no_calibration_error_and_boasts_have() -> None:
    codes = np.repeat([0, 1], [75, 25])
    modest, boast = np.tile([0.75, 0.25], (100, 1)), np.tile([1.0, 0.0], (100, 1))
    assert measure(modest, codes).calibration_error == pytest.approx(0, abs=1e-12)
    assert measure(boast, codes).calibration_error == pytest.approx(0.25)
    assert measure(boast, codes).log_loss == pytest.approx(-0.25 * np.log(LEAST_PROBABILITY))
    assert measure(modest, codes).auroc == 0.5


def test_a_class_without_rows_does_not_count() -> None:
    codes = np.array([0, 0, 1, 1])
    shares = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.3, 0.6, 0.1]])
    without = measure(shares[:, :2], codes)
    assert measure(shares, codes).macro_f1 == without.macro_f1
    assert measure(shares, codes).auroc == without.auroc
