"""The chain on the shipped, trained model, cut down to a size for tests; the notebooks run on what it records."""

import re
import textwrap
from collections.abc import Callable, Iterable
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


NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
SHOWS = {
    "quick_tour": (3, "Highest of 18 cells per property"),
    "data_set": (1, "AnnData object with n_obs"),
    "own_model": (2, "3 sites x 1 steps"),
    "probing_done_right": (2, "lottery"),
    "attribution": (2, "b-lora on outcrop:unet"),
    "strict_or_broad": (2, "'outcrop:vae': '0.00 (0.00 to 0.00)'"),
    "sharing": (1, "0 errors before\nerror: shards/000/s000000.h5"),
}
"""How many figures each notebook shows at least, and what it says."""


@pytest.fixture
def notebooks() -> dict[str, nbformat.NotebookNode]:
    return {path.stem: nbformat.read(path, as_version=4) for path in NOTEBOOKS.glob("*.ipynb")}


def test_notebooks_are_committed_without_outputs(notebooks: dict[str, nbformat.NotebookNode]) -> None:
    assert set(notebooks) == set(SHOWS)
    assert not [name for name, notebook in notebooks.items() for cell in notebook.cells if cell.get("outputs")]


def run_together(notebooks: Iterable[nbformat.NotebookNode]) -> None:
    """Run notebooks in one kernel, which forgets all names between them: what they import is loaded once."""
    cells = [cell for notebook in notebooks for cell in (*notebook.cells, nbformat.v4.new_code_cell("%reset -f"))]
    together = nbformat.NotebookNode(nbformat=4, nbformat_minor=5, metadata={}, cells=cells)
    NotebookClient(together, timeout=300, kernel_name="python3").execute()


def test_the_notebooks_run_and_leave_the_data_set_as_it_is(
    recorded: oc.Dataset,
    table: oc.ProbeTable,
    notebooks: dict[str, nbformat.NotebookNode],
    contents: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert len(table.frame) > 0  # the quick tour finds it beside the data set
    before = contents(recorded.path)
    monkeypatch.setenv("OUTCROP_DATASET", str(recorded.path))
    monkeypatch.setenv("OUTCROP_SMALL", "yes")
    run_together(notebooks.values())
    assert contents(recorded.path) == before
    for name, (figures, words) in SHOWS.items():
        outputs = [output for cell in notebooks[name].cells for output in cell.get("outputs", [])]
        shown = [output.get("data", {}) for output in outputs]
        said = [*(output.get("text", "") for output in outputs), *(data.get("text/plain", "") for data in shown)]
        assert sum("image/png" in data for data in shown) >= figures, name
        assert words in "\n".join(said), name


@pytest.mark.filterwarnings("ignore:At most", "ignore:The learning curve begins later")  # so few samples, so clear
def test_the_python_of_the_page_on_probes_runs_as_written(
    recorded: oc.Dataset, table: oc.ProbeTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[1] / "docs" / "probes.md").read_text()
    blocks = re.findall(r"\n\n((?:    [^\n]*\n|\n)+)", page)
    python = [block for block in blocks if re.search("^    (import|from) ", block, re.MULTILINE)]
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(recorded.path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(textwrap.dedent("\n".join(python)), names)  # what the page tells a reader to type
    assert isinstance(names["table"], oc.ProbeTable)
    assert len(names["table"].frame) == len(table.frame)
