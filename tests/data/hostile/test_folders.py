"""Hostile data set folders: paths that lead outside, tables that lie, files that are none."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from outcrop.data.dataset import open_dataset
from outcrop.data.errors import DataError
from outcrop.data.samples import Sample

Spoil = Callable[[Path, Path], None]
CASES: dict[str, tuple[Spoil, str]] = {}


def case(message: str) -> Callable[[Spoil], Spoil]:
    def register(spoil: Spoil) -> Spoil:
        CASES[spoil.__name__] = (spoil, message)
        return spoil

    return register


def journal_case(name: str, message: str, change: Callable[[dict], None]) -> None:
    def spoil(folder, _canary):
        path = folder / "journal.jsonl"
        first, *others = path.read_text().splitlines()
        line = json.loads(first)
        change(line)
        path.write_text("\n".join([json.dumps(line), *others]) + "\n")
        (folder / "manifest.json").unlink()

    CASES[name] = (spoil, message)


def columns(change: dict) -> Callable[[dict], None]:
    return lambda line: line["columns"]["mid_block"].update(change)


journal_case("a_shard_outside", "not a shard record", lambda line: line.update(file="../../canary.h5"))
journal_case("a_shard_at_the_root", "not a shard record", lambda line: line.update(file="/etc/passwd"))
journal_case(
    "a_shard_of_another", "is not the one of this shard", lambda line: line.update(file="shards/000/s000001.h5")
)
journal_case("a_negative_shard", "is not the one|not a shard record", lambda line: line.update(index=-1))
journal_case("a_huge_column", "is not of shape", columns({"shape": [2**40, 2**40]}))
journal_case("a_negative_column", "is not of shape", columns({"shape": [2, 3, -4]}))
journal_case("a_column_after_the_end", "ends after the file|does not lie where", columns({"offset": 2**62}))
journal_case("a_column_elsewhere", "does not lie where|is damaged", columns({"offset": 8}))
journal_case("a_column_before_the_start", "not a shard record", columns({"offset": -8}))
journal_case("a_column_of_objects", "not a shard record", columns({"dtype": "|O"}))
journal_case("too_few_checksums", "is not of shape", columns({"crc32": [1]}))
journal_case("ids_that_are_paths", "16 hexadecimal digits", lambda line: line.update(samples=["../../x"] * 3))
journal_case("no_columns", "are not the data set's sites", lambda line: line.update(columns={}))


@case("one for two|two lines|not a shard record")
def a_line_nested_100000_deep(folder, _canary):
    (folder / "manifest.json").unlink()
    (folder / "journal.jsonl").write_text("[" * 100_000 + "\n")


@case("is a link|cannot be read")
def a_record_that_is_a_link(folder, canary):
    (folder / "dataset.json").unlink()
    (folder / "dataset.json").symlink_to(canary)


@case("is a link|cannot be read")
def a_journal_that_is_a_link(folder, canary):
    (folder / "manifest.json").unlink()
    (folder / "journal.jsonl").unlink()
    (folder / "journal.jsonl").symlink_to(canary)


@case("is a link|cannot be read")
def a_shard_that_is_a_link(folder, canary):
    path = folder / "shards/000/s000001.h5"
    path.unlink()
    path.symlink_to(canary)


@case("is a link|cannot be read")
def shards_in_a_linked_folder(folder, canary):
    (folder / "shards").rename(folder.parent / "elsewhere")
    (folder / "shards").symlink_to(folder.parent / "elsewhere")


@case("not a regular file")
def a_journal_that_is_a_pipe(folder, _canary):
    (folder / "manifest.json").unlink()
    (folder / "journal.jsonl").unlink()
    os.mkfifo(folder / "journal.jsonl")


@case("not a regular file")
def a_record_that_is_a_folder(folder, _canary):
    (folder / "dataset.json").unlink()
    (folder / "dataset.json").mkdir()


@case("at most 64 MiB")
def a_record_of_terabytes(folder, _canary):
    os.truncate(folder / "dataset.json", 2**41)


@case("format-1 record|recursion")
def a_record_nested_deep(folder, _canary):
    (folder / "dataset.json").write_text('{"spec":' * 50_000)


@case("does not name|lacks")
def a_record_of_other_labels(folder, _canary):
    path = folder / "dataset.json"
    path.write_text(path.read_text().replace('"content"', '"contents"'))


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_folder_is_refused_and_no_foreign_file_is_opened(folder: Path, canary, name: str) -> None:
    spoil, message = CASES[name]
    spoil(folder, canary.path)
    canary.opened()
    with pytest.raises(DataError, match=message) as refusal:
        open_dataset(folder).activations("mid_block", step=0)
    assert not canary.opened()
    assert "\x1b" not in str(refusal.value)
    assert len(str(refusal.value)) < 2000


@pytest.mark.parametrize(
    "image",
    [
        "../canary.h5",
        "/etc/passwd",
        "images/../../canary.h5",
        "images/link.png",
        "images\\..\\x",
        "images/\x1b[2J.png",
        ".",
    ],
)
def test_a_picture_outside_of_the_folder_is_not_opened(
    tmp_path: Path, canary, new_record: Callable, write: Callable, image: str
) -> None:
    folder = tmp_path / "ds"
    samples = [Sample(f"{k:016x}", "a", k, labels={"content": "x", "size": 1.0}, image=image) for k in range(3)]
    write(folder, new_record(planned=3), samples)
    (folder / "images").mkdir()
    (folder / "images" / "link.png").symlink_to(canary.path)
    ds = open_dataset(folder)
    with pytest.raises(DataError, match=r"plain relative path|is a link") as refusal:
        ds.images()
    assert not canary.opened()
    assert "\x1b" not in str(refusal.value)
