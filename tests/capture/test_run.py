"""A capture from end to end on the tiny pipeline: what it writes, what it refuses, and going on after a kill."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from outcrop.capture.forecast import forecast
from outcrop.capture.hooks import Recorder
from outcrop.capture.reduction import Reduction
from outcrop.capture.run import capture
from outcrop.capture.sites import select_sites
from outcrop.capture.source import DiffusersSource
from outcrop.capture.spec import CaptureSpec
from outcrop.data.dataset import Dataset, open_dataset
from outcrop.data.errors import ConflictError, DataError, InputError
from outcrop.data.samples import Sample

KILLS = int(os.environ.get("OUTCROP_KILLS", "3"))
NewSpec = Callable[..., CaptureSpec]


@pytest.fixture(scope="module")
def whole(new_spec: NewSpec, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The uninterrupted capture of ``new_spec()``."""
    return capture(new_spec(), tmp_path_factory.mktemp("whole") / "ds")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the lock."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_data_set_holds_what_a_recorder_reads(whole: Dataset, source: DiffusersSource) -> None:
    rows = whole.samples.iloc[2:4]
    samples = [Sample(str(name), row["prompt"], int(row["seed"])) for name, row in rows.iterrows()]
    sites = select_sites(source.sites(), list(whole.sites.index))
    settings = {"steps": (0, 2), "reduction": Reduction("mean"), "dtype": "float16", "half": "cond"}
    with Recorder(source.denoiser, sites, **settings) as recorder:
        recorder.begin(2)
        images = source.generate(samples, steps=3, guidance=3.0)
        recorded = recorder.take()
    for site, values in recorded.items():
        for step in whole.steps.index:
            np.testing.assert_array_equal(whole.activations(site, step=step)[2:4], values[step])
    kept = np.stack([np.asarray(image) for image in whole.images(list(rows.index))])
    np.testing.assert_array_equal(kept, images)


def test_every_sample_has_its_prompt_labels_seed_and_image(whole: Dataset) -> None:
    assert len(whole) == 6
    assert list(whole.labels) == ["content", "style"]
    for row in whole.samples.itertuples():
        assert row.prompt == f"a {row.style} {row.content}"
    assert list(whole.samples["seed"]) == list(range(6))
    assert whole.samples.index.is_unique
    assert len(whole.images()) == 6
    assert list(whole.sites.index) == [site["name"] for site in whole.info.model_dump()["sites"]]
    assert list(whole.steps["noise"]) == sorted(whole.steps["noise"], reverse=True)
    assert whole.info.spec["guidance"] == 3.0
    assert len(whole.info.provenance["weights_sha256"]) == 64


def test_a_finished_capture_is_opened_not_made_again(whole: Dataset, new_spec: NewSpec) -> None:
    before = contents(whole.path)
    told: list[tuple[int, int]] = []
    again = capture(new_spec(), whole.path, progress=lambda done, planned: told.append((done, planned)))
    assert told == [(6, 6)]
    assert again.uuid == whole.uuid
    assert contents(whole.path) == before


def test_progress_counts_the_samples(tmp_path: Path, new_spec: NewSpec) -> None:
    told: list[tuple[int, int]] = []
    capture(new_spec(), tmp_path / "ds", progress=lambda done, planned: told.append((done, planned)))
    assert told == [(done, 6) for done in (0, 2, 4, 6)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"guidance": 5.0}, "guidance: there 3.0, here 5.0"),
        ({"steps": 4}, "steps: there 3, here 4"),
        ({"prompts": {"texts": ["a disc"]}}, "prompts: there"),
    ],
)
def test_another_configuration_is_refused(
    whole: Dataset, new_spec: NewSpec, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConflictError, match=message):
        capture(new_spec(**changes), whole.path)


def test_the_guidance_that_is_left_out_is_the_one_that_is_stored(tmp_path: Path, new_spec: NewSpec) -> None:
    given = {"prompts": {"texts": ["a disc"]}, "steps": 1, "record": None}
    ds = capture(new_spec(guidance=None, **given), tmp_path / "ds")
    assert ds.info.spec["guidance"] == 7.5
    assert capture(new_spec(guidance=7.5, **given), tmp_path / "ds").uuid == ds.uuid


def test_without_images_none_is_written_or_promised(tmp_path: Path, new_spec: NewSpec) -> None:
    ds = capture(new_spec(images=False, prompts={"texts": ["a disc"]}, steps=1, record=None), tmp_path / "ds")
    assert not (tmp_path / "ds" / "images").exists()
    assert list(ds.samples["image"]) == [""]
    with pytest.raises(DataError, match="captured without images"):
        ds.images()


def test_both_halves_of_every_sample(tmp_path: Path, new_spec: NewSpec, whole: Dataset) -> None:
    ds = capture(new_spec(half="both"), tmp_path / "ds")
    for site in ds.sites.index:
        values = ds.activations(site, step=1)
        np.testing.assert_array_equal(values[:, 1], whole.activations(site, step=1))
        assert (values[:, 0] != values[:, 1]).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sites": ["mid_blok"]}, "Did you mean 'mid_block'"),
        ({"half": "uncond", "guidance": 1.0}, "half='uncond' needs guidance above 1"),
        ({"prompts": {"file": "nothing.csv"}}, "There is no prompt file nothing.csv"),
        ({"device": "warp"}, "Device 'warp' is not available here"),
        ({"model": "outcrop:unnet"}, "There is no shipped model 'outcrop:unnet'"),
        ({"model": "./nothing"}, "is none of: a shipped model"),
        ({"reduction": "grid:2", "sites": ["conv_out", "*.transformer_blocks.0"]}, None),
    ],
)
def test_a_request_that_cannot_work_writes_nothing(
    tmp_path: Path, new_spec: NewSpec, changes: dict[str, object], message: str | None
) -> None:
    if message is None:
        assert forecast(new_spec(**changes), tmp_path).sites > 1
        return
    with pytest.raises(InputError, match=message):
        capture(new_spec(**changes), tmp_path / "ds")
    assert not (tmp_path / "ds").exists()


def test_a_model_that_does_not_load_is_told(tmp_path: Path, tiny_model: Path, new_spec: NewSpec) -> None:
    broken = tmp_path / "broken"
    for path in tiny_model.rglob("*"):
        if path.is_file():
            target = broken / path.relative_to(tiny_model)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    weights = broken / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="could not be loaded"):
        capture(new_spec(model=str(broken)), tmp_path / "ds")


def test_the_forecast_is_what_the_capture_takes(tmp_path: Path, new_spec: NewSpec, whole: Dataset) -> None:
    expected = forecast(new_spec(), tmp_path / "not" / "there")
    shards = sorted((whole.path / "shards").rglob("*.h5"))
    stored = sum(whole.activations(site, step=step).nbytes for site in whole.sites.index for step in whole.steps.index)
    assert (expected.samples, expected.sites, expected.steps) == (6, 3, 2)
    assert expected.shards == len(shards)
    assert expected.total_bytes == stored
    assert "6 samples x 3 sites x 2 steps" in expected.to_text()
    assert not (tmp_path / "not").exists()


def run_until(deadly: int, spec: CaptureSpec, out: Path) -> int:
    """Capture in a child that kills itself at its ``deadly``-th touch of a file in ``out``; how it ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    touched = 0

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal touched
        if event in {"open", "os.rename", "os.truncate", "os.mkdir"} and str(out) in str(arguments[0]):
            touched += 1
            if touched == deadly:
                os.kill(os.getpid(), signal.SIGKILL)

    status = 1
    try:
        sys.addaudithook(audit)
        capture(spec, out)
        status = 0
    finally:
        os._exit(status)


@pytest.mark.parametrize("seed", range(KILLS))
def test_killed_anywhere_and_gone_on_it_is_the_same_to_the_byte(
    tmp_path: Path, new_spec: NewSpec, whole: Dataset, seed: int
) -> None:
    out, draw = tmp_path / "ds", random.Random(seed)
    killed = [run_until(draw.randint(1, 75), new_spec(), out) for _ in range(2)]
    assert set(killed) <= {-signal.SIGKILL, 0}
    if (out / "journal.jsonl").exists() and (out / "journal.jsonl").stat().st_size:
        assert len(open_dataset(out)) % 2 == 0
    ds = capture(new_spec(), out)
    assert contents(out) == contents(whole.path)
    assert ds.uuid == whole.uuid


def test_interrupted_at_the_keyboard_it_ends_with_130_and_says_how_to_go_on(tmp_path: Path, new_spec: NewSpec) -> None:
    config = tmp_path / "config.yaml"
    fields = new_spec(seeds={"per_prompt": 500}).model_dump(mode="json")
    config.write_text(yaml.safe_dump(fields))
    command = [sys.executable, "-P", "-m", "outcrop.cli", "capture", str(config), "--out", str(tmp_path / "ds")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        for line in child.stderr:
            if "of 3000 images" in line:
                child.send_signal(signal.SIGINT)
                break
        rest = child.stderr.read()
    assert child.returncode == 130, rest
    assert "run the same command again to go on" in rest
    assert "Traceback" not in rest
