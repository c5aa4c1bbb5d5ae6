"""A sweep that was stopped goes on where it was, and ends in the same table."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from outcrop.data.errors import DataError
from outcrop.probes.sweep import ProbeSpec, probe

SPEC = ProbeSpec(
    group_by=("template",),
    sites=("mid", "up.1"),
    bootstraps=20,
    strengths=(0.1, 1.0),
    permutations=19,
    code_length=True,
)


class StoppedError(Exception):
    pass


def stop_at(cell: int):
    def progress(done: int, _total: int) -> None:
        if done == cell:
            raise StoppedError

    return progress


def test_a_resumed_sweep_ends_in_the_same_table_and_repeats_nothing(recording, tmp_path: Path) -> None:
    expected = probe(recording, spec=SPEC)
    with pytest.raises(StoppedError):
        probe(recording, spec=SPEC, progress=stop_at(4), resume=tmp_path)
    read: list[tuple[str, int]] = []
    activations = recording.activations
    recording.activations = lambda site, *, step: read.append((site, step)) or activations(site, step=step)
    calls: list[tuple[int, int]] = []
    table = probe(recording, spec=SPEC, progress=lambda *at: calls.append(at), resume=tmp_path)
    assert read == [("up.1", 1), ("up.1", 2)]
    assert calls == [(4, 6), (5, 6), (6, 6)]
    pd.testing.assert_frame_equal(table.frame, expected.frame)
    for key, weights in expected.weights.items():
        np.testing.assert_array_equal(table.weights[key].coef, weights.coef)
        np.testing.assert_array_equal(table.weights[key].intercept, weights.intercept)
    table.save(tmp_path)
    assert not list(tmp_path.glob("unfinished-*"))


def test_another_question_starts_anew(recording, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        probe(recording, spec=SPEC, progress=stop_at(2), resume=tmp_path)
    calls: list[tuple[int, int]] = []
    other = ProbeSpec(group_by=("template",), sites=("mid",), steps=(0,), bootstraps=20, strengths=(1.0,))
    probe(recording, spec=other, progress=lambda *at: calls.append(at), resume=tmp_path)
    assert calls == [(1, 1)]
    recording.labels["content"] = recording.labels["content"].to_numpy()[::-1]
    with pytest.raises(StoppedError):
        probe(recording, spec=SPEC, progress=stop_at(1), resume=tmp_path)


def test_a_damaged_cell_is_named(recording, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        probe(recording, spec=SPEC, progress=stop_at(1), resume=tmp_path)
    (cell,) = tmp_path.glob("unfinished-*/000000.safetensors")
    cell.write_bytes(b"torn")
    with pytest.raises(DataError, match=r"000000.safetensors is damaged.*Remove it"):
        probe(recording, spec=SPEC, resume=tmp_path)


def test_a_site_that_is_the_same_at_every_step_is_fitted_once(recording) -> None:
    for step in range(3):
        recording.arrays["up.1", step] = recording.arrays["mid", 1]
    spec = ProbeSpec(group_by=("template",), sites=("up.1",), bootstraps=20, strengths=(0.1,))
    frame = probe(recording, spec=spec).frame.set_index(["property", "step"])
    assert (frame.loc["content"]["accuracy"].nunique(), frame.loc["content"]["low"].nunique()) == (1, 1)
    assert frame.loc["content"]["accuracy"].iloc[0] > 0.9


def test_progress_true_shows_a_bar_on_standard_error(recording, capsys: pytest.CaptureFixture[str]) -> None:
    spec = ProbeSpec(group_by=("template",), sites=("mid",), bootstraps=20, strengths=(0.1,))
    probe(recording, spec=spec, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "3/3" in err
