"""What commands show while they work."""

import threading

import pytest
from click.testing import CliRunner

from outcrop.cli import commands
from outcrop.console import progress, said_after


def test_a_new_piece_of_work_has_a_count_and_a_speed_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("study", "pictures") as update:
        for done in range(0, 101, 10):
            update(done, 100)
        for done in range(0, 41, 10):
            update(done, 40)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "study: 0 of 100 pictures"
    assert lines[10:12] == ["study: 100 of 100 pictures", "study: 0 of 40 pictures"]
    assert not any("about -" in line for line in lines)


def test_what_an_earlier_run_did_tells_nothing_of_the_speed(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("study", "pictures") as update:
        update(90, 100)
    assert capsys.readouterr().err == "study: 90 of 100 pictures\n"


def test_a_wait_is_told_of_unless_it_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    def end_timers() -> None:
        for thread in threading.enumerate():
            if isinstance(thread, threading.Timer):
                thread.join()

    with said_after(3600, "waiting for nothing") as come:
        come()
        end_timers()
    with said_after(0, "waiting for a worker"):
        end_timers()
    assert capsys.readouterr().err == "waiting for a worker\n"


@pytest.mark.parametrize("command", ["validate", "label", "report", "view", "share", "merge", "split", "push"])
def test_a_command_on_folders_names_the_copy_of_what_is_in_an_object_store(command: str) -> None:
    more = {"merge": ["--out", "parts"], "split": ["--out", "parts"], "push": ["hf://datasets/a/b"]}
    result = CliRunner().invoke(commands, [command, "s3://lab/runs/ds", *more.get(command, [])])
    assert result.exit_code == 2
    assert "Copy it first: aws s3 sync s3://lab/runs/ds runs/ds" in " ".join(result.output.split())
