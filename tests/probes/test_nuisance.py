"""A property in directions of little variance beside a nuisance in directions of much: the choice of scikit-learn."""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from outcrop.probes.logistic import cross_validate
from outcrop.probes.properties import Target, encode
from outcrop.probes.spec import STRENGTHS
from outcrop.probes.splits import Splits, make_splits


@dataclass(frozen=True)
class Planted:
    x: NDArray[np.float32]
    target: Target
    splits: Splits


def plant_below_a_nuisance(*, loud: float, effect: float, seed: int) -> Planted:
    """Six classes in 6 directions, 24 classes of a nuisance in 24 others of ``loud`` times their deviation.

    Every pair of class and nuisance occurs twice, and the directions are rotated into all 30 features, so that
    standardisation cannot level them. A strong penalty reads the nuisance alone; what the training rows hold too much
    of, the test rows hold too little of, and the validation loss rises before it falls.
    """
    rng = np.random.default_rng(seed)
    y, nuisance = np.arange(288) % 6, np.arange(288) // 6 % 24
    quiet = rng.standard_normal((288, 6)) + effect * rng.standard_normal((6, 6))[y]
    noisy = loud * (0.5 * rng.standard_normal((288, 24)) + rng.standard_normal((24, 24))[nuisance])
    x = np.concatenate([quiet, noisy], axis=1) @ np.linalg.qr(rng.standard_normal((30, 30)))[0]
    target = encode(pd.Series(y), name="y")
    samples = pd.DataFrame({"template": rng.permutation(np.arange(288) % 12)})
    splits = make_splits(samples, [target], group_by=("template",), folds=4, seed=seed)
    return Planted(x.astype(np.float32), target, splits)


def fit(planted: Planted, rows: NDArray[np.bool_], strength: float) -> Pipeline:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, tol=1e-6, max_iter=5000))
    return model.fit(planted.x[rows].astype(np.float64), planted.target.codes[rows])


def count_hits(model: Pipeline, planted: Planted, rows: NDArray[np.bool_]) -> int:
    return int((model.predict(planted.x[rows]) == planted.target.codes[rows]).sum())


def reference(planted: Planted) -> tuple[NDArray[np.float64], int]:
    """Hits (f, s) of scikit-learn on the same inner folds, and its hits out of fold at the strengths of most."""
    hits = np.zeros((len(planted.splits.folds), len(STRENGTHS)))
    for inner in planted.splits.inner:
        for s, strength in enumerate(STRENGTHS):
            model = fit(planted, inner.train, strength)
            for own, rows in inner.validate:
                hits[own, s] += count_hits(model, planted, rows)
    chosen = zip(planted.splits.folds, hits.argmax(1), strict=True)
    right = sum(count_hits(fit(planted, fold.train, STRENGTHS[s]), planted, fold.test) for fold, s in chosen)
    return hits, right


@pytest.mark.parametrize(("loud", "effect"), [(100.0, 4.0), (30.0, 2.0), (3.0, 1.5)])
def test_the_sweep_finds_what_scikit_learn_finds(loud: float, effect: float) -> None:
    planted = plant_below_a_nuisance(loud=loud, effect=effect, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        expected, right = reference(planted)
    fitted = cross_validate(planted.x, [planted.target], planted.splits, strengths=STRENGTHS)
    chosen = [STRENGTHS.index(strength) for strength in fitted.strengths[:, 0]]
    assert (expected[np.arange(len(expected)), chosen] >= 0.99 * expected.max(1)).all()
    n, hits = len(planted.x), int((fitted.predicted[0] == planted.target.codes).sum())
    share = right / n
    assert abs(hits / n - share) <= 2 * np.sqrt(share * (1 - share) / n)
    assert share > 0.5
