"""Writing: journal, resume, conflicts, locks and full disks."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from outcrop.data.dataset import open_dataset
from outcrop.data.errors import ConflictError, DataError, StorageError
from outcrop.data.journal import read_journal
from outcrop.data.schema import DatasetRecord
from outcrop.data.writer import open_writer

Make = Callable[..., DatasetRecord]
Write = Callable[..., None]


Contents = Callable[[Path], dict[str, bytes]]
InChild = Callable[..., int]


@pytest.mark.parametrize("kept", [0, 1, 2])
@pytest.mark.parametrize("torn", [b"", b'{"index":1,"fi'])
def test_a_resumed_data_set_is_the_same_as_an_uninterrupted_one(
    folder: Path,
    tmp_path: Path,
    write: Write,
    new_record: Make,
    new_samples: Callable,
    contents: Contents,
    *,
    kept: int,
    torn: bytes,
) -> None:
    resumed = tmp_path / "resumed"
    shutil.copytree(folder, resumed)
    lines = (resumed / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (resumed / "journal.jsonl").write_bytes(b"".join(lines[:kept]) + torn)
    for name in ("manifest.json", "samples.parquet"):
        (resumed / name).unlink()
    (resumed / "shards" / "000" / "s000002.h5").unlink()
    (resumed / "shards" / "000" / ".s000002.h5.partial").write_bytes(b"half a sha")
    assert len(read_journal(resumed)) == kept
    write(resumed, new_record(), new_samples())
    assert contents(resumed) == contents(folder)


def test_a_bad_line_inside_the_journal_is_an_error(folder: Path) -> None:
    journal = folder / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(lines[0] + b"{}\n" + lines[2])
    with pytest.raises(DataError, match=r"journal\.jsonl, line 2, is not a shard record"):
        open_dataset(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spec": {"model": "planted", "steps": 9}}, r"steps: there 2, here 9\)"),
        ({"spec": {"model": "other", "steps": 2}}, 'model: there "planted", here "other"'),
        ({"provenance": {"weights_sha256": "ab"}}, 'weights_sha256: there null, here "ab"'),
        ({}, "other prompts or labels in the prompt file"),
    ],
)
def test_another_configuration_is_refused_and_told_apart(
    folder: Path, new_record: Make, contents: Contents, changes: dict[str, object], message: str
) -> None:
    before = contents(folder)
    with (
        pytest.raises(ConflictError, match=message) as caught,
        open_writer(folder, new_record(uuid="u2", **changes)),
    ):
        pass
    assert "Choose another output folder" in str(caught.value)
    assert contents(folder) == before


def test_other_sites_under_the_same_identity_are_refused(folder: Path, new_record: Make) -> None:
    sites = new_record().sites[:1]
    with (
        pytest.raises(ConflictError, match="diffusers"),
        open_writer(folder, new_record(sites=sites, provenance={"diffusers": "9"})),
    ):
        pass


def test_a_folder_with_other_things_in_it_is_refused(tmp_path: Path, new_record: Make) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with (
        pytest.raises(ConflictError, match=r"not empty and holds no data set \(found 'thesis.tex'"),
        open_writer(tmp_path, new_record()),
    ):
        pass
    with pytest.raises(ConflictError, match="is a file"), open_writer(tmp_path / "thesis.tex", new_record()):
        pass


def test_a_second_writer_is_refused_while_the_first_is_at_work(
    tmp_path: Path, new_record: Make, in_child: InChild
) -> None:
    def second() -> None:
        with open_writer(tmp_path / "ds", new_record()):
            pass

    with open_writer(tmp_path / "ds", new_record()):
        assert in_child(second) == 4
    assert in_child(second) == 0


def test_the_lock_falls_when_the_writer_fails(tmp_path: Path, new_record: Make) -> None:
    with pytest.raises(RuntimeError, match="a fault"), open_writer(tmp_path, new_record()):
        raise RuntimeError("a fault")
    with open_writer(tmp_path, new_record()) as writer:
        assert writer.committed == {}


def test_a_data_set_larger_than_the_disk_is_refused_at_once(tmp_path: Path, new_record: Make) -> None:
    record = new_record()
    large = tuple(site.model_copy(update={"shape": (2**39,)}) for site in record.sites)
    with (
        pytest.raises(StorageError, match=r"still needs .* GB but .* GB free"),
        open_writer(tmp_path, new_record(sites=large)),
    ):
        pass


@pytest.mark.skipif(os.geteuid() == 0 or sys.platform != "linux", reason="root may write anywhere")
def test_a_folder_without_permission_is_told(tmp_path: Path, new_record: Make) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="Permission denied"), open_writer(tmp_path / "ds", new_record()):
        pass
