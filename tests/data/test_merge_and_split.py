"""Merged and split data sets are valid, hold exactly the rows that they should, and name their parents."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from outcrop.data.dataset import open_dataset
from outcrop.data.errors import InputError
from outcrop.data.findings import Finding
from outcrop.data.merge import merge_datasets
from outcrop.data.samples import Sample, image_path, sample_id
from outcrop.data.split import split_by_fraction, split_by_query
from outcrop.data.validate import validate_dataset
from outcrop.data.writer import open_writer, read_record


@pytest.fixture
def run(tmp_path: Path, new_record: Callable, new_columns: Callable) -> Callable[..., Path]:
    """A data set of 7 samples with a picture each, of a run of its own."""

    def make(name: str, **changes: object) -> Path:
        record = new_record(uuid=name, planned=7, shard_samples=3, licences={"data": "CC0-1.0"}, **changes)
        ids = [sample_id(name, "", k, k) for k in range(7)]
        samples = [
            Sample(i, f"p{k % 4}", k, f"t{k % 2}", labels={"content": "ab"[k % 2], "size": k / 2}, image=image_path(i))
            for k, i in enumerate(ids)
        ]
        columns = new_columns(record, range(7))
        with open_writer(tmp_path / name, record) as writer:
            writer.write_images({sample.image: b"\xff\xd8\xff" + sample.id.encode() for sample in samples})
            for index in range(3):
                rows = slice(3 * index, 3 * index + 3)
                parts = {site: values[:, rows] for site, values in columns.items()}
                writer.commit(index, samples[rows], parts)
            writer.seal(samples)
        return tmp_path / name

    return make


def faults(folder: Path) -> list[Finding]:
    return [finding for finding in validate_dataset(folder) if finding.severity != "advice"]


def test_a_merged_data_set_holds_both_in_order(run: Callable, tmp_path: Path) -> None:
    first, second = run("first"), run("second")
    assert merge_datasets([first, second], tmp_path / "both") == 14
    both = open_dataset(tmp_path / "both")
    parts = [open_dataset(first), open_dataset(second)]
    assert faults(tmp_path / "both") == []
    assert list(both.samples.index) == [*parts[0].samples.index, *parts[1].samples.index]
    for site in both.sites.index:
        for step in both.steps.index:
            expected = np.concatenate([part.activations(site, step=step) for part in parts])
            np.testing.assert_array_equal(both.activations(site, step=step), expected)
    assert [parent["uuid"] for parent in both.info.provenance["parents"]] == ["first", "second"]
    picture = parts[1].samples["image"].iloc[0]
    assert (tmp_path / "both" / picture).read_bytes() == (second / picture).read_bytes()


def test_the_same_merge_gives_the_same_bytes(run: Callable, tmp_path: Path, contents: Callable) -> None:
    runs = [run("first"), run("second")]
    for name in ("one", "two"):
        merge_datasets(runs, tmp_path / name)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model": "other"}, r"model \('planted' and 'other'\)"),
        ({"dtype": "float32"}, r"dtype \('float16' and 'float32'\)"),
        ({"half": "uncond"}, "half"),
        ({"reduction": "grid:2"}, "reduction"),
        ({"provenance": {"weights_sha256": "ff"}}, "weights_sha256"),
    ],
)
def test_runs_that_differ_are_refused_with_the_fields_named(
    run: Callable, tmp_path: Path, changes: dict, field: str
) -> None:
    with pytest.raises(InputError, match=f"cannot be merged: they differ in {field}"):
        merge_datasets([run("first"), run("second", **changes)], tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_a_sample_in_both_is_refused(run: Callable, tmp_path: Path) -> None:
    first = run("first")
    with pytest.raises(InputError, match=r"both hold sample .*7 in all"):
        merge_datasets([first, first], tmp_path / "both")


def test_a_query_gives_the_selected_and_the_rest(run: Callable, tmp_path: Path) -> None:
    folder = run("first")
    assert split_by_query(folder, tmp_path / "out", "content == 'a' and size < 3") == {"selected": 3, "rest": 4}
    whole = open_dataset(folder)
    for name in ("selected", "rest"):
        part = open_dataset(tmp_path / "out" / name)
        assert faults(tmp_path / "out" / name) == []
        places = [list(whole.samples.index).index(sample) for sample in part.samples.index]
        np.testing.assert_array_equal(
            part.activations("up_blocks.0", step=1), whole.activations("up_blocks.0", step=1)[places]
        )
    assert read_record(tmp_path / "out" / "rest").provenance["parents"][0]["uuid"] == "first"


@pytest.mark.parametrize("group_by", [["prompt"], ["template"], ["seed"]])
def test_fractions_keep_groups_whole(run: Callable, tmp_path: Path, group_by: list[str]) -> None:
    sizes = split_by_fraction(run("first"), tmp_path / "out", {"train": 0.6, "test": 0.4}, group_by=group_by)
    assert sum(sizes.values()) == 7
    train, test = (open_dataset(tmp_path / "out" / name).samples for name in ("train", "test"))
    for column in group_by:
        assert not set(train[column]) & set(test[column])
    assert sorted([*train.index, *test.index]) == sorted(open_dataset(tmp_path / "first").samples.index)


def test_what_hangs_together_cannot_be_split(run: Callable, tmp_path: Path) -> None:
    """Every prompt has one template, so that two columns leave two groups, of which three parts cannot be made."""
    parts = {"a": 0.4, "b": 0.3, "c": 0.3}
    with pytest.raises(InputError, match="There are 2 groups for 3 parts"):
        split_by_fraction(run("first"), tmp_path / "out", parts, group_by=["prompt", "template"])


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda path, out: split_by_query(path, out, "contnet == 'a'"), "cannot be evaluated"),
        (lambda path, out: split_by_query(path, out, "size > 100"), "would have no sample"),
        (lambda path, out: split_by_fraction(path, out, {"a": 0.5}), "must be positive and sum to 1"),
        (lambda path, out: split_by_fraction(path, out, {"a": 0.5, "../b": 0.5}), "is no name"),
        (lambda path, out: split_by_fraction(path, out, {"a": 1.0}, group_by=["promt"]), "Did you mean 'prompt'"),
    ],
)
def test_a_bad_split_is_refused(run: Callable, tmp_path: Path, action: Callable, message: str) -> None:
    folder = run("first")
    with pytest.raises(InputError, match=message):
        action(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
