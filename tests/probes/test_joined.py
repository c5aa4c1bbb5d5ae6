"""Probes carried between recordings and between parts of one."""

import numpy as np
import pandas as pd
import pytest

from outcrop.data.errors import InputError
from outcrop.probes.joined import Joined, transfer_across
from outcrop.probes.spec import ProbeSpec

SPEC = ProbeSpec(group_by=("template",), bootstraps=50, strengths=(0.01, 0.1, 1.0))


def test_a_probe_carries_where_the_direction_is_the_same(recording, new_recording) -> None:
    """At site ``mid`` both write content alike, at ``up.1`` in directions of their own."""
    codes = pd.factorize(recording.labels["content"], sort=True)[0]
    other = new_recording()
    rng = np.random.default_rng(0)
    means = 3 * rng.standard_normal((3, 3, 12))
    for part, own in ((recording, 1), (other, 2)):
        for site, number in (("mid", 0), ("up.1", own)):
            part.arrays[site, 1] = (means[number][codes] + rng.standard_normal((240, 12))).astype(np.float32)
    both = Joined("guidance", {"3": recording, "7": other})
    assert len(both.samples) == len(both.labels) == 480
    assert both.samples.index.is_unique
    alike, apart = (
        transfer_across(both, "content", by="guidance", site=site, step=1, spec=SPEC).set_index(["fitted", "tested"])
        for site in ("mid", "up.1")
    )
    assert alike["accuracy"].min() > 0.9
    assert apart.loc[[("3", "3"), ("7", "7")], "accuracy"].min() > 0.9
    assert apart.loc[[("3", "7"), ("7", "3")], "accuracy"].max() < 0.75
    assert (alike["n"] == 240).all()


def test_by_a_column_of_one_recording(recording) -> None:
    recording.samples["half"] = np.where(np.arange(240) // 12 % 2, "late", "early")
    found = transfer_across(recording, "content", by="half", site="mid", step=1, spec=SPEC)
    assert found["accuracy"].min() > 0.8
    with pytest.raises(InputError, match=r"by names 'haf', which is no sample column"):
        transfer_across(recording, "content", by="haf", site="mid", step=1, spec=SPEC)
    with pytest.raises(InputError, match=r"no training rows with template = .*: template, prompt, image are never on"):
        transfer_across(recording, "content", by="template", site="mid", step=1, spec=SPEC)
    recording.samples["own"] = recording.labels["content"]
    with pytest.raises(InputError, match=r"has 1 of the 3 classes of 'content'"):
        transfer_across(recording, "content", by="own", site="mid", step=1, spec=SPEC)


@pytest.mark.parametrize(
    ("name", "parts", "message"),
    [
        ("run", {}, "parts must be data sets by name, at least one: .* Got none"),
        ("run", ["a"], "Got list"),
        ("run", {"a": "runs/a"}, "Part 'a' must be an open data set"),
        ("", {"a": None}, "name must be that of a new sample column"),
    ],
)
def test_what_cannot_be_joined_is_refused_at_once(name: str, parts: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Joined(name, parts)


def test_a_join_of_the_name_of_a_column_is_refused(recording) -> None:
    with pytest.raises(InputError, match="has a sample column 'style' already"):
        Joined("style", {"a": recording})


def test_sites_of_other_widths_do_not_join(recording, new_recording) -> None:
    other = new_recording()
    other.arrays["mid", 1] = np.ones((240, 3))
    with pytest.raises(InputError, match=r"Site 'mid' has other shapes in other parts"):
        Joined("model", {"a": recording, "b": other}).activations("mid", step=1)
