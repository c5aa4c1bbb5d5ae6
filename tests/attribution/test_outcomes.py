"""The table and the folder that a study leaves."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from outcrop.attribution.effects import cell_table
from outcrop.attribution.outcomes import COLUMNS, CellInfo, Outcomes, SiteInfo, StudyRecord, load_outcomes
from outcrop.attribution.summary import distance_table
from outcrop.data.errors import DataError

CELLS = (
    CellInfo(intervention="activation-patch", site="mid_block", window="0-3"),
    CellInfo(intervention="steering", site="up_blocks.1", window="2-3", dose=1.5, control="random-direction"),
)


@pytest.fixture
def study() -> Outcomes:
    sites = (SiteInfo(name="mid_block", role="bottleneck", depth=0.5, stream="image", shape=(8, 4, 4)),)
    record = StudyRecord(model="outcrop:unet", steps=4, guidance=3.0, sites=sites, cells=CELLS)
    pairs = pd.DataFrame(
        {"b_seed": [5, 6, 7], "a_content": ["disc", "star", "ring"]}, index=pd.RangeIndex(3, name="pair")
    )
    pictures = np.random.default_rng(0).integers(0, 256, (12, 4, 5, 3), np.uint8)
    return Outcomes(record, pairs, pictures[:6], pictures[6:9], pictures[9:])


def test_a_study_comes_back_as_it_was(study: Outcomes, tmp_path: Path) -> None:
    study.save(tmp_path / "study")
    back = load_outcomes(tmp_path / "study")
    assert back.record == study.record
    pd.testing.assert_frame_equal(back.pairs, study.pairs)
    pd.testing.assert_frame_equal(back.table, pd.read_parquet(tmp_path / "study" / "outcomes.parquet"))
    for name in ("images", "donors", "receivers"):
        np.testing.assert_array_equal(getattr(back, name), getattr(study, name))


def test_rows_and_pictures_are_in_one_order(study: Outcomes) -> None:
    assert tuple(study.table.columns) == COLUMNS
    assert list(study.table["pair"]) == [0, 1, 2, 0, 1, 2]
    assert list(study.table["seed"]) == [5, 6, 7, 5, 6, 7]
    second = study.table.index[study.table["site"] == "up_blocks.1"]
    np.testing.assert_array_equal(study.cell_images(1), study.images[second])
    assert study.table["dose"].isna().tolist() == [True] * 3 + [False] * 3
    assert study.sites.loc["mid_block", "role"] == "bottleneck"


def test_pictures_that_do_not_fit_the_rows_are_refused(study: Outcomes) -> None:
    with pytest.raises(DataError, match=r"images of 2 cells and 3 pairs must be uint8 of shape \(6"):
        Outcomes(study.record, study.pairs, study.images[:5], study.donors, study.receivers)


def test_a_folder_without_a_finished_study_is_told(study: Outcomes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no study"):
        load_outcomes(tmp_path)
    study.save(tmp_path)
    (tmp_path / "images.npy").rename(tmp_path / "other.npy")
    with pytest.raises(DataError, match=r"is not finished.*Run the same command"):
        load_outcomes(tmp_path)
    (tmp_path / "images.npy").write_bytes(b"torn")
    with pytest.raises(DataError, match="is damaged"):
        load_outcomes(tmp_path)
    fields = json.loads((tmp_path / "outcomes.json").read_text())
    (tmp_path / "outcomes.json").write_text(json.dumps(fields | {"version": 9}))
    with pytest.raises(DataError, match="must be of format"):
        load_outcomes(tmp_path)


def test_a_random_site_control_says_where_it_acts() -> None:
    elsewhere = ({"kind": "activation-patch", "sites": ["up_blocks.1"]},)
    moved = CELLS[0].model_copy(update={"control": "random-site", "interventions": elsewhere})
    assert [cell.taken for cell in (*CELLS, moved)] == [None, None, "up_blocks.1"]
    record = StudyRecord(model="outcrop:unet", steps=4, cells=(*CELLS, moved))
    pairs = pd.DataFrame({"b_seed": [5]}, index=pd.RangeIndex(1, name="pair"))
    pictures = np.random.default_rng(0).integers(0, 256, (5, 4, 5, 3), np.uint8)
    study = Outcomes(record, pairs, pictures[:3], pictures[3:4], pictures[4:])
    told = distance_table(study)
    assert told["taken"].dropna().to_dict() == {2: "up_blocks.1"}
    assert list(told["site"]) == ["mid_block", "up_blocks.1", "mid_block"]
    assert cell_table(study)["taken"].dropna().to_dict() == {2: "up_blocks.1"}
