"""Probes read at later sites while an intervention acts: the planted branch carries the prompt, the others do not."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from outcrop.attribution.bootstrap import Resampling
from outcrop.attribution.effects import effects
from outcrop.attribution.inner import InnerReadout, run_inner
from outcrop.attribution.prepare import prepare_study
from outcrop.attribution.readouts import FloatArray, Images
from outcrop.attribution.run import run_study
from outcrop.attribution.study import StudySpec
from outcrop.data.errors import InputError
from outcrop.probes.logistic import LinearWeights

NewStudy = Callable[..., StudySpec]
QUICK = Resampling(resamples=200)
WORDS = {"short": "a disc", "long": "a very large and very bright disc"}


class Size:
    name, least = "size", 0.5

    def describe(self, images: Images) -> FloatArray:
        return images[..., 1:].mean((1, 2, 3))[:, None].astype(np.float64)

    def distance(self, features: FloatArray, others: FloatArray) -> FloatArray:
        return np.abs(features - others)[:, 0]


def sized_study(new_study: NewStudy) -> StudySpec:
    sides = [{"prompt": text, "labels": {"size": name}} for name, text in WORDS.items()]
    pairs = [{"donor": sides[k % 2] | {"seed": k}, "receiver": sides[1 - k % 2] | {"seed": k}} for k in range(6)]
    cells = [
        {"interventions": [{"kind": "prompt-injection", "sites": [site], "window": [2, 3]}]}
        for site in ("layers.2", "layers.0")
    ]
    return new_study("planted", cells, pairs=pairs, steps=6, guidance=1.0)


def told_reader(spec: StudySpec) -> InnerReadout:
    """Linear weights that read what the branch is told, whatever picture it sees."""
    branch = prepare_study(spec).model.get_submodule("layers.2")
    with torch.no_grad():
        zero, one = (branch(torch.full((1, 3, 1, 1), value), torch.zeros(1)).flatten().numpy() for value in (0.0, 1.0))
    ratio = (one - zero)[1] / (one - zero)[0]
    row = 200 * np.array([-ratio, 1, 0])
    middle = 0.02 * np.mean([len(text) for text in WORDS.values()])
    offset = row @ zero + 200 * middle
    weights = LinearWeights(np.stack([-row, row]), np.array([offset, -offset]))
    return InnerReadout("size", "layers.2", 2, ("short", "long"), weights)


def test_the_inner_state_follows_the_donor_where_the_effect_passes(new_study: NewStudy) -> None:
    spec = sized_study(new_study)
    reader = told_reader(spec)
    found = run_inner(spec, [reader], resampling=QUICK)
    assert found.table.properties == ("size@layers.2:2",)
    np.testing.assert_allclose(found.table.frame["effect"], [1, 0], atol=1e-6)
    apart = run_study(spec)
    for name in ("images", "donors", "receivers"):
        np.testing.assert_array_equal(getattr(found.outcomes, name), getattr(apart, name))
    rows = found.mediation(reader, effects(found.outcomes, [Size()], resampling=QUICK)).set_index("site")
    np.testing.assert_allclose(rows["picture"], [1, 0], atol=0.05)
    assert list(rows["carried_n"]) == [6, 0]
    assert list(rows["past_n"]) == [0, 6]
    assert rows.loc["layers.2", "carried"] == pytest.approx(1, abs=0.05)
    assert rows.loc["layers.0", "past"] == pytest.approx(0, abs=0.05)


def test_a_step_that_the_study_lacks_is_refused(new_study: NewStudy) -> None:
    spec = sized_study(new_study)
    with pytest.raises(InputError, match=r"at steps 0 to 5 of the study. Got \[6\]"):
        run_inner(spec, [InnerReadout("size", "layers.2", 6, ("a", "b"), LinearWeights(np.eye(2), np.zeros(2)))])
