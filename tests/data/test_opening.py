"""Opening what lies elsewhere, in parts, or in several places."""

import json
import pickle  # noqa: TID251  # what multiprocessing does with an argument
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from outcrop.data.dataset import open_dataset
from outcrop.data.errors import DataError, InputError
from outcrop.data.samples import Sample
from outcrop.data.schema import DatasetRecord
from outcrop.data.validate import validate_dataset

Make = Callable[..., DatasetRecord]
Serve = Callable[..., object]


def test_over_http_only_the_column_that_is_touched_is_fetched(folder: Path, serve: Serve) -> None:
    served, here = serve(folder), open_dataset(folder)
    ds = open_dataset(served.url)
    assert served.fetched(".h5") == 0
    np.testing.assert_array_equal(ds.activations("up_blocks.0", step=1), here.activations("up_blocks.0", step=1))
    assert served.fetched(".h5") == 8 * 18 * 2, "8 samples of 18 values of 2 bytes, nothing else of the shards"
    assert [path for path, span in served.asked if span is None and path.endswith(".h5")] == []
    assert list(ds.samples.index) == list(here.samples.index)
    assert "8 samples" in repr(ds)


def test_over_http_some_rows_are_fetched_alone_once_the_column_is_verified(folder: Path, serve: Serve) -> None:
    served, here = serve(folder), open_dataset(folder)
    part = open_dataset(served.url, verify=False).select(ids=list(here.samples.index[[7, 0]]))
    expected = here.activations("mid_block", step=0)[[7, 0]]
    np.testing.assert_array_equal(part.activations("mid_block", step=0), expected)
    assert served.fetched(".h5") <= (1 + 2) * 8, "one row of three, and a shard of two as a whole"


def test_images_and_single_shards_come_over_http(folder: Path, serve: Serve) -> None:
    name = open_dataset(folder).samples.iloc[0]["image"]
    (folder / name).parent.mkdir(parents=True)
    Image.new("RGB", (4, 4), (1, 2, 3)).save(folder / name)
    served = serve(folder)
    ds = open_dataset(served.url)
    assert ds.images(ds.samples.index[:1])[0].getpixel((0, 0)) == (1, 2, 3)
    with pytest.raises(DataError, match="has no image"):
        ds.images(ds.samples.index[1:2])
    shard = open_dataset(f"{served.url}/shards/000/s000001.h5")
    np.testing.assert_array_equal(shard.activations("mid_block", step=0), ds.activations("mid_block", step=0)[3:6])


@pytest.mark.parametrize("look", [open_dataset, validate_dataset])
def test_from_a_folder_of_a_data_set_the_way_is_shown(folder: Path, look: Callable[[Path], object]) -> None:
    (folder / "probes" / "figures").mkdir(parents=True)
    with pytest.raises(DataError, match=f"no dataset.json. It lies in one: give {re.escape(str(folder))}."):
        look(folder / "probes" / "figures")
    with pytest.raises(DataError, match=r"no dataset.json\. Expected a folder that `outcrop capture --out` wrote\."):
        look(folder.parent)
    (folder.parent / "effects.json").touch()
    with pytest.raises(DataError, match="It holds the effects of interventions: give the data set"):
        look(folder.parent)


def test_what_a_server_gets_wrong_is_named(folder: Path, serve: Serve) -> None:
    with pytest.raises(DataError, match="is not a data set"):
        open_dataset(serve(folder.parent).url)
    with pytest.raises(DataError, match="the server gives no ranges: fetch the whole with `outcrop pull`"):
        open_dataset(serve(folder, ranges=False).url).activations("mid_block", step=0)
    served = serve(folder)
    ds = open_dataset(served.url)
    shard = folder / "shards" / "000" / "s000002.h5"
    content = bytearray(shard.read_bytes())
    content[json.loads((folder / "manifest.json").read_text())["shards"][2]["columns"]["mid_block"]["offset"]] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match=r"s000002\.h5 is damaged at site 'mid_block', step 0"):
        ds.activations("mid_block", step=0)
    shard.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        ds.activations("mid_block", step=0)


def test_unknown_protocols_are_named() -> None:
    with pytest.raises(InputError, match=r"carrier-pigeon://x cannot be reached.*outcrop\[remote\]"):
        open_dataset("carrier-pigeon://x")


def test_an_unfinished_data_set_is_not_read_from_afar(
    tmp_path: Path, write: Callable[..., None], new_record: Make, new_samples: Callable, serve: Serve
) -> None:
    write(tmp_path / "ds", new_record(planned=50), new_samples(6), seal=False)
    with pytest.raises(DataError, match=r"has no manifest\.json: only finished"):
        open_dataset(serve(tmp_path / "ds").url)


def test_a_file_url_is_a_path(folder: Path) -> None:
    assert open_dataset(folder.as_uri()).path == folder


def test_a_folder_without_its_journal_opens_by_the_manifest(folder: Path) -> None:
    expected = open_dataset(folder).activations("mid_block", step=1)
    (folder / "journal.jsonl").unlink()
    np.testing.assert_array_equal(open_dataset(folder).activations("mid_block", step=1), expected)


@pytest.fixture
def pair(tmp_path: Path, write: Callable[..., None], new_record: Make, new_samples: Callable) -> tuple[Path, Path]:
    """Eight samples in two data sets of the same sites and steps."""
    write(tmp_path / "a", new_record(uuid="a", planned=5), new_samples(8)[:5])
    write(tmp_path / "b", new_record(uuid="b", planned=3), new_samples(8)[5:])
    return tmp_path / "a", tmp_path / "b"


def test_several_data_sets_open_as_one(pair: tuple[Path, Path], serve: Serve) -> None:
    first, second = pair
    parts = [open_dataset(path) for path in pair]
    for locations in ([first, second], [first, serve(second).url]):
        ds = open_dataset(locations)
        assert list(ds.samples.index) == [name for part in parts for name in part.samples.index]
        expected = np.concatenate([part.activations("mid_block", step=1) for part in parts])
        np.testing.assert_array_equal(ds.activations("mid_block", step=1), expected)
        np.testing.assert_array_equal(
            ds.select(where="seed in [1, 6]").activations("mid_block", step=1), expected[[1, 6]]
        )
        assert ds.uuid == "a+b"
        with pytest.raises(InputError, match="is no folder of this machine"):
            _ = ds.path


def test_images_of_several_data_sets_come_from_their_own(pair: tuple[Path, Path]) -> None:
    ds = open_dataset(pair)
    for number, owner in ((0, pair[0]), (7, pair[1])):
        target = owner / ds.samples["image"].iloc[number]
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2), (number, 0, 0)).save(target)
    found = ds.select(where="seed in [0, 7]").images()
    assert [picture.getpixel((0, 0))[0] for picture in found] == [0, 7]


def test_data_sets_that_do_not_fit_are_refused(
    pair: tuple[Path, Path], tmp_path: Path, write: Callable[..., None], new_record: Make, new_samples: Callable
) -> None:
    write(tmp_path / "c", new_record(uuid="c", dtype="float32", reduction="grid:1", planned=3), new_samples(11)[8:])
    with pytest.raises(InputError, match="a and c cannot be opened as one: they differ in dtype, reduction"):
        open_dataset([pair[0], tmp_path / "c"])
    with pytest.raises(InputError, match="is in more than one of the data sets"):
        open_dataset([pair[0], pair[0]])
    with pytest.raises(InputError, match="at least one path or URL"):
        open_dataset([])


@pytest.mark.parametrize("path", ["../outside.png", "/etc/passwd", "images/../../outside.png", "a\\..\\b.png"])
def test_an_image_path_that_leads_out_is_refused(
    tmp_path: Path, write: Callable[..., None], new_record: Make, path: str
) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "outside.png")
    sample = Sample("00" * 8, "a cat", 0, image=path)
    write(tmp_path / "ds", new_record(labels=(), planned=1), [sample])
    with pytest.raises(DataError, match="Expected a plain relative path"):
        open_dataset(tmp_path / "ds").images()


def test_an_image_behind_a_link_that_leads_out_is_refused(folder: Path) -> None:
    ds = open_dataset(folder)
    outside = folder.parent / "outside.png"
    Image.new("RGB", (2, 2)).save(outside)
    target = folder / ds.samples["image"].iloc[0]
    target.parent.mkdir(parents=True)
    target.symlink_to(outside)
    with pytest.raises(DataError, match="is a link"):
        ds.images(ds.samples.index[:1])


def test_labels_keep_their_kinds_in_shards_and_tables(
    tmp_path: Path, write: Callable[..., None], new_record: Make
) -> None:
    labels = {"count": 2**53 + 1, "weight": 0.5, "word": "ä"}
    samples = [Sample(f"{k:016x}", "a cat", k, labels=labels, image="") for k in range(1, 3)]
    record = new_record(labels=tuple(labels), planned=2)
    write(tmp_path / "open", record, samples, seal=False)
    write(tmp_path / "sealed", record, samples)
    for path in (tmp_path / "open", tmp_path / "sealed", tmp_path / "sealed" / "shards" / "000" / "s000000.h5"):
        found = open_dataset(path).labels
        assert [found[name].iloc[0] for name in labels] == list(labels.values())
        assert found["count"].dtype == np.int64


def test_tables_that_do_not_belong_together_are_refused(folder: Path, pair: tuple[Path, Path], serve: Serve) -> None:
    shutil.copy(pair[0] / "manifest.json", folder / "manifest.json")
    with pytest.raises(DataError, match=r"manifest\.json is of another data set"):
        open_dataset(serve(folder).url)
    shutil.copy(pair[0] / "samples.parquet", folder / "samples.parquet")
    with pytest.raises(DataError, match=r"samples\.parquet lists other samples than manifest\.json"):
        open_dataset(folder)
    (folder / "samples.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"samples\.parquet is no table"):
        open_dataset(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": [2, 3, 5]}, "is not of shape"),
        ({"shape": [2, 3, 10**9]}, "is not of shape"),
        ({"offset": 10**6}, "ends after the file"),
    ],
)
def test_a_column_record_that_does_not_fit_is_refused_before_anything_is_allocated(
    folder: Path, change: dict[str, object], message: str
) -> None:
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    lines[0]["columns"]["mid_block"] |= change
    (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(DataError, match=message):
        open_dataset(folder)


def test_a_data_set_can_be_sent_to_another_process(folder: Path, serve: Serve) -> None:
    for location in (folder, serve(folder).url):
        ds = open_dataset(location)
        first = ds.activations("mid_block", step=0)
        again = pickle.loads(pickle.dumps(ds))  # noqa: S301  # our own bytes, of a moment ago
        np.testing.assert_array_equal(again.activations("mid_block", step=0), first)


def test_a_journal_that_points_elsewhere_in_the_file_is_found_before_reading(folder: Path) -> None:
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    lines[0]["columns"]["mid_block"]["offset"] -= 2
    (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(DataError, match="does not lie where the journal says"):
        open_dataset(folder, verify=False).activations("mid_block", step=0)
