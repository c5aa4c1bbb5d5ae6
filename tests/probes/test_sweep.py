"""Planted truths are found where they were planted, and nowhere else."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from outcrop.data.errors import DataError, InputError
from outcrop.probes.sweep import ProbeSpec, probe
from outcrop.probes.table import CODED, COLUMNS, PERMUTED

BRIEF = ProbeSpec(group_by=("template",), bootstraps=200, strengths=(1e-3, 1e-1, 10.0))


def test_a_planted_property_is_found_at_its_site_and_step_alone(recording) -> None:
    frame = probe(recording, spec=BRIEF).frame
    assert tuple(frame.columns) == COLUMNS
    assert len(frame) == 2 * 4 * 3
    planted = (frame["property"] == "content") & (frame["site"] == "mid") & (frame["step"] == 1)
    found, elsewhere = frame[planted].iloc[0], frame[~planted]
    assert found["accuracy"] > 0.9
    assert found["low"] <= found["accuracy"] <= found["high"]
    assert found["low"] > max(found["chance"], found["majority"])
    assert found["selectivity_low"] > 0.2
    assert (found["noise"], found["order"], found["features"], found["n"]) == (50.0, 1, 12, 240)
    assert (elsewhere["accuracy"] < 0.5).all()
    assert (elsewhere["low"] <= elsewhere[["chance", "majority"]].max(axis=1)).mean() > 0.9
    nothing = frame[frame["property"] == "style"]
    assert nothing["selectivity"].abs().mean() < 0.15
    assert found["auroc"] > 0.98
    assert found["macro_f1"] > 0.9
    assert found["log_loss"] < 0.4
    assert np.abs(elsewhere["auroc"] - 0.5).max() < 0.15
    assert np.abs(elsewhere["balanced_accuracy"] - elsewhere["chance"]).max() < 0.1


def test_shuffled_labels_give_chance(recording) -> None:
    rng = np.random.default_rng(0)
    recording.labels["content"] = rng.permutation(recording.labels["content"].to_numpy())
    spec = ProbeSpec(group_by=("template",), properties=("content",), sites=("mid",), steps=(1,), bootstraps=200)
    row = probe(recording, spec=spec).frame.iloc[0]
    assert row["low"] - 0.03 <= row["chance"] <= row["high"] + 0.03


def test_memorised_groups_are_not_mistaken_for_a_property(recording) -> None:
    """Activations that tell the template alone give away nothing across templates."""
    template = pd.factorize(recording.samples["template"])[0]
    recording.arrays["up.1", 0] = np.eye(12, dtype=np.float32)[template] * 5
    spec = ProbeSpec(group_by=("template",), sites=("up.1",), steps=(0,), bootstraps=100)
    assert (probe(recording, spec=spec).frame["accuracy"] < 0.5).all()


def test_combinations_learnt_by_heart_are_not_mistaken_for_properties(recording) -> None:
    """Two properties in directions of their own are read in unseen pairs; a direction for each pair tells nothing."""
    rng = np.random.default_rng(0)
    content, style = (pd.factorize(recording.labels[name], sort=True)[0] for name in ("content", "style"))
    recording.arrays["up.1", 0] = np.concatenate([np.eye(3)[content], np.eye(4)[style]], axis=1)
    recording.arrays["up.1", 1] = rng.standard_normal((12, 12))[4 * content + style]
    spec = ProbeSpec(group_by=("content * style",), folds=3, sites=("up.1",), steps=(0, 1), bootstraps=20)
    accuracy = probe(recording, spec=spec).frame.set_index(["property", "step"])["accuracy"]
    assert (accuracy.xs(0, level="step") > 0.95).all()
    assert (accuracy.xs(1, level="step") < 0.7).all()


def test_the_same_seed_gives_the_same_table(recording) -> None:
    spec = ProbeSpec(group_by=("template",), sites=("mid",), bootstraps=50, seed=3)
    first, again = probe(recording, spec=spec), probe(recording, spec=spec)
    pd.testing.assert_frame_equal(first.frame, again.frame)
    assert all((first.weights[key].coef == again.weights[key].coef).all() for key in first.weights)
    other = probe(recording, spec=ProbeSpec(group_by=("template",), sites=("mid",), bootstraps=50, seed=4))
    assert (first.frame["low"] != other.frame["low"]).any()


def test_more_features_than_samples(new_recording: Callable) -> None:
    made = new_recording(120)
    codes = pd.factorize(made.labels["content"], sort=True)[0]
    rng = np.random.default_rng(0)
    wide = rng.standard_normal((120, 300)) + rng.standard_normal((3, 300))[codes]
    made.arrays["mid", 0] = wide.astype(np.float16).reshape(120, 3, 10, 10)
    spec = ProbeSpec(
        group_by=("template",), properties=("content",), sites=("mid",), steps=(0,), folds=4, bootstraps=50
    )
    table = probe(made, spec=spec)
    assert table.frame.loc[0, "accuracy"] > 0.9
    assert table.weights["content/mid/0"].coef.shape == (3, 300)


def test_rows_without_a_label_are_left_out_of_its_counts(recording) -> None:
    recording.labels.loc[recording.labels.index[:40], "content"] = None
    frame = probe(recording, spec=ProbeSpec(group_by=("template",), sites=("mid",), steps=(1,), bootstraps=50)).frame
    assert frame.set_index("property")["n"].to_dict() == {"content": 200, "style": 240}
    assert frame.set_index("property").loc["content", "accuracy"] > 0.9


def test_controls_are_averaged_and_have_a_band(recording) -> None:
    settings = {"group_by": ("template",), "steps": (1,), "bootstraps": 200, "strengths": (0.1,)}
    one, many = (probe(recording, spec=ProbeSpec(controls=count, **settings)).frame for count in (1, 12))
    for frame in (one, many):
        assert ((frame["control_low"] <= frame["control"]) & (frame["control"] <= frame["control_high"])).all()
        np.testing.assert_allclose(frame["selectivity"], frame["accuracy"] - frame["control"])
    assert (many["control"] - many["chance"]).abs().mean() < (one["control"] - one["chance"]).abs().mean()
    assert (many["control_high"] - many["control_low"]).mean() < (one["control_high"] - one["control_low"]).mean()
    assert (one["accuracy"] == many["accuracy"]).all()


def test_p_values_stand_out_where_the_property_was_planted(recording) -> None:
    spec = ProbeSpec(group_by=("template",), permutations=59, controls=1, bootstraps=20, strengths=(0.1,))
    frame = probe(recording, spec=spec).frame
    assert tuple(frame.columns) == (*COLUMNS, *PERMUTED)
    planted = (frame["property"] == "content") & (frame["site"] == "mid") & (frame["step"] == 1)
    assert frame.loc[planted, "p_value"].item() == 1 / 60
    assert (frame["q_value"] >= frame["p_value"]).all()
    assert (frame["q_value_dependent"] >= frame["q_value"]).all()
    assert 0.3 < frame.loc[~planted, "p_value"].mean() < 0.7


def test_labels_that_can_be_read_cost_fewer_bits(recording) -> None:
    spec = ProbeSpec(group_by=("template",), code_length=True, controls=1, bootstraps=20, strengths=(0.01, 1.0))
    frame = probe(recording, spec=spec).frame
    assert tuple(frame.columns) == (*COLUMNS, *CODED)
    planted = (frame["property"] == "content") & (frame["site"] == "mid") & (frame["step"] == 1)
    assert frame.loc[planted, "compression"].item() > 1.5
    assert (frame.loc[~planted, "compression"] < 1.1).all()
    np.testing.assert_allclose(frame["code_length"] * frame["compression"], np.log2(frame["classes"]))


def test_a_property_scores_the_same_alone_and_beside_others(recording) -> None:
    spec = {"group_by": ("template",), "sites": ("mid",), "steps": (1,), "strengths": (0.1,), "bootstraps": 50}
    both = probe(recording, spec=ProbeSpec(**spec)).frame.set_index("property")
    for name in ("content", "style"):
        alone = probe(recording, spec=ProbeSpec(properties=(name,), **spec)).frame.set_index("property")
        for column in ("accuracy", "low", "high", "control", "majority"):
            assert alone.loc[name, column] == pytest.approx(both.loc[name, column], abs=1e-9)


def test_progress_counts_cells(recording) -> None:
    calls: list[tuple[int, int]] = []
    spec = ProbeSpec(group_by=("template",), sites=("up.*",), steps=(0, 2), strengths=(0.1,), bootstraps=20)
    probe(recording, spec=spec, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sites": ("midd",)}, r"Site pattern 'midd' matches nothing. Did you mean 'mid'"),
        ({"steps": (0, 7)}, r"steps must be among \[0, 1, 2\]. Got \[7\]"),
        ({"properties": ("colour",)}, r"no label column 'colour'. Label columns: content \(3 values\)"),
        ({"group_by": ("scene",)}, r"'scene', which is no sample column"),
        ({"folds": 20}, r"12 distinct values; 20 folds"),
    ],
)
def test_requests_that_cannot_be_met_say_why(recording, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        probe(recording, spec=ProbeSpec(**({"group_by": ("template",)} | changes)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_activations_that_are_not_finite_are_named(recording, bad: float) -> None:
    recording.arrays["mid", 1][7, 0, 0] = bad
    with pytest.raises(
        DataError, match=r"site 'mid' at step 1 are NaN or infinite in 1 of 240 .*first: 0000000000000007\), in 1 of 12"
    ):
        probe(recording, spec=ProbeSpec(group_by=("template",), sites=("mid",), steps=(1,)))


def test_rows_that_do_not_fit_the_samples_are_named(recording) -> None:
    recording.arrays["mid", 1] = recording.arrays["mid", 1][:-1]
    with pytest.raises(DataError, match=r"shape \(239, 2, 6\); expected \(240, \*feature\)"):
        probe(recording, spec=ProbeSpec(group_by=("template",), sites=("mid",), steps=(1,)))
