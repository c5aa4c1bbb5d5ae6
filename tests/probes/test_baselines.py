"""Baselines are rows of the table, and what a site adds to them is measured."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from outcrop.data.errors import InputError
from outcrop.probes.baselines import with_baselines, word_counts
from outcrop.probes.spec import STRENGTHS, ProbeSpec
from outcrop.probes.sweep import probe
from outcrop.probes.table import CONDITIONAL
from outcrop.probes.usable import frequency_surprises

BRIEF = {"group_by": ("template",), "bootstraps": 50, "strengths": (0.01, 1.0)}


def test_words_count_what_the_prompt_says() -> None:
    counts = word_counts(pd.Series(["a cat, a hat", "A cat.", ""]))
    assert counts.tolist() == [[2, 1, 1], [1, 1, 0], [0, 0, 0]]


def test_baselines_are_rows_that_do_not_compete(recording) -> None:
    """The prompt names content and style; the picture shows content alone; lengths show nothing."""
    content = pd.factorize(recording.labels["content"], sort=True)[0]
    recording.images = lambda: [Image.new("RGB", (32, 32), (90 * code, 0, 0)) for code in content]
    spec = ProbeSpec(sites=("mid",), steps=(1,), baselines=("pixels", "words", "norms"), permutations=19, **BRIEF)
    table = probe(recording, spec=spec)
    rows = table.frame.set_index(["property", "site"])["accuracy"].unstack()
    assert list(rows.columns) == ["baseline.pixels", "baseline.words", "mid", "norm.mid"]
    assert (rows["baseline.words"] > 0.95).all()
    assert rows.loc["content", "baseline.pixels"] > 0.95
    assert rows.loc["style", "baseline.pixels"] < 0.45
    assert rows.loc["style", "norm.mid"] < 0.45
    assert set(table.best()["site"]) == {"mid"}
    np.testing.assert_allclose(table.baselines()["norm"], rows["norm.mid"])
    assert "baseline.words" in table.to_text()
    sites = table.frame[table.frame["role"] == "block"]
    alone = probe(recording, spec=ProbeSpec(sites=("mid",), steps=(1,), permutations=19, **BRIEF)).frame
    np.testing.assert_array_equal(sites["q_value"], alone["q_value"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"baselines": ("pixel",)}, r"baselines must be among pixels, words, norms. Got 'pixel'"),
        ({"baselines": ("pixels",)}, r"'pixels' needs the pictures"),
        ({"given": "midd"}, r"given names 'midd', which is no site. Did you mean 'mid'"),
        ({"given": "baseline.prompt"}, r"no site 'baseline.prompt'. .* is made by `outcrop capture --site baselines`"),
        ({"given": "basline.words"}, r"no site 'basline.words'. baseline.words is made by `outcrop probe --baseline"),
        ({"sites": ("untrained.mid",)}, r"no site 'untrained.mid'. .* made by `outcrop capture --site untrained`"),
    ],
)
def test_baselines_that_cannot_be_had_are_refused(recording, settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        probe(recording, spec=ProbeSpec(group_by=("template",), **settings))


def test_without_baselines_the_recording_is_itself(recording) -> None:
    assert with_baselines(recording, ()) is recording


def test_a_site_adds_only_what_is_not_given(new_recording: Callable) -> None:
    """``down.0`` knows half of the label, ``mid`` the same half, ``up.1`` the other one, ``up.0.attn`` nothing."""
    made = new_recording(600, templates=30)
    codes = np.random.default_rng(0).integers(4, size=600)
    made.labels = pd.DataFrame({"quarter": codes}, index=made.labels.index)
    made.samples["prompt"] = [f"prompt {number}" for number in range(600)]
    halves = np.eye(2)[codes // 2], np.eye(2)[codes % 2]
    for site, half in (("down.0", halves[0]), ("mid", halves[0]), ("up.1", halves[1])):
        noise = 0.05 * np.random.default_rng(len(site)).standard_normal(half.shape)
        made.arrays[site, 0] = (half + noise).astype(np.float32)
    spec = ProbeSpec(
        group_by=("template",), steps=(0,), given="down.0", strengths=STRENGTHS, bootstraps=200, controls=1
    )
    frame = probe(made, spec=spec).frame.set_index("site")
    assert frame["given_bits"].to_numpy() == pytest.approx([1.0] * 4, abs=0.03)
    assert frame["adds"]["up.1"] == pytest.approx(1.0, abs=0.05)
    assert frame["adds_low"]["up.1"] > 0.9
    assert frame.loc[["down.0", "mid"], "adds"].abs().max() < 0.03
    assert -0.1 < frame["adds"]["up.0.attn"] < 0.03
    assert tuple(frame.columns[-4:]) == CONDITIONAL


def test_frequencies_cost_their_entropy() -> None:
    from outcrop.probes.properties import Target
    from outcrop.probes.splits import make_splits

    codes = np.arange(400) // 4 % 4 // 3
    target = Target("rare", codes, ("often", "seldom"))
    splits = make_splits(pd.DataFrame({"seed": np.arange(400)}), [target], group_by=("seed",), folds=5, seed=0)
    expected = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert frequency_surprises([target], splits).mean() == pytest.approx(expected, abs=0.01)
