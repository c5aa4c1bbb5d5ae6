"""Control and selectivity where they can be counted by hand."""

import numpy as np
import pandas as pd
import pytest

from outcrop.probes.plan import make_plan
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.splits import majority_accuracy
from outcrop.probes.sweep import probe


@pytest.mark.filterwarnings("ignore::outcrop.probes.degenerate.DegenerateWarning")
def test_without_features_both_are_the_majority_of_their_labels(recording) -> None:
    recording.arrays["mid", 0] = np.ones((240, 3), dtype=np.float32)
    spec = ProbeSpec(group_by=("template",), sites=("mid",), steps=(0,), controls=3, strengths=(0.1,), bootstraps=20)
    frame, plan = probe(recording, spec=spec).frame, make_plan(recording, spec)
    for row, target, controls in zip(frame.itertuples(), plan.targets, plan.controls, strict=True):
        control = np.mean([majority_accuracy(own, plan.splits) for own in controls])
        assert row.accuracy == pytest.approx(majority_accuracy(target, plan.splits))
        assert row.control == pytest.approx(control)
        assert row.selectivity == pytest.approx(row.accuracy - control)


def test_where_the_class_is_told_outright_the_control_is_guessed_class_by_class(recording) -> None:
    """The best that a reader of the class can do about random labels: the commonest one of each class in training."""
    content = pd.factorize(recording.labels["content"], sort=True)[0]
    recording.arrays["mid", 0] = (30 * np.eye(3)[content]).astype(np.float32)
    spec = ProbeSpec(
        group_by=("template",), sites=("mid",), steps=(0,), controls=4, strengths=(100.0,), properties=("content",)
    )
    row, plan = probe(recording, spec=spec).frame.iloc[0], make_plan(recording, spec)
    expected = []
    for control in plan.controls[0]:
        right = 0
        for fold in plan.splits.folds:
            for code in range(3):
                seen = control.codes[fold.train & (content == code)]
                right += (control.codes[fold.test & (content == code)] == np.bincount(seen).argmax()).sum()
        expected.append(right / 240)
    assert row["accuracy"] == 1
    assert row["control"] == pytest.approx(np.mean(expected), abs=0.02)
    assert row["selectivity"] == pytest.approx(1 - row["control"])
