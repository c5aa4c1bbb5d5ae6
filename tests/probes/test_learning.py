"""Accuracy grows with the samples where there is something to learn, and stays at chance where there is not."""

import numpy as np
import pandas as pd
import pytest

from outcrop.data.errors import InputError
from outcrop.probes.grouping import form_groups
from outcrop.probes.learning import learning_curve, samples_needed, thinned
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.splits import make_splits

BRIEF = ProbeSpec(group_by=("template",), bootstraps=100, strengths=(0.01, 1.0))


def test_a_curve_rises_where_a_property_stands_and_is_flat_where_not(new_recording) -> None:
    made = new_recording(480, templates=48)
    codes = pd.factorize(made.labels["content"], sort=True)[0]
    rng = np.random.default_rng(0)
    made.arrays["mid", 1] = (rng.standard_normal((480, 30)) + 2 * np.eye(30)[codes]).astype(np.float32)
    there = learning_curve(made, "content", site="mid", step=1, shares=(0.1, 0.3, 1.0), spec=BRIEF)
    assert there["samples"].tolist() == pytest.approx([38, 115, 384], abs=14)
    assert (there["accuracy"].diff().dropna() > 0).all()
    with pytest.warns(UserWarning, match="At most 40 samples"):
        assert samples_needed(there) == 40
    nowhere = learning_curve(made, "content", site="up.1", step=0, shares=(0.1, 1.0), spec=BRIEF)
    assert nowhere["accuracy"].max() < 0.45
    assert samples_needed(nowhere.assign(low=0.2)) is None


def test_the_least_number_is_that_from_which_on_it_stays_clear() -> None:
    curve = pd.DataFrame({"samples": [10, 20, 40, 80], "low": [0.6, 0.2, 0.6, 0.7], "majority": 0.5, "chance": 0.3})
    assert samples_needed(curve) == 40


def test_what_is_no_curve_is_refused(recording) -> None:
    with pytest.raises(InputError, match=r"reads what learning_curve gives\. Got a table without samples, majority"):
        samples_needed(pd.DataFrame({"low": [0.5], "chance": [0.3]}))
    for shares in (0.5, ["a"], []):
        with pytest.raises(InputError, match=r"shares must (be a sequence|lie in \(0, 1\])"):
            learning_curve(recording, "content", site="mid", step=1, shares=shares, spec=BRIEF)


def test_a_curve_that_begins_clear_of_chance_gives_an_upper_bound() -> None:
    curve = pd.DataFrame({"samples": [25, 50], "low": [0.6, 0.7], "majority": 0.5, "chance": 0.3})
    with pytest.warns(UserWarning, match=r"At most 25 samples.*smaller shares"):
        assert samples_needed(curve) == 25


def test_smaller_shares_are_part_of_larger_ones_and_tests_stay() -> None:
    samples = pd.DataFrame({"template": np.arange(120) % 30, "seed": np.arange(120)})
    splits = make_splits(samples, [], group_by=("template", "seed"), folds=5, seed=0)
    codes = form_groups(samples, group_by=("template", "seed"), folds=5).units[0].codes
    small, large = (thinned(splits, codes / 30, share=share) for share in (0.2, 0.6))
    for fold, less, more in zip(splits.folds, small.folds, large.folds, strict=True):
        assert not (less.train & ~more.train).any()
        assert not (more.train & ~fold.train).any()
        assert (less.test == fold.test).all()


def test_shares_that_leave_a_fold_too_few_rows_are_left_out_and_told(new_recording) -> None:
    small = new_recording(48, templates=24)
    place = {"site": "mid", "step": 1, "spec": BRIEF}
    with pytest.warns(UserWarning, match=r"begins later: shares of 0\.03, 0\.1 of the groups leave fewer than 2 rows"):
        curve = learning_curve(small, "content", shares=(0.03, 0.1, 0.5, 1.0), **place)
    assert curve["share"].tolist() == [0.5, 1.0]
    assert curve["samples"].is_monotonic_increasing
    with pytest.raises(InputError, match=r"no learning curve: shares of 0\.03 of the groups.* Give larger shares"):
        learning_curve(small, "content", shares=(0.03,), **place)


def test_shares_are_shares(recording) -> None:
    with pytest.raises(InputError, match=r"shares must lie in \(0, 1\]. Got \(0, 2\)"):
        learning_curve(recording, "content", site="mid", step=1, shares=(0, 2), spec=BRIEF)
