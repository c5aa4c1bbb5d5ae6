"""Studies on disk: interrupted and gone on with, from the command line, with donors from a data set."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from outcrop.attribution.outcomes import load_outcomes
from outcrop.attribution.prepare import prepare_study
from outcrop.attribution.run import execute, run_study
from outcrop.attribution.study import StudySpec
from outcrop.capture.run import capture
from outcrop.capture.spec import parse_spec
from outcrop.data.errors import DataError

NewStudy = Callable[..., StudySpec]
Run = Callable[..., tuple[int, str, str]]
CELLS = [
    {"intervention": {"kind": "activation-patch", "sites": ["layers.?"]}, "windows": 3},
    {"interventions": [{"kind": "ablation", "sites": ["layers.1"], "value": "resample"}]},
    {"intervention": {"kind": "ablation", "sites": ["layers.?"], "value": "zero"}},
]


class StoppedError(Exception):
    pass


def test_an_interrupted_study_goes_on_where_it_stopped(new_study: NewStudy, tmp_path: Path) -> None:
    spec = new_study("planted", CELLS, steps=6, guidance=1.0, batch=8)
    whole = run_study(spec)

    def stop(done: int, planned: int) -> None:
        if done > planned / 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        run_study(spec, tmp_path / "study", progress=stop)
    with pytest.raises(DataError, match="is not finished"):
        load_outcomes(tmp_path / "study")
    study, ran = prepare_study(spec), []
    handle = study.model.register_forward_hook(lambda *_: ran.append(1))
    told: list[tuple[int, int]] = []
    resumed = execute(study, tmp_path / "study", progress=lambda done, planned: told.append((done, planned)))
    assert told[0][0] > told[0][1] / 2
    assert told[-1][0] == told[-1][1]
    left = len(ran)
    execute(study, None)
    handle.remove()
    assert 0 < left < (len(ran) - left)
    for name in ("images", "donors", "receivers"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name))
    assert not (tmp_path / "study" / "parts").exists()
    assert resumed.table.equals(load_outcomes(tmp_path / "study").table)


def test_donors_from_a_data_set_are_those_of_a_second_pass(
    new_study: NewStudy, model_of: Callable[[str], str], tmp_path: Path
) -> None:
    fields: dict[str, Any] = {"model": model_of("decoder"), "prompts": {"texts": ["x"]}, "sites": ["up_blocks.0"]}
    fields |= {"reduction": "full", "dtype": "float32", "steps": 1, "guidance": 1.0, "half": "cond"}
    spec = parse_spec(fields | {"seeds": {"first": 20, "per_prompt": 3}}, where="the test")
    ds = capture(spec, tmp_path / "ds")
    ids = [str(name) for name in ds.samples.sort_values("seed").index]
    patch = {"kind": "activation-patch", "sites": ["up_blocks.0"]}
    recorded = patch | {"dataset": str(tmp_path / "ds"), "samples": ids}
    outcomes = run_study(new_study("decoder", [{"interventions": [patch]}, {"interventions": [recorded]}]))
    second, stored = (outcomes.cell_images(cell).astype(int) for cell in range(2))
    assert np.abs(second - stored).max() <= 1
    assert (stored != outcomes.receivers).any(axis=(1, 2, 3)).all()


@pytest.fixture
def flags(model_of: Callable[[str], str], tmp_path: Path) -> list[str]:
    (tmp_path / "p.csv").write_text("prompt,shape\na disc,disc\na large star,star\na ring of light,ring\n")
    given = ["attribute", "--model", model_of("planted"), "--prompts", str(tmp_path / "p.csv"), "--pairs", "3"]
    return [*given, "--steps", "6", "--guidance", "1", "--out", str(tmp_path / "study")]


def test_the_command_forecasts_runs_and_tells_how_far_pictures_moved(
    run: Run, flags: list[str], tmp_path: Path
) -> None:
    asked = [*flags, "--kind", "layer-swap", "--site", "layers.?", "--windows", "3", "--json"]
    code, out, _ = run(*asked, "--dry-run")
    expected = json.loads(out)
    assert code == 0
    assert (expected["cells"], expected["images"], expected["done"]) == (12, 36, 0)
    assert expected["passes"] < expected["full_passes"]
    assert not (tmp_path / "study").exists()
    told = run(*asked[:-1], "--dry-run")[1]
    assert "36 pictures, and 6 of donors and receivers: 42 in" in told  # as the progress counts them
    assert "a row is one picture in a batch" in told
    code, out, err = run(*asked)
    assert code == 0
    assert "attribute: 42 of 42 pictures" in err
    for row in json.loads(out):
        planted = (row["site"], row["window"]) == ("layers.2", "2-3")
        assert (row["to_donor"], row["to_receiver"]) == ((0, 1) if planted else (1, 0))
    assert run(*asked)[1] == out


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        ([], 2, "Give a CONFIG, or --model, --kind and --site"),
        (["--head", "1"], 2, "belong to a --kind"),
        (["--kind", "lesion", "--site", "all"], 2, "Invalid value for '--kind'"),
        (["--kind", "ablation", "--site", "layer.2"], 1, "Did you mean 'layers.2'"),
        (["--kind", "ablation", "--site", "2"], 1, "bare index"),
        (["--kind", "ablation", "--site", "all", "--windows", "0"], 2, "0 is not in the range x>=1"),
        (["--kind", "ablation", "--site", "all", "--device", "warp"], 1, "Device 'warp' is not available here"),
        (["--kind", "ablation", "--site", "all", "--effects", "--clip", "./none"], 1, "no folder ./none"),
        (["--kind", "ablation", "--site", "all", "--windows", "7"], 1, "can be cut into 1 to 6 windows"),
        (["--kind", "head-scaling", "--site", "layers.2", "--head", "0"], 1, "is no attention"),
        (["--kind", "ablation", "--site", "all", "--differ", "colour"], 1, "cannot differ in ['colour']"),
        (["--kind", "ablation", "--site", "all", "--half", "uncond"], 1, "is not run without the prompt"),
    ],
)
def test_a_bad_request_is_refused_before_anything_is_written(
    run: Run, flags: list[str], tmp_path: Path, more: list[str], code: int, message: str
) -> None:
    ended, out, err = run(*flags, *more)
    assert (ended, out) == (code, "")
    assert message in err
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--kind", "prompt-injection", "--site", "all"], 1, "outcrop:vae is told no prompt that could be replaced"),
        (["--kind", "ablation", "--site", "all", "--effects", "--clip", "w"], 2, "leave --clip out"),
    ],
)
def test_what_a_shipped_model_has_no_use_for_is_refused(
    run: Run, tmp_path: Path, more: list[str], code: int, message: str
) -> None:
    ended, _, err = run("attribute", "--model", "outcrop:vae", "--pairs", "2", "--out", str(tmp_path / "study"), *more)
    assert (ended, message in err) == (code, True)
    assert not (tmp_path / "study").exists()


def test_another_studys_folder_is_left_alone(run: Run, flags: list[str], tmp_path: Path) -> None:
    asked = [*flags, "--kind", "ablation", "--value", "zero"]
    assert run(*asked, "--site", "layers.1")[0] == 0
    before = (tmp_path / "study" / "images.npy").read_bytes()
    code, _, err = run(*asked, "--site", "layers.2")
    assert code == 1
    assert "holds another study" in err
    assert (tmp_path / "study" / "images.npy").read_bytes() == before
    code, _, err = run(*asked, "--site", "layers.2", "--dry-run")
    assert (code, "holds another study" in err) == (1, True)


@pytest.mark.parametrize(
    ("mark", "held"), [("dataset.json", "a recorded data set"), ("verdict.json", "the verdict of a recipe")]
)
def test_a_folder_of_another_kind_is_left_alone(
    run: Run, flags: list[str], tmp_path: Path, mark: str, held: str
) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / mark).write_text("{}")
    code, _, err = run(*flags, "--kind", "ablation", "--value", "zero", "--site", "layers.1")
    assert (code, f"study holds {held}" in err) == (1, True)
    assert [path.name for path in (tmp_path / "study").iterdir()] == [mark]
