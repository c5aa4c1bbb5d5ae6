"""A number is read where it was planted, and ridge regression is scikit-learn's."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from outcrop.data.errors import InputError
from outcrop.probes.regression import PENALTIES, Scale, fit_regression, regress
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.splits import make_splits

BRIEF = ProbeSpec(group_by=("template",), permutations=39, bootstraps=200)


@pytest.fixture
def measured(recording):
    """``x`` and ``y`` stand at ``mid``, step 1, to nine tenths of their variance, and nowhere else."""
    rng = np.random.default_rng(5)
    place = rng.standard_normal((240, 2))
    recording.labels = recording.labels.assign(x=3 + 2 * place[:, 0], y=place[:, 1], flat=1.0)
    values = rng.standard_normal((240, 12))
    values[:, :2] = 3 * place + rng.standard_normal((240, 2))
    recording.arrays["mid", 1] = values.astype(np.float32)
    return recording


def test_a_planted_number_is_found_at_its_site_and_step_alone(measured) -> None:
    frame = regress(measured, ["x", ("x", "y")], spec=BRIEF)
    assert len(frame) == 2 * 4 * 3
    planted = (frame["site"] == "mid") & (frame["step"] == 1)
    assert frame.loc[planted, "r2"].to_numpy() == pytest.approx([0.9, 0.9], abs=0.04)
    assert (frame.loc[planted, "p_value"] == 1 / 40).all()
    assert (frame["low"] <= frame["r2"]).all()
    assert (frame["r2"] <= frame["high"]).all()
    assert (frame.loc[planted, "low"] > 0.8).all()
    elsewhere = frame[~planted]
    assert elsewhere["r2"].max() < 0.05
    assert 0.3 < elsewhere["p_value"].mean() < 0.75
    assert (frame["q_value"] >= frame["p_value"]).all()


@pytest.mark.parametrize("width", [6, 300])
def test_each_fold_is_scikit_learns_ridge(width: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((80, width)), rng.standard_normal((80, 1))
    y += 0.5 * x[:, :3].sum(1, keepdims=True)
    splits = make_splits(pd.DataFrame({"seed": np.arange(80)}), [], group_by=("seed",), folds=4, seed=0)
    found = fit_regression(x, Scale("y", y), splits)
    standard = ((y - y.mean()) / y.std()).ravel()
    possible = []
    for penalty in PENALTIES:
        errors = np.zeros(80)
        for fold in splits.folds:
            scaler = StandardScaler().fit(x[fold.train])
            scaled = scaler.transform(x[fold.train])
            size = np.linalg.eigvalsh(scaled @ scaled.T / fold.train.sum())[-min(width, fold.train.sum() - 1) :].mean()
            ridge = Ridge(alpha=penalty * size * fold.train.sum()).fit(scaled, standard[fold.train])
            errors[fold.test] = (ridge.predict(scaler.transform(x[fold.test])) - standard[fold.test]) ** 2
        possible.append(errors)
    for fold in splits.folds:
        assert any(np.allclose(found.errors[fold.test], errors[fold.test], rtol=1e-4) for errors in possible)


def test_missing_values_are_left_out(measured) -> None:
    measured.labels.loc[measured.labels.index[:40], "x"] = np.nan
    frame = regress(measured, ["x"], spec=ProbeSpec(group_by=("template",), sites=("mid",), steps=(1,)))
    assert frame.loc[0, "n"] == 200
    assert frame.loc[0, "r2"] > 0.8
    assert "p_value" not in frame


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("xx", r"no label column 'xx'. Did you mean 'x'"),
        ("content", r"'content' holds '\w+', which is no number"),
        ("flat", r"'flat' does not vary"),
    ],
)
def test_what_is_no_scale_is_refused(measured, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        regress(measured, [name], spec=BRIEF)


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ("x", r"properties must be a sequence of names, not one string. Got 'x'; write \('x',\)"),
        ([], "properties must name at least one"),
        ([()], r"must be a label column, or several: \('x', 'y'\). Got \(\)"),
        ([3], "must be a label column, or several.* Got 3"),
    ],
)
def test_what_names_no_scale_is_refused(measured, properties: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        regress(measured, properties, spec=BRIEF)
