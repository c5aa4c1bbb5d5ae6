"""References run on the probes' own folds."""

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.preprocessing import StandardScaler

from outcrop.data.errors import InputError
from outcrop.probes.reference import reference_accuracies
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.sweep import probe

BRIEF = ProbeSpec(group_by=("template",), sites=("mid",), bootstraps=50, strengths=(0.1,))


def test_the_majority_of_scikit_learn_is_that_of_the_table(recording) -> None:
    table = probe(recording, spec=BRIEF).frame
    found = reference_accuracies(recording, {"majority": DummyClassifier()}, spec=BRIEF)
    keys = ["property", "site", "step"]
    both = found.merge(table, on=keys, suffixes=("", "_probe"))
    np.testing.assert_allclose(both["accuracy"], both["majority"])


def test_a_network_reads_what_no_weighted_sum_does(new_recording) -> None:
    """The exclusive or of two signs."""
    made = new_recording(480, templates=24)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(480, 2))
    made.labels = pd.DataFrame({"alike": np.where(signs.prod(1) > 0, "yes", "no")}, index=made.labels.index)
    noise = 0.2 * np.random.default_rng(1).standard_normal((480, 2))
    made.arrays["mid", 1] = (signs + noise).astype(np.float32)
    spec = ProbeSpec(group_by=("template",), sites=("mid",), steps=(1,), bootstraps=50, strengths=(0.1,))
    linear = probe(made, spec=spec).frame.loc[0, "accuracy"]
    network = reference_accuracies(made, "mlp", spec=spec).loc[0, "accuracy"]
    assert linear < 0.6
    assert network > 0.9


@pytest.mark.parametrize(
    "estimators", [{}, DummyClassifier(), {"a": StandardScaler()}, {"a": DummyRegressor()}, {"a": DummyClassifier}]
)
def test_what_is_no_classifier_is_refused(recording, estimators: object) -> None:
    with pytest.raises(InputError, match=r"must be (classifiers by name|a scikit-learn classifier).* Got "):
        reference_accuracies(recording, estimators, spec=BRIEF)


def test_an_unknown_reference_is_named(recording) -> None:
    with pytest.raises(InputError, match=r"one of nearest-mean, mlp, neighbours, .* Got 'forest'"):
        reference_accuracies(recording, "forest", spec=BRIEF)
