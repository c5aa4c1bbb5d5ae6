from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from outcrop.attribution.descriptors import Colour
from outcrop.attribution.effect_table import COLUMNS, EffectTable
from outcrop.attribution.effects import effects
from outcrop.attribution.outcomes import CellInfo, Outcomes
from outcrop.attribution.readouts import Classifier, Images
from outcrop.attribution.scores import DONOR, NEITHER, NOT_READ, RECEIVER, class_scores, distance_scores, select_cells
from outcrop.data.errors import DataError, InputError

PLANTED = {"down.0": {}, "mid": {"content": 1.0}, "up.0": {"style": 0.5}, "up.1": {"content": 1.0, "style": 1.0}}
New = Callable[..., Outcomes]


def rows(table: EffectTable, property_name: str) -> pd.DataFrame:
    frame = table.frame
    return frame[(frame["property"] == property_name) & (frame["control"] == "none")].set_index("site")


def test_planted_effects_are_found_and_nothing_else(new_outcomes: New, reader: Classifier) -> None:
    table = effects(new_outcomes(PLANTED), [reader])
    assert tuple(table.frame.columns) == COLUMNS
    content, style, layout = (rows(table, name) for name in ("content", "style", "layout"))
    np.testing.assert_allclose(content["effect"], [0, 1, 0, 1], atol=1e-9)
    np.testing.assert_allclose(content["donor"], [0, 1, 0, 1])
    np.testing.assert_allclose(content["necessity"], [0, 1, 0, 1], atol=1e-9)
    half = style.loc["up.0"]
    assert half["low"] < 0.5 < half["high"]
    assert half["effect"] == pytest.approx(half["donor"])
    assert 0.1 < half["high"] - half["low"] < 0.35
    assert (layout["effect"] == 0).all()
    assert (layout["q_value"] == 1).all()
    assert set(content.index[content["q_value"] < 0.01]) == {"mid", "up.1"}
    np.testing.assert_allclose(content[["donor", "receiver", "neither"]].sum(axis="columns"), 1)
    assert (content["donor_low"] < content["donor"] + 1e-9).all()
    assert list(content["depth"]) == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_a_destroyed_picture_has_lost_the_receiver_but_not_gone_to_the_donor(
    new_outcomes: New, reader: Classifier
) -> None:
    table = effects(new_outcomes({"mid": {}}, n=400, stray=1.0), [reader])
    for name in ("content", "style", "layout"):
        row = rows(table, name).loc["mid"]
        assert row["low"] < 0 < row["high"]
        assert row["necessity"] > 0.55
        assert row["donor"] > 0.15  # by luck, which the share does not know of


def test_controls_of_the_same_cell_are_taken_off_pair_by_pair(new_outcomes: New, reader: Classifier) -> None:
    cells = [CellInfo(intervention="patch", site=site, window="0-9") for site in ("mid", "up.0")]
    controls = [cell.model_copy(update={"control": "random-direction"}) for cell in cells]
    outcomes = new_outcomes(PLANTED, cells=(*cells, *controls))
    found = rows(effects(outcomes, [reader]), "content")
    np.testing.assert_allclose(found["over_control"], found["effect"], atol=1e-12)
    same = new_outcomes({"mid": {"content": 1.0}, "up.0": {}}, cells=(cells[0], controls[1]))
    assert rows(effects(same, [reader]), "content").loc["mid", "over_control"] == pytest.approx(1)
    without = rows(effects(new_outcomes(PLANTED), [reader]), "content")
    assert without["over_control"].isna().all()


def test_a_cell_that_does_nothing_is_not_found_because_its_control_does(new_outcomes: New, reader: Classifier) -> None:
    idle = CellInfo(intervention="patch", site="mid", window="0-9")
    strong = idle.model_copy(update={"control": "random-site"})
    outcomes = new_outcomes({}, cells=(idle, strong))
    outcomes.images[len(outcomes.pairs) :] = outcomes.donors
    found = rows(effects(outcomes, [reader]), "content").loc["mid"]
    assert (found["effect"], found["over_control"]) == pytest.approx((0, -1))
    assert found["q_value"] == 1
    outcomes.images[: len(outcomes.pairs)] = outcomes.donors  # as much as its control
    found = rows(effects(outcomes, [reader]), "content").loc["mid"]
    assert (found["effect"], found["over_control"]) == pytest.approx((1, 0))
    assert found["q_value"] == 1


def test_a_cell_must_do_more_than_every_kind_of_its_controls(new_outcomes: New, reader: Classifier) -> None:
    own = CellInfo(intervention="patch", site="mid", window="0-9")
    kinds = [own.model_copy(update={"control": kind}) for kind in ("random-direction", "random-site")]
    outcomes = new_outcomes({}, cells=(own, *kinds))
    n = len(outcomes.pairs)
    outcomes.receivers[:2] = outcomes.donors[:2]  # not what was asked for: pairs that cannot be read
    outcomes.images[:n] = outcomes.donors
    assert not any(one.read.all() for one in effects(outcomes, [reader]).scores.values())
    for name in ("content", "style", "layout"):
        found = rows(effects(outcomes, [reader]), name).loc["mid"]
        assert (found["effect"], found["over_control"]) == pytest.approx((1, 1))
        assert found["q_value"] < 0.01
    outcomes.images[2 * n :] = outcomes.donors  # another site does as much, a random direction still nothing
    for name in ("content", "style", "layout"):
        found = rows(effects(outcomes, [reader]), name).loc["mid"]
        assert (found["effect"], found["over_control"]) == pytest.approx((1, 0))
        assert found["q_value"] == 1


def test_nothing_is_found_where_nothing_was_planted(new_outcomes: New, reader: Classifier) -> None:
    claimed = 0
    for seed in range(12):
        table = effects(new_outcomes({site: {} for site in PLANTED}, n=30, seed=seed, stray=0.3), [reader])
        claimed += int((table.frame["q_value"] <= 0.05).any())
    assert claimed <= 2


def test_two_sites_that_do_the_same_are_redundant_and_two_that_need_each_other_joint(
    new_outcomes: New, reader: Classifier
) -> None:
    follow = {
        "mid": {"content": 1.0, "layout": 0.3}, "up.0": {"content": 1.0, "layout": 0.3},
        "mid+up.0": {"content": 1.0, "style": 1.0, "layout": 0.6},
    }  # fmt: skip
    table = effects(new_outcomes(follow, n=80), [reader])
    cells = [table.cell(site) for site in follow]
    found = table.interaction(*cells).set_index("property")
    assert list(found["reading"]) == ["redundant", "joint", "undecided"]
    assert found.loc["content", "interaction"] == pytest.approx(-1)
    assert found.loc["style", "interaction"] == pytest.approx(1)
    with pytest.raises(InputError, match=r"no cell of site 'mdi'.*mid"):
        table.cell("mdi")
    with pytest.raises(InputError, match=r"has cells 0 to 2\. Got 99"):
        table.interaction(0, 1, 99)


def test_what_is_printed_says_what_was_not_read_and_what_rests_on_few(new_outcomes: New, reader: Classifier) -> None:
    outcomes = new_outcomes(PLANTED, n=12)
    same = outcomes.pairs.assign(a_style=outcomes.pairs["b_style"])
    few = Outcomes(outcomes.record, same, outcomes.images, outcomes.donors, outcomes.receivers)
    steered = pd.Series(range(len(PLANTED)), dtype=float)
    table = effects(few, [reader])
    frame = table.frame.assign(dose=table.frame["cell"].map(steered / 2))
    frame.loc[frame["property"] == "layout", "n"] = 4
    text = EffectTable(frame, table.scores, table.provenance).to_text()
    assert "nan" not in text
    assert "shows what was asked for: style." in text
    assert "Fewer than 10 pairs: layout 4." in text
    assert text.splitlines()[0].split()[3] == "dose"


def test_only_pairs_count_that_differ_and_show_what_was_asked() -> None:
    made = np.full((2, 4, 3), 1 / 3)
    donors, receivers = np.eye(3)[[0, 0, 0, 1]], np.eye(3)[[1, 0, 1, 2]]
    asked = np.array([[0, 0, 2, -1], [1, 0, 1, -1]])
    scores = class_scores(made, donors, receivers, asked=asked)
    np.testing.assert_array_equal(scores.read, [True, False, False, True])
    np.testing.assert_allclose(scores.toward[:, scores.read], 0, atol=1e-9)
    assert (scores.state[:, 1] == NOT_READ).all()


def test_states_by_distance() -> None:
    near = distance_scores(
        np.array([[0.1, 0.9, 0.8, 0.0]]), np.array([[0.9, 0.1, 0.8, 0.0]]), np.array([1.0, 1.0, 1.0, 0.01]), least=0.1
    )
    np.testing.assert_array_equal(near.state, [[DONOR, RECEIVER, NEITHER, NOT_READ]])
    np.testing.assert_allclose(near.toward[0, :3], [0.9, 0.1, 0.2])


def test_a_descriptor_beside_a_classifier(new_outcomes: New, reader: Classifier) -> None:
    class Red(Colour):
        """Distance of the red channel, in which the planted content stands."""

        def describe(self, images: Images) -> np.ndarray:
            return images[..., 0].mean((1, 2), keepdims=False)[:, None]

        def distance(self, features: np.ndarray, others: np.ndarray) -> np.ndarray:
            return np.abs(features - others)[:, 0] / 255

    table = effects(new_outcomes(PLANTED), [reader, Red(name="redness")])
    assert table.properties == ("content", "style", "layout", "redness")
    np.testing.assert_allclose(rows(table, "redness")["effect"], rows(table, "content")["effect"], atol=1e-9)
    with pytest.raises(InputError, match="Read twice: content"):
        effects(new_outcomes(PLANTED), [reader, reader])


def test_pairs_that_cannot_be_read_are_refused(new_outcomes: New, reader: Classifier) -> None:
    outcomes = new_outcomes(PLANTED)
    blind = Outcomes(outcomes.record, outcomes.pairs, outcomes.images, outcomes.donors, outcomes.donors)
    with pytest.raises(InputError, match="None of the 60 pairs can be read"):
        effects(blind, [reader])
    with pytest.raises(InputError, match="at least one readout"):
        effects(outcomes, [])


def test_a_table_comes_back_from_disk(new_outcomes: New, reader: Classifier, tmp_path: Path) -> None:
    table = effects(new_outcomes(PLANTED), [reader])
    table.save(tmp_path)
    again = EffectTable.load(tmp_path)
    pd.testing.assert_frame_equal(again.frame, table.frame)
    assert again.properties == table.properties
    assert again.provenance == table.provenance
    np.testing.assert_array_equal(again.scores["style"].toward, table.scores["style"].toward)
    assert "up.1" in again.to_text()
    (tmp_path / "scores.safetensors").write_bytes(b"torn")
    with pytest.raises(DataError, match="cannot be read"):
        EffectTable.load(tmp_path)
    with pytest.raises(DataError, match=r"effects\.json is missing"):
        EffectTable.load(tmp_path / "elsewhere")


def test_some_cells_only(new_outcomes: New, reader: Classifier) -> None:
    table = effects(new_outcomes(PLANTED), [reader])
    some = select_cells(table.scores, [3, 1])
    np.testing.assert_array_equal(some["content"].toward[1], table.scores["content"].toward[1])
