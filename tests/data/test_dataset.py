"""Reading: what was written comes back, and damage is noticed where it is."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from outcrop.data.dataset import open_dataset
from outcrop.data.errors import DataError, InputError
from outcrop.data.samples import Sample
from outcrop.data.schema import DatasetRecord

Make = Callable[..., DatasetRecord]


def test_activations_come_back_in_the_order_of_the_samples(
    folder: Path, new_record: Make, new_samples: Callable, new_columns: Callable
) -> None:
    ds = open_dataset(folder)
    expected = new_columns(new_record(), range(8))
    assert list(ds.samples.index) == [sample.id for sample in new_samples()]
    for site in ds.sites.index:
        for step in ds.steps.index:
            values = ds.activations(site, step=step)
            assert values.dtype == np.float16
            np.testing.assert_array_equal(values, expected[site][step])


def test_samples_labels_sites_and_steps_are_tables(folder: Path) -> None:
    ds = open_dataset(folder)
    assert len(ds) == 8
    assert list(ds.labels) == ["content", "size"]
    assert list(ds.labels["content"].unique()) == ["disc", "star"]
    assert list(ds.labels["size"]) == [k / 2 for k in range(8)]
    assert list(ds.samples["seed"]) == list(range(8))
    assert list(ds.sites.index) == ["mid_block", "up_blocks.0"]
    assert list(ds.steps["timestep"]) == [900.0, 500.0]
    table = pd.read_parquet(folder / "samples.parquet")
    pd.testing.assert_frame_equal(table, ds.samples, check_dtype=False)
    assert "8 samples, 2 sites x 2 steps" in repr(ds)


def test_an_unsealed_data_set_opens_and_says_how_much_is_there(
    tmp_path: Path, write: Callable[..., None], new_record: Make, new_samples: Callable
) -> None:
    write(tmp_path / "ds", new_record(planned=50), new_samples(6), seal=False)
    assert not (tmp_path / "ds" / "manifest.json").exists()
    assert "6 samples of 50 planned" in repr(open_dataset(tmp_path / "ds"))


def test_a_single_shard_opens_by_itself(folder: Path) -> None:
    whole, part = open_dataset(folder), open_dataset(folder / "shards" / "000" / "s000001.h5")
    assert list(part.samples.index) == list(whole.samples.index[3:6])
    for site in whole.sites.index:
        np.testing.assert_array_equal(part.activations(site, step=1), whole.activations(site, step=1)[3:6])


def test_bfloat16_comes_back_as_the_float32_of_the_same_bits(
    tmp_path: Path, write: Callable[..., None], new_record: Make, new_samples: Callable, new_columns: Callable
) -> None:
    record = new_record(dtype="bfloat16")
    write(tmp_path / "ds", record, new_samples())
    values = open_dataset(tmp_path / "ds").activations("mid_block", step=0)
    stored = new_columns(record, range(8))["mid_block"][0]
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values.view("<u4"), stored.astype("<u4") << 16)


@pytest.mark.parametrize(("site", "step"), [("mid_block", 0), ("mid_block", 1), ("up_blocks.0", 1)])
def test_one_flipped_bit_is_found_and_named(folder: Path, site: str, step: int) -> None:
    line = json.loads((folder / "journal.jsonl").read_text().splitlines()[1])
    path, column = folder / line["file"], line["columns"][site]
    plane = int(np.prod(column["shape"][1:])) * 2
    content = bytearray(path.read_bytes())
    content[column["offset"] + step * plane + plane // 2] ^= 0x10
    path.write_bytes(content)
    ds = open_dataset(folder)
    with pytest.raises(DataError, match=rf"s000001\.h5 is damaged at site '{re.escape(site)}', step {step}"):
        ds.activations(site, step=step)
    ds.activations(site, step=1 - step)


def test_a_shard_cut_short_is_found(folder: Path) -> None:
    ds = open_dataset(folder)
    path = folder / "shards" / "000" / "s000002.h5"
    path.write_bytes(path.read_bytes()[:100])
    for action in (lambda: ds.activations("up_blocks.0", step=1), lambda: open_dataset(folder)):
        with pytest.raises(DataError, match=r"s000002\.h5 (is damaged|should have 5900 bytes and has 100)"):
            action()


def test_a_missing_shard_is_found(folder: Path) -> None:
    ds = open_dataset(folder)
    (folder / "shards" / "000" / "s000000.h5").unlink()
    with pytest.raises(DataError, match=r"s000000\.h5 cannot be read: No such file"):
        ds.activations("mid_block", step=0)


@pytest.mark.parametrize("seal", [True, False])
def test_swapped_shards_are_found(
    tmp_path: Path, write: Callable[..., None], new_record: Make, new_samples: Callable, seal: bool
) -> None:
    """An unfinished data set is read from its shards, at once; a finished one by offsets, when they are needed."""
    folder = tmp_path / "ds"
    write(folder, new_record(), new_samples(), seal=seal)
    first, second = (folder / "shards" / "000" / f"s00000{k}.h5" for k in (0, 1))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    message = "is damaged at site 'mid_block'" if seal else "holds other samples than its journal line says"
    with pytest.raises(DataError, match=message):
        open_dataset(folder).activations("mid_block", step=0)


def test_unknown_sites_steps_and_ids_are_refused(folder: Path) -> None:
    ds = open_dataset(folder)
    with pytest.raises(InputError, match=r"no site 'mid_blok'.*Did you mean 'mid_block'"):
        ds.activations("mid_blok", step=0)
    with pytest.raises(InputError, match=r"step must be one of 0 to 1.*Got 2"):
        ds.activations("mid_block", step=2)
    with pytest.raises(InputError, match="no sample 'nobody'"):
        ds.images(["nobody"])


def test_images_are_opened_by_id_and_missed_by_name(folder: Path) -> None:
    ds = open_dataset(folder)
    first, second = ds.samples.index[:2]
    target = folder / ds.samples.loc[first, "image"]
    target.parent.mkdir(parents=True)
    Image.new("RGB", (4, 4), (1, 2, 3)).save(target)
    assert ds.images([first])[0].getpixel((0, 0)) == (1, 2, 3)
    assert len(ds.images(ds.samples.index[:1])) == 1
    with pytest.raises(DataError, match=rf"has no image 'images/{second[:2]}/{second}\.png'"):
        ds.images([second])


def test_a_data_set_without_images_says_so(tmp_path: Path, write: Callable[..., None], new_record: Make) -> None:
    write(tmp_path / "ds", new_record(labels=(), planned=1), [Sample("00" * 8, "a cat", 0)])
    with pytest.raises(DataError, match="was captured without images"):
        open_dataset(tmp_path / "ds").images()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "it has no dataset.json"),
        ("{}", "is not a format-1 record: uuid: Field required"),
        ("[", "is not a format-1 record"),
        ('{"format": 7}', "of format 7; this version of outcrop reads formats 1 and 2. Install a newer outcrop"),
    ],
)
def test_a_folder_that_is_no_data_set_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path)


def test_files_that_are_no_shards_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(DataError, match="is not an Outcrop shard"):
        open_dataset(tmp_path / "text.h5")
    with pytest.raises(DataError, match="does not exist"):
        open_dataset(tmp_path / "nothing")
