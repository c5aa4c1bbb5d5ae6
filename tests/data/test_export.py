"""What is exported holds exactly the selected values, and says where they come from."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from safetensors.numpy import load_file

from outcrop.data.dataset import Dataset, open_dataset
from outcrop.data.errors import DataError, InputError
from outcrop.data.export import export, pool
from outcrop.data.merge import merge_datasets
from outcrop.data.schema import DType
from outcrop.data.validate import validate_dataset

READERS: dict[str, Callable[[Path, str], np.ndarray]] = {
    "npy": lambda out, site: np.load(out / f"{site}.npy", allow_pickle=False),
    "safetensors": lambda out, site: load_file(out / f"{site}.safetensors")["activations"],
    "zarr": lambda out, site: zarr.open_group(out / "activations.zarr", mode="r")[site][...],
}


@pytest.fixture
def part(folder: Path) -> Dataset:
    """One of two steps, and four of eight samples from several shards."""
    return open_dataset(folder).select(steps=1, where="content == 'star'")


@pytest.mark.parametrize("form", READERS)
def test_arrays_are_those_of_the_selection(part: Dataset, tmp_path: Path, form: str) -> None:
    files = export(part, tmp_path / "out", form=form)
    assert {"samples.parquet", "export.json"} < set(files)
    for site in part.sites.index:
        values = READERS[form](tmp_path / "out", site)
        assert values.dtype == np.float16
        np.testing.assert_array_equal(values[0], part.activations(site, step=1))
        assert len(values) == 1
    assert list(pd.read_parquet(tmp_path / "out" / "samples.parquet").index) == list(part.samples.index)
    said = json.loads((tmp_path / "out" / "export.json").read_text())
    assert (said["uuid"], said["samples"], len(said["record"]["steps"])) == (part.uuid, 4, 1)


def test_tables_hold_labels_and_pooled_features(part: Dataset, tmp_path: Path) -> None:
    export(part, tmp_path / "out", form="parquet")
    table = pd.read_parquet(tmp_path / "out" / "up_blocks.0.parquet")
    expected = part.activations("up_blocks.0", step=1).astype(np.float32).mean(axis=(2, 3))
    np.testing.assert_allclose(table[["x0", "x1"]].to_numpy(), expected, rtol=1e-6)
    assert list(table["content"]) == list(part.labels["content"])
    assert set(table["step"]) == {1}


def test_pooling_is_over_positions(new_record: Callable) -> None:
    site = new_record().sites[0]
    tokens = np.arange(2 * 3 * 4, dtype=np.float16).reshape(2, 3, 4)
    pooled = pool(tokens, site.model_copy(update={"shape": (3, 4)}))
    np.testing.assert_array_equal(pooled, tokens.astype(np.float32).mean(axis=1))
    np.testing.assert_array_equal(pool(tokens[:, 0], site), tokens[:, 0])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_compressed_shards_are_of_format_1_and_can_be_unpacked(
    tmp_path: Path, new_record: Callable, new_samples: Callable, write: Callable, dtype: DType
) -> None:
    write(tmp_path / "ds", new_record(dtype=dtype), new_samples())
    ds = open_dataset(tmp_path / "ds")
    files = [name for name in export(ds, tmp_path / "out", form="compressed") if name.endswith(".h5")]
    assert files == ["s000000.h5", "s000001.h5", "s000002.h5"]
    shards = [tmp_path / "out" / name for name in files]
    assert [finding for shard in shards for finding in validate_dataset(shard) if finding.severity == "error"] == []
    with h5py.File(shards[0]) as file:
        array = file["activations/mid_block"]
        assert (array.compression, array.shuffle, array.fletcher32, array.chunks) == ("gzip", True, True, (1, 3, 4))
    with pytest.raises(DataError, match="Unpack the file"):
        open_dataset(shards[0])
    assert merge_datasets(shards, tmp_path / "back") == 8
    back = open_dataset(tmp_path / "back")
    assert [finding for finding in validate_dataset(tmp_path / "back") if finding.severity == "error"] == []
    pd.testing.assert_frame_equal(back.samples, ds.samples)
    for site in ds.sites.index:
        np.testing.assert_array_equal(back.activations(site, step=1), ds.activations(site, step=1))


def test_a_flipped_bit_in_a_compressed_chunk_is_found(folder: Path, tmp_path: Path) -> None:
    export(open_dataset(folder), tmp_path / "out", form="compressed")
    shard = tmp_path / "out" / "s000000.h5"
    with h5py.File(shard) as file:
        place = file["activations/up_blocks.0"].id.get_chunk_info(0).byte_offset
    content = bytearray(shard.read_bytes())
    content[place + 9] ^= 1
    shard.write_bytes(content)
    assert [finding.severity for finding in validate_dataset(shard)][:1] == ["error"]


def test_a_lone_shard_that_is_none_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_bytes(b"no HDF5")
    assert [finding.severity for finding in validate_dataset(tmp_path / "x.h5")] == ["error"]


def test_the_same_export_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        export(open_dataset(folder), tmp_path / name, form="compressed")
    one, two = (sorted((tmp_path / name).iterdir()) for name in ("one", "two"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_what_is_there_is_not_overwritten_and_a_failed_export_leaves_nothing(part: Dataset, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="is there already"):
        export(part, tmp_path / "out", form="npy")
    next(part.path.glob("shards/*/*")).write_bytes(b"")
    with pytest.raises(DataError):
        export(part, tmp_path / "new", form="npy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ds", "out"]


def test_an_unknown_form_is_refused(part: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="form must be one of compressed, npy"):
        export(part, tmp_path / "out", form="csv")
