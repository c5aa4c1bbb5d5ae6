"""A table goes where nothing of another kind lies, and says whose table it replaces."""

import dataclasses
from pathlib import Path

import pytest

from outcrop.data.errors import ConflictError, InputError
from outcrop.probes.destination import check_destination
from outcrop.probes.sweep import ProbeSpec, probe

SPEC = ProbeSpec(group_by=("template",), sites=("mid",), steps=(1,), bootstraps=20, strengths=(1.0,), controls=1)


def test_the_same_sweep_and_an_empty_folder_are_silent_and_another_question_is_told(recording, tmp_path: Path) -> None:
    assert check_destination(tmp_path / "new", recording, SPEC) == ""
    probe(recording, spec=SPEC).save(tmp_path)
    assert check_destination(tmp_path, recording, SPEC) == ""
    other = dataclasses.replace(SPEC, steps=(0,), seed=3)
    told = check_destination(tmp_path, recording, other)
    assert told.endswith("is replaced at the end (other steps, seed); --out keeps it.")


def test_the_table_of_another_data_set_is_left_alone(recording, new_recording, tmp_path: Path) -> None:
    probe(recording, spec=SPEC).save(tmp_path)
    other = new_recording()
    other.uuid = "another"
    with pytest.raises(ConflictError, match=f"holds the table of another data set \\({recording.uuid}\\)"):
        check_destination(tmp_path, other, SPEC)


@pytest.mark.parametrize(("name", "held"), [("dataset.json", "a data set"), ("outcomes.json", "a study")])
def test_the_folder_of_something_else_is_left_alone(recording, tmp_path: Path, name: str, held: str) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(ConflictError, match=f"holds {held}"):
        check_destination(tmp_path, recording, SPEC)


def test_a_file_on_the_way_is_told_before_any_work(recording, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file is a file\. Expected a folder"):
        check_destination(tmp_path / "file" / "table", recording, SPEC)
