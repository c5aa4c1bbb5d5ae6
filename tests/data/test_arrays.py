"""The same values in the forms of other libraries."""

from pathlib import Path

import anndata
import dask.array
import numpy as np
import pytest

from outcrop.data.column import ColumnReader
from outcrop.data.dataset import Dataset, open_dataset
from outcrop.data.errors import InputError


@pytest.fixture
def ds(folder: Path) -> Dataset:
    return open_dataset(folder)


@pytest.mark.parametrize("chunks", [None, "shards", {"sample": 5}])
def test_xarray_has_every_site_with_its_coordinates(ds: Dataset, chunks: object) -> None:
    table = ds.to_xarray(chunks=chunks)
    for site in ds.sites.index:
        assert isinstance(table[site].variable._data, dask.array.Array) == (chunks is not None)
        expected = np.stack([ds.activations(site, step=step) for step in ds.steps.index])
        np.testing.assert_array_equal(table[site].to_numpy(), expected)
    assert table["up_blocks.0"].dtype == np.float16
    assert list(table["timestep"].to_numpy()) == [900.0, 500.0]
    assert list(table["sample"].to_numpy()) == list(ds.samples.index)
    stars = table.where(table["label:content"] == "star", drop=True)
    assert stars.sizes["sample"] == 4


@pytest.mark.parametrize(
    "key",
    [
        {"step": 0},
        {"sample": -1},
        {"step": [1], "sample": slice(6, 1, -2), "up_blocks.0.1": [2, 0]},
        {"up_blocks.0.0": 1, "up_blocks.0.2": slice(None, None, -1)},
        {"sample": slice(3, 3)},
    ],
)
def test_xarray_reads_what_an_index_needs(ds: Dataset, key: dict) -> None:
    lazy = ds.to_xarray()["up_blocks.0"].isel(key).to_numpy()
    np.testing.assert_array_equal(lazy, ds.to_xarray()["up_blocks.0"].load().isel(key).to_numpy())


def test_xarray_reads_nothing_before_it_is_asked(ds: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("read too early")

    with monkeypatch.context() as patched:
        patched.setattr(ColumnReader, "read", refuse)
        lazy, chunked = ds.to_xarray(), ds.to_xarray(chunks="shards")
    assert chunked["mid_block"].chunks[:2] == ((1, 1), (3, 3, 2))
    assert float(abs(lazy["mid_block"] - chunked["mid_block"]).max()) == 0


def test_xarray_of_a_selection(ds: Dataset) -> None:
    part = ds.select("mid*", steps=1, where={"content": "star"})
    table = part.to_xarray(chunks="shards")
    np.testing.assert_array_equal(table["mid_block"].to_numpy()[0], part.activations("mid_block"))


def test_pandas_has_labels_and_features(ds: Dataset) -> None:
    table = ds.to_pandas("up_blocks.0", step=0)
    assert list(table.columns[:3]) == ["content", "size", "up_blocks.0[0]"]
    np.testing.assert_array_equal(table.iloc[:, 2:].to_numpy(), ds.activations("up_blocks.0", step=0).reshape(8, -1))


def test_anndata_has_samples_as_observations(ds: Dataset, tmp_path: Path) -> None:
    found = ds.to_anndata(["up_blocks.0", "mid_block"], step=1)
    np.testing.assert_array_equal(found.X, ds.activations("up_blocks.0", step=1).reshape(8, -1))
    np.testing.assert_array_equal(found.obsm["mid_block"], ds.activations("mid_block", step=1))
    assert list(found.obs["content"].cat.categories) == ["disc", "star"]
    assert list(found.var.loc["up_blocks.0[17]"]) == [1, 2, 2]
    assert (found.uns["step"], found.uns["timestep"]) == (1, 500.0)
    found.write_h5ad(tmp_path / "x.h5ad")
    again = anndata.read_h5ad(tmp_path / "x.h5ad")
    np.testing.assert_array_equal(again.X, found.X)


def test_anndata_wants_its_site_named(ds: Dataset) -> None:
    with pytest.raises(InputError, match="Name the sites that are wanted"):
        ds.to_anndata(step=0)
    assert ds.select("mid*", steps=0).to_anndata().shape == (8, 4)
