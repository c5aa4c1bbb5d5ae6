"""Replay: data are the model's own, or are told apart from those of another model, other seeds and other values."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from outcrop.capture.replay import replay
from outcrop.capture.run import capture
from outcrop.capture.spec import CaptureSpec
from outcrop.data.dataset import Dataset
from outcrop.data.errors import InputError

NewSpec = Callable[..., CaptureSpec]


@pytest.mark.parametrize(("wanted", "made"), [(1, 2), (2, 2), (3, 4), (100, 6)])
def test_the_models_own_data_come_again_to_the_bit(whole: Dataset, wanted: int, made: int) -> None:
    result = replay(whole.path, wanted)
    assert (result.samples, result.identical, result.drift, result.pictures) == (made, made, 0, 0)
    assert result.passed
    assert f"{made} of {made} samples are the same to the bit" in result.to_text()


@pytest.mark.parametrize(
    "changes",
    [{"dtype": "bfloat16"}, {"dtype": "int8", "half": "both"}, {"images": False}, {"batch": 4, "shard_samples": 4}],
)
def test_every_kind_of_data_set_can_be_replayed(tmp_path: Path, new_spec: NewSpec, changes: dict[str, object]) -> None:
    ds = capture(new_spec(**changes), tmp_path / "ds")
    result = replay(ds.path, 6)
    assert result.identical == result.samples == 6
    assert (result.pictures is None) == (not changes.get("images", True))


def test_prompts_of_a_file_that_is_gone_are_replayed_from_the_samples(tmp_path: Path, new_spec: NewSpec) -> None:
    table = tmp_path / "p.csv"
    table.write_text("prompt,negative_prompt\na disc,\na star,a disc\n")
    ds = capture(new_spec(prompts={"file": str(table)}), tmp_path / "ds")
    table.unlink()
    assert replay(ds.path, 2).identical == 2


def test_another_model_under_the_same_name_is_found_out(tmp_path: Path, tiny_model: Path, new_spec: NewSpec) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    ds = capture(new_spec(model=str(model)), tmp_path / "ds")
    weights = model / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    save_file({name: np.flip(value).copy() for name, value in tensors.items()}, weights, metadata={"format": "pt"})
    result = replay(ds.path, 4)
    assert not result.passed
    assert result.identical == 0
    assert result.drift > 0.5
    assert "weights_sha256" in result.to_text()
    assert "do not come from this model" in result.to_text()


def test_a_little_rounding_is_reported_and_passes(tmp_path: Path, tiny_model: Path, new_spec: NewSpec) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    ds = capture(new_spec(model=str(model), dtype="float32"), tmp_path / "ds")
    weights = model / "unet" / "diffusion_pytorch_model.safetensors"
    rounded = {name: value * np.float32(1 + 2**-20) for name, value in load_file(weights).items()}
    save_file(rounded, weights, metadata={"format": "pt"})
    result = replay(ds.path, 4)
    assert result.passed
    assert 0 < result.drift < 0.01
    assert result.where.rpartition(", step ")[0] in ds.sites.index


def test_another_guidance_in_the_record_is_found_out(tmp_path: Path, new_spec: NewSpec) -> None:
    """The planted lie: the specification claims another guidance than the one that made the data."""
    ds = capture(new_spec(), tmp_path / "ds")
    path = ds.path / "dataset.json"
    record = json.loads(path.read_text())
    record["spec"]["guidance"] = 9.0
    path.write_text(json.dumps(record))
    result = replay(ds.path, 6)
    assert result.identical < 6
    assert result.pictures is not None
    assert result.pictures > 0


def test_fewer_than_one_sample_is_refused(whole: Dataset) -> None:
    with pytest.raises(InputError, match=r"at least 1\. Got 0"):
        replay(whole.path, 0)
