"""The command line of a capture: forecast, memory, ranks and replay."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from outcrop.capture.spec import CaptureSpec
from outcrop.data.dataset import Dataset

Run = Callable[..., tuple[int, str, str]]
Contents = Callable[[Path], dict[str, bytes]]


@pytest.fixture
def config(tmp_path: Path, new_spec: Callable[..., CaptureSpec]) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(new_spec().model_dump(mode="json")))
    return path


def test_a_dry_run_says_what_it_takes_and_writes_nothing(run: Run, tmp_path: Path, config: Path) -> None:
    code, out, _ = run("capture", config, "--out", tmp_path / "ds", "--dry-run", "--json", "--memory", "1MB")
    told = json.loads(out)
    assert code == 0
    assert (told["samples"], told["shards"]) == (6, 3)
    assert 0 < told["memory_bytes"] <= 10**6
    assert not (tmp_path / "ds").exists()


def test_too_little_memory_ends_before_anything_is_written(run: Run, tmp_path: Path, config: Path) -> None:
    code, _, err = run("capture", config, "--out", tmp_path / "ds", "--memory", "1kB")
    assert code == 1
    assert "memory must be at least" in err
    assert not (tmp_path / "ds").exists()


def test_ranks_from_flags_and_from_the_launcher_make_one_data_set(
    run: Run, tmp_path: Path, config: Path, whole: Dataset, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "ds"
    code, text, _ = run("capture", config, "--out", out, "--rank", "1/2", "--json")
    told = json.loads(text)
    assert (code, told["samples"], told["committed"], told["complete"]) == (0, 2, 2, False)
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    code, text, _ = run("capture", config, "--out", out)
    assert code == 0
    assert "rank 0 of 2 has its 4 samples; 6 of 6 are committed, the data set is complete" in text
    assert contents(out) == contents(whole.path)


def test_validate_replays_on_request(run: Run, whole: Dataset) -> None:
    code, out, _ = run("validate", whole.path, "--replay", 2)
    assert code == 0
    assert "2 of 2 samples are the same to the bit" in out
