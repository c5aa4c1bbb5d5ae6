"""Features of which little can be expected are told of, and never end as NaN in the table."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest

from outcrop.probes.degenerate import DegenerateWarning, FeatureCheck
from outcrop.probes.sweep import ProbeSpec, probe

BRIEF = {"group_by": ("template",), "sites": ("mid",), "bootstraps": 20, "strengths": (0.01, 1.0)}


def test_a_site_without_differences_scores_as_the_class_frequencies(recording) -> None:
    recording.arrays["mid", 0] = np.ones((240, 5), dtype=np.float16)
    spec = ProbeSpec(steps=(0,), permutations=19, code_length=True, **BRIEF)
    with pytest.warns(DegenerateWarning, match=r"Site 'mid' at step 0: all features are the same for all samples"):
        frame = probe(recording, spec=spec).frame
    np.testing.assert_allclose(frame["accuracy"], frame["majority"])
    np.testing.assert_allclose(frame["auroc"], 0.5, atol=0.1)
    assert frame.notna().all(axis=None)
    assert (frame["p_value"] > 0.05).all()


def test_constant_features_among_others_are_left_out(recording) -> None:
    recording.arrays["mid", 1][:, 0, :2] = 7
    with pytest.warns(DegenerateWarning, match=r"2 of 12 at site 'mid', step 1: some features are the same"):
        table = probe(recording, spec=ProbeSpec(steps=(1,), **BRIEF))
    assert (table.weights["content/mid/1"].coef[:, :2] == 0).all()
    assert table.frame.set_index("property").loc["content", "accuracy"] > 0.8
    assert table.frame.notna().all(axis=None)


def test_5000_features_for_40_samples(new_recording: Callable) -> None:
    made = new_recording(40, templates=8, seed=3)
    made.arrays["mid", 0] = np.random.default_rng(0).standard_normal((40, 5000)).astype(np.float32)
    spec = ProbeSpec(steps=(0,), properties=("content",), folds=3, permutations=19, **BRIEF)
    with pytest.warns(DegenerateWarning, match=r"5000 for 40 at site 'mid', step 0: there are far more features"):
        frame = probe(made, spec=spec).frame
    assert frame.notna().all(axis=None)
    assert frame.loc[0, "low"] <= frame.loc[0, "majority"]


def test_many_cells_are_one_warning() -> None:
    check = FeatureCheck()
    for step in range(5):
        check.update("mid", step, np.zeros((9, 2)))
    check.update("up", 0, np.arange(18.0).reshape(9, 2))
    with pytest.warns(DegenerateWarning, match=r"'mid' at step 0 and in 4 other cells") as caught:
        check.warn()
    assert len(caught) == 1


def test_sound_features_warn_of_nothing(recording) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        probe(recording, spec=ProbeSpec(steps=(1,), **BRIEF))
