"""Where a model comes from, and what tells it from others."""

import shutil
from pathlib import Path

import pytest

from outcrop.capture.models import fingerprint
from outcrop.capture.source import open_source
from outcrop.data.errors import InputError

COMMITS = ["0123456789abcdef0123456789abcdef01234567", "89abcdef0123456789abcdef0123456789abcdef"]


@pytest.fixture
def cache(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the hub, as a download leaves it behind, with two commits of one model; the second is the latest."""
    repository = tmp_path / "models--owner--tiny"
    for commit in COMMITS:
        shutil.copytree(tiny_model, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMITS[1])
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return repository


def test_a_model_of_the_hub_is_known_by_its_commit(cache: Path) -> None:
    source = open_source("owner/tiny")
    assert source.fingerprint == f"commit:{COMMITS[1]}"
    assert source.sites()
    (cache / "refs" / "main").write_text(COMMITS[0])
    assert open_source("owner/tiny").fingerprint == f"commit:{COMMITS[0]}"


def test_a_model_that_the_cache_does_not_have_is_told(cache: Path) -> None:
    with pytest.raises(InputError, match="Model 'owner/other' could not be loaded"):
        open_source("owner/other")


def test_weights_configuration_and_names_decide_the_hash_of_a_folder(tmp_path: Path, tiny_model: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_model, copy)
    before = fingerprint(tiny_model)
    assert len(before) == 64
    assert fingerprint(copy) == before
    (copy / "README.md").write_text("words")
    assert fingerprint(copy) == before
    index = copy / "model_index.json"
    index.write_text(index.read_text() + "\n")
    assert fingerprint(copy) != before
