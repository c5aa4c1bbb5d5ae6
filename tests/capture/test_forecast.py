"""What a capture is said to take is what it takes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from outcrop.capture.forecast import forecast
from outcrop.capture.spec import CaptureSpec
from outcrop.data.dataset import Dataset
from outcrop.data.errors import InputError, StorageError

NewSpec = Callable[..., CaptureSpec]


def size_of(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.rglob(pattern))


def test_the_forecast_is_what_the_capture_takes(tmp_path: Path, new_spec: NewSpec, whole: Dataset) -> None:
    expected = forecast(new_spec(), tmp_path / "not" / "there")
    stored = {
        site: sum(whole.activations(site, step=step).nbytes for step in whole.steps.index) for site in whole.sites.index
    }
    assert (expected.samples, expected.sites, expected.steps, expected.committed) == (6, 3, 2, 0)
    assert expected.site_bytes == stored
    assert expected.total_bytes == sum(stored.values())
    assert expected.shards == 3
    assert expected.disk_bytes - expected.image_bytes == pytest.approx(size_of(whole.path, "*.h5"), rel=0.01)
    assert expected.image_bytes == pytest.approx(size_of(whole.path, "*.png"), rel=0.2)
    assert expected.seconds > 0
    text = expected.to_text()
    for part in (
        "6 samples x 3 sites x 2 steps",
        "mid_block",
        "images",
        "in memory",
        "time: about",
        "free on the disk",
    ):
        assert part in text
    assert not (tmp_path / "not").exists()


def test_what_is_committed_is_needed_no_more(new_spec: NewSpec, whole: Dataset) -> None:
    expected = forecast(new_spec(), whole.path)
    assert expected.committed == 6
    assert expected.needed == 0
    assert "6 samples of them done" in expected.to_text()


def test_a_capture_that_cannot_fit_is_refused_also_for_its_images(tmp_path: Path, new_spec: NewSpec) -> None:
    expected = forecast(new_spec(), tmp_path)
    expected.check_room()
    replace(expected, free=expected.disk_bytes).check_room()
    with pytest.raises(StorageError, match=r"needs .* GB on a disk with .* leave the images out"):
        replace(expected, free=expected.disk_bytes - expected.image_bytes).check_room()


def test_a_cap_on_memory_is_kept_or_refused(tmp_path: Path, new_spec: NewSpec) -> None:
    free = forecast(new_spec(), tmp_path)
    least = free.memory_bytes - free.shard_bytes
    assert free.shard_bytes < forecast(new_spec(), tmp_path, memory=least).memory_bytes <= least
    with pytest.raises(InputError, match=r"memory must be at least .* MB for this capture.*Got"):
        forecast(new_spec(), tmp_path, memory=least - free.shard_bytes)
