"""The chain on the shipped, trained model, cut down to a size for tests; the notebook runs on what it records."""

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import outcrop as oc
from outcrop.capture.run import capture
from outcrop.capture.spec import CaptureSpec, parse_spec

FACTORS = {
    "content": ["disc", "star", "cross"],
    "style": ["flat", "neon", "hatched"],
    "layout": ["at the top left", "in the centre", "at the bottom"],
}
TEMPLATES = [
    "a {style} {content} {layout}",
    "{layout}, a {style} {content}",
    "a {content} {layout} in {style} style",
    "picture of one {content}, {style}, {layout}",
    "one {style} {content} {layout}",
]


@pytest.fixture(scope="module")
def spec() -> CaptureSpec:
    fields = {
        "model": "outcrop:unet",
        "prompts": {"factors": FACTORS, "templates": TEMPLATES, "wording": "cross"},
        "sites": ["blocks"],
        "steps": 8,
        "record": 2,
        "guidance": 3.0,
        "batch": 27,
    }
    return parse_spec(fields, where="the test")


@pytest.fixture(scope="module")
def recorded(spec: CaptureSpec, tmp_path_factory: pytest.TempPathFactory) -> oc.Dataset:
    return capture(spec, tmp_path_factory.mktemp("demo") / "run")


@pytest.fixture(scope="module")
def table(recorded: oc.Dataset) -> oc.ProbeTable:
    result = oc.probe(recorded)
    result.save(recorded.path / "probes")
    return result


@pytest.mark.parametrize("family", ["unet", "dit", "gan", "vae"])
def test_the_shipped_models_are_small_enough_to_ship(family: str) -> None:
    from outcrop.capture.models import locate_model

    place = Path(locate_model("outcrop:unet")).parent / family
    assert 0 < sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) <= 15e6


def test_every_property_is_decodable_somewhere_and_its_control_is_not(table: oc.ProbeTable) -> None:
    best = table.best().set_index("property")
    assert set(best.index) == {"content", "style", "layout"}
    assert (best["low"] > best["chance"]).all()
    assert (best["selectivity_low"] > 0).all()


def test_oc_capture_is_a_call_of_the_package(spec: CaptureSpec, recorded: oc.Dataset) -> None:
    again = oc.capture(spec, recorded.path)  # type: ignore[operator]  # docs/decisions/0003-callable-capture.md
    assert again.uuid == recorded.uuid
    assert len(again) == len(recorded)


def run_notebook(name: str) -> nbformat.NotebookNode:
    notebook = nbformat.read(Path(__file__).parents[1] / "notebooks" / name, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    return notebook


def shown(notebook: nbformat.NotebookNode, kind: str) -> list[str]:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output["data"][kind] for output in outputs if kind in output.get("data", {})]


def test_the_quick_tour_runs_and_draws_the_figures(
    recorded: oc.Dataset, table: oc.ProbeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(table.frame) > 0
    monkeypatch.setenv("OUTCROP_DATASET", str(recorded.path))
    assert len(shown(run_notebook("quick_tour.ipynb"), "image/png")) >= 3


def test_the_tour_of_the_data_set_runs_on_a_copy(
    recorded: oc.Dataset, contents: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTCROP_DATASET", str(recorded.path))
    before = contents(recorded.path)
    notebook = run_notebook("data_set.ipynb")
    assert "AnnData object with n_obs" in "".join(shown(notebook, "text/plain"))
    assert "Sites, in execution order" in shown(notebook, "text/html")[0]
    assert len(shown(notebook, "image/png")) == 1, "the gallery"
    assert contents(recorded.path) == before
