"""A table survives the disk and says what it holds."""

import json
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.text import Text

from outcrop.data.errors import DataError, InputError
from outcrop.probes.permutation import UntestedWarning
from outcrop.probes.sweep import ProbeSpec, probe
from outcrop.probes.table import ProbeTable


@pytest.fixture
def table(recording) -> ProbeTable:
    return probe(recording, spec=ProbeSpec(group_by=("template",), sites=("mid", "up.1"), bootstraps=50))


def test_saving_and_loading_gives_the_same(table: ProbeTable, tmp_path: Path) -> None:
    table.save(tmp_path / "probes")
    loaded = ProbeTable.load(tmp_path / "probes")
    pd.testing.assert_frame_equal(loaded.frame, table.frame)
    assert loaded.provenance == table.provenance
    assert set(loaded.weights) == set(table.weights)
    for key, weights in table.weights.items():
        assert (loaded.weights[key].coef == weights.coef).all()
        assert (loaded.weights[key].intercept == weights.intercept).all()


def test_the_stored_probe_reads_the_raw_activations(recording, table: ProbeTable) -> None:
    weights = table.weights["content/mid/1"]
    scores = recording.activations("mid", step=1).reshape(240, -1) @ weights.coef.T + weights.intercept
    named = [table.provenance["classes"]["content"][code] for code in scores.argmax(1)]
    assert (pd.Series(named, index=recording.labels.index) == recording.labels["content"]).mean() > 0.9


def test_the_best_cell_is_the_planted_one(table: ProbeTable) -> None:
    best = table.best().set_index("property")
    assert list(best.index) == ["content", "style"]
    assert tuple(best.loc["content", ["site", "step"]]) == ("mid", 1)
    text = table.to_text()
    assert "content" in text
    assert "never sharing template, prompt or image between training and test" in text


def test_what_was_asked_for_is_told_beside_the_accuracy(recording) -> None:
    """``style`` is made a property of its template, which has no p-value."""
    recording.labels["style"] = pd.factorize(recording.samples["template"])[0] % 3
    asked = {"permutations": 39, "code_length": True, "given": "up.1", "strengths": (0.1,), "controls": 1}
    spec = ProbeSpec(group_by=("template",), sites=("mid", "up.1"), steps=(1,), bootstraps=50, folds=3, **asked)
    with pytest.warns(UntestedWarning, match="'style' will have no p-values"):
        found = probe(recording, spec=spec)
    text, best = found.to_text(), found.best().iloc[0]
    for name in ("p_value", "q_value", "q_value_dependent", "code_length", "compression", "given_bits", "adds"):
        assert name in text
    assert f"{best['p_value']:.4f}" in text
    assert f"{best['adds_low']:.3f} to {best['adds_high']:.3f}" in text
    assert "content: q_value <= 0.05 in 1 of 2 cells" in text
    assert "style: no p-values, as groups determine it" in text


def test_one_cell_is_not_the_highest_of_many(recording) -> None:
    spec = ProbeSpec(group_by=("template",), sites=("mid",), steps=(1,), bootstraps=50, strengths=(0.1,))
    text = probe(recording, spec=spec).to_text()
    assert "One cell per property; 240 samples" in text
    assert "q_value" not in text


def test_provenance_states_what_was_grouped(table: ProbeTable) -> None:
    assert table.provenance["splits"]["scheme"] == "single"
    assert table.provenance["splits"]["kept_apart"] == ["template", "prompt", "image"]
    assert table.provenance["splits"]["balanced_over"] == ["content", "style"]
    assert table.provenance["splits"]["units"] == {"template": 12}
    assert table.provenance["spec"]["folds"] == 5


def test_what_cannot_be_read_is_named(table: ProbeTable, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no probe table in .*probes.json is missing"):
        ProbeTable.load(tmp_path)
    table.save(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"torn")
    with pytest.raises(DataError, match="cannot be read"):
        ProbeTable.load(tmp_path)
    record = json.loads((tmp_path / "probes.json").read_text())
    (tmp_path / "probes.json").write_text(json.dumps(record | {"format": 99}))
    with pytest.raises(DataError, match=r"format 99; this version of Outcrop reads format 1"):
        ProbeTable.load(tmp_path)


@pytest.mark.parametrize("kind", ["heatmap", "profiles", "steps", "selectivity"])
def test_it_draws_itself(table: ProbeTable, kind: str) -> None:
    figure = table.plot(kind, properties=["content"])
    assert figure.axes
    assert any("content" in text.get_text().lower() for text in figure.findobj(Text))


def test_a_kind_of_figure_that_is_none_is_named(table: ProbeTable) -> None:
    with pytest.raises(InputError, match=r"heatmap, profiles, steps, selectivity, heads\. Got 'pie'"):
        table.plot("pie")


def test_xarray_holds_the_same_numbers(table: ProbeTable) -> None:
    pytest.importorskip("xarray")
    cube = table.to_xarray()
    assert cube["accuracy"].dims == ("property", "site", "step")
    assert list(cube["site"].values) == ["mid", "up.1"]
    row = table.frame[(table.frame["property"] == "style") & (table.frame["site"] == "up.1")].iloc[2]
    assert float(cube["accuracy"].sel(property="style", site="up.1", step=2)) == row["accuracy"]


def test_it_shows_itself_in_a_line(table: ProbeTable) -> None:
    assert f"{len(table.frame)} rows" in repr(table)
    assert len(repr(table)) < 120


def test_a_path_in_place_of_a_data_set_is_told_how_to_open_it() -> None:
    with pytest.raises(InputError, match=r"oc\.open_dataset\('runs/demo'\)"):
        probe("runs/demo")  # type: ignore[arg-type]
