"""The parser sees in a shard exactly what HDF5 sees, without HDF5."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from outcrop.data.hdf5_source import LocalSource, MemorySource
from outcrop.data.hdf5_tree import read_tree
from outcrop.data.schema import DatasetRecord, DType, SiteRecord
from outcrop.data.shard import fill_shard
from outcrop.data.structure import check_shard, read_array

Make = Callable[..., DatasetRecord]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("count", [1, 8, 9, 46, 300])
def test_a_shard_of_any_number_of_sites_is_seen_as_hdf5_sees_it(
    tmp_path: Path, new_record: Make, new_samples: Callable, new_columns: Callable, count: int, dtype: DType
) -> None:
    """HDF5 keeps up to 8 links in the header, more in a heap with a B-tree that grows in depth."""
    sites = tuple(
        SiteRecord(name=f"down_blocks.{k}.attentions.{k % 3}", role="block", depth=0, source_shape=(2,), shape=(2,))
        for k in range(count)
    )
    record = new_record(sites=sites, dtype=dtype)
    path = tmp_path / "s.h5"
    path.write_bytes(fill_shard(record, 0, new_samples(3), new_columns(record, range(3))).content)
    with LocalSource(path) as source, h5py.File(path, "r") as file:
        shard = check_shard(source)
        assert shard.record == record
        seen: dict[str, h5py.Dataset] = {}
        file.visititems(lambda name, thing: seen.update({name: thing}) if isinstance(thing, h5py.Dataset) else None)
        assert seen.keys() == shard.arrays.keys()
        for name, array in shard.arrays.items():
            assert array.offset == seen[name].id.get_offset()
            np.testing.assert_array_equal(read_array(source, array), seen[name][()].astype(array.dtype))


OPTIONS = [
    {},
    {"shuffle": True, "compression": "gzip", "fletcher32": True},
    {"fletcher32": True},
    {"compression": "gzip"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(
    ("shape", "kind", "chunks"),
    [((3, 10, 5), "<f2", (1, 4, 5)), ((2, 300, 7), "<f4", (1, 1, 7)), ((2, 5, 3, 3), "u1", (1, 2, 3, 3))],
)
def test_chunks_come_back_as_hdf5_wrote_them(
    tmp_path: Path, options: dict, shape: tuple[int, ...], kind: str, chunks: tuple[int, ...]
) -> None:
    for values in (np.random.default_rng(0).standard_normal(shape).astype(kind), np.zeros(shape, kind)):
        with h5py.File(tmp_path / "c.h5", "w", libver=("v108", "v108")) as file:
            file.create_dataset("x", data=values, chunks=chunks, **options)
        source = MemorySource((tmp_path / "c.h5").read_bytes())
        array = read_tree(source).arrays["x"]
        found = np.zeros([-(-extent // step) * step for extent, step in zip(shape, chunks, strict=True)], kind)
        for start in array.chunks.chunks:
            place = tuple(slice(first, first + step) for first, step in zip(start, chunks, strict=True))
            found[place] = np.frombuffer(array.chunks.read(source.read, start), kind).reshape(chunks)
        np.testing.assert_array_equal(found[tuple(slice(0, extent) for extent in shape)], values)
