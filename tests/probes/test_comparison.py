"""A difference between two cells is claimed when it is there, and as rarely as promised when it is not."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from outcrop.data.errors import DataError, InputError
from outcrop.probes.comparison import compare_cells, sign_flip_p_values
from outcrop.probes.sweep import ProbeSpec, probe
from outcrop.probes.table import OUTCOMES, ProbeTable


@pytest.fixture
def table(recording) -> ProbeTable:
    recording.labels.loc[recording.labels.index[:20], "content"] = None
    return probe(recording, spec=ProbeSpec(group_by=("template",), bootstraps=50, strengths=(0.1,), steps=(0, 1)))


def test_the_planted_cell_beats_every_other(table: ProbeTable) -> None:
    found = table.compare("content", site="mid", step=1)
    assert len(found) == 7
    assert (found["high"] < 0).all()
    assert (found["q_value"] < 0.05).all()
    frame = table.frame[table.frame["property"] == "content"].set_index(["site", "step"])["accuracy"]
    for row in found.itertuples():
        assert row.difference == pytest.approx(frame[row.site, row.step] - frame["mid", 1])


def test_nothing_beats_nothing(table: ProbeTable) -> None:
    found = table.compare("style", site="mid", step=1)
    assert (found["q_value"] > 0.05).all()
    assert (found["low"] <= found["difference"]).all()


def test_the_other_way_round_is_the_contrary(table: ProbeTable) -> None:
    there = table.compare("content", site="up.1", step=0).set_index(["site", "step"]).loc[("mid", 1)]
    back = table.compare("content", site="mid", step=1).set_index(["site", "step"]).loc[("up.1", 0)]
    assert there["difference"] == pytest.approx(-back["difference"])
    assert there["p_value"] == pytest.approx(back["p_value"])


def test_groups_that_differ_do_not_make_a_difference() -> None:
    """Groups whose sign is theirs as a whole: at most 10 % below 0.1, give or take three standard errors."""
    rng, groups = np.random.default_rng(0), np.arange(120) // 10
    differences = rng.choice([-1.0, 1.0], size=(300, 12))[:, groups] * rng.integers(0, 2, size=(300, 120))
    values = sign_flip_p_values(differences, groups, seed=0)
    assert (values <= 0.1).mean() <= 0.1 + 3 * np.sqrt(0.09 / 300)
    rows_alone = sign_flip_p_values(differences, np.arange(120), seed=0)
    assert (rows_alone <= 0.1).mean() > 0.3


def test_crossing_columns_have_an_interval_and_no_p_value(table: ProbeTable) -> None:
    outcomes = table.outcomes
    assert outcomes is not None
    crossed = type(outcomes)(outcomes.right, np.stack([outcomes.units[0], np.arange(240) // 20]))
    settings = {"site": "mid", "step": 1, "confidence": 0.95, "seed": 0}
    found = compare_cells(table.frame, crossed, "content", **settings)
    assert found["p_value"].isna().all()
    assert (found["low"] < found["high"]).all()


def test_outcomes_survive_the_disk_and_are_missed_by_name(table: ProbeTable, tmp_path: Path) -> None:
    table.save(tmp_path)
    before, after = table.compare("content", site="mid", step=1), ProbeTable.load(tmp_path)
    assert after.compare("content", site="mid", step=1).equals(before)
    (tmp_path / OUTCOMES).unlink()
    with pytest.raises(DataError, match=r"lacks outcomes\.safetensors"):
        ProbeTable.load(tmp_path).compare("content", site="mid", step=1)


def test_a_cell_that_is_not_there_is_named(table: ProbeTable) -> None:
    with pytest.raises(InputError, match="no row of property 'content' at site 'middle', step 1"):
        table.compare("content", site="middle", step=1)


def test_a_table_of_one_cell_has_nothing_to_compare(table: ProbeTable) -> None:
    chosen = ((table.frame["site"] == "mid") & (table.frame["step"] == 1)).to_numpy()
    outcomes = dataclasses.replace(table.outcomes, right=table.outcomes.right[chosen])
    alone = dataclasses.replace(table, frame=table.frame[chosen].reset_index(drop=True), outcomes=outcomes)
    assert repr(alone).startswith("ProbeTable of 2 rows (2 properties, 1 site, 1 step)")
    with pytest.raises(InputError, match="one cell of 'content': there is no other"):
        alone.compare("content", site="mid", step=1)


def test_what_is_shown_against_what_was_asked_for(recording) -> None:
    """The site follows the picture, which shows something else than the prompt in a third of the samples."""
    rng = np.random.default_rng(0)
    shown = recording.labels["content"].to_numpy().copy()
    recording.labels["content:oracle"] = shown
    asked = shown.copy()
    strayed = rng.random(240) < 0.33
    asked[strayed] = rng.permutation(asked[strayed])
    recording.labels["content"] = asked
    spec = ProbeSpec(group_by=("template",), sites=("mid",), bootstraps=20, strengths=(0.1,), controls=1)
    table = probe(recording, spec=spec)
    found = table.compare_properties("content:oracle", "content").set_index(["site", "step"])
    assert found.loc[("mid", 1), "low"] > 0.05
    assert found.loc[("mid", 1), "q_value"] < 0.05
    assert found.loc[("mid", 0), "q_value"] > 0.05
    accuracy = table.frame.set_index(["property", "step"])["accuracy"]
    expected = accuracy["content:oracle", 1] - accuracy["content", 1]
    assert found.loc[("mid", 1), "difference"] == pytest.approx(expected)
    with pytest.raises(InputError, match=r"no property 'colour'. Properties: 'content'"):
        table.compare_properties("colour", "content")
    with pytest.warns(UserWarning, match="'content' and 'style' are different questions"):
        table.compare_properties("content", "style")
