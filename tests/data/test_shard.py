"""A shard: its bytes depend on the samples alone, and plain h5py reads it."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from outcrop.data.dataset import open_dataset
from outcrop.data.errors import DataError
from outcrop.data.samples import Sample
from outcrop.data.schema import STORED_DTYPE, DatasetRecord, DType
from outcrop.data.shard import fill_shard

Make = Callable[..., DatasetRecord]
HOSTILE = [
    "",
    "a/b/../c",
    "déjà vu 漢字 🪨",
    "line\nbreak\ttab",
    "x" * 5000,
    "'; DROP TABLE--",
    "{content}",
    "%s \\0 \\x00",
]


@pytest.fixture
def encoded(new_record: Make, new_samples: Callable[..., list[Sample]], new_columns: Callable[..., dict]) -> Callable:
    def encode(dtype: DType = "float16"):
        record = new_record(dtype=dtype)
        return fill_shard(record, 0, new_samples(3), new_columns(record, range(3)))

    return encode


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_the_same_samples_give_the_same_bytes(encoded: Callable, dtype: DType) -> None:
    assert encoded(dtype).content == encoded(dtype).content


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_plain_h5py_reads_contiguous_arrays_at_the_journaled_offsets(
    tmp_path: Path, encoded: Callable, new_record: Make, new_columns: Callable, dtype: DType
) -> None:
    shard = encoded(dtype)
    path = tmp_path / "s.h5"
    path.write_bytes(shard.content)
    expected = new_columns(new_record(dtype=dtype), range(3))
    with h5py.File(path, "r") as file:
        for name, column in shard.record().columns.items():
            array = file["activations"][name]
            assert array.chunks is None
            assert array.compression is None
            assert array.id.get_offset() == column.offset
            assert array.shape == column.shape
            assert array.dtype.str == column.dtype == STORED_DTYPE[dtype]
            np.testing.assert_array_equal(array[()], expected[name])


def test_an_hdf5_1_8_reader_can_open_it(tmp_path: Path, encoded: Callable) -> None:
    """Superblock 0 or 2 is what HDF5 1.8 knows; and nothing in the file is filtered, linked, or of variable length."""
    content = encoded().content
    assert content[:8] == b"\x89HDF\r\n\x1a\n"
    assert content[8] in {0, 2}
    path = tmp_path / "s.h5"
    path.write_bytes(content)
    found: list[str] = []

    def look(name: str, thing: object) -> None:
        found.append(name)
        if isinstance(thing, h5py.Dataset):
            assert thing.id.get_create_plist().get_nfilters() == 0
            assert thing.id.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS
            assert not thing.id.get_type().detect_class(h5py.h5t.VLEN)
            string = h5py.check_string_dtype(thing.dtype)
            assert string is None or string.length is not None

    with h5py.File(path, "r") as file:
        file.visititems(look)
        assert all(isinstance(file.get(name, getlink=True), h5py.HardLink) for name in found)
    assert {"meta", "activations/mid_block", "samples/id", "steps/noise"} <= set(found)


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_comes_back_as_it_was(tmp_path: Path, new_record: Make, new_columns: Callable, text: str) -> None:
    record = new_record(labels=("content",), planned=1)
    sample = Sample("00" * 8, text, 0, text, text, {"content": text})
    path = tmp_path / "s.h5"
    path.write_bytes(fill_shard(record, 0, [sample], new_columns(record, range(1))).content)
    row = open_dataset(path).samples.iloc[0]
    assert [row["prompt"], row["template"], row["negative_prompt"], row["content"]] == [text] * 4


@pytest.mark.parametrize("fault", ["shape", "dtype"])
def test_an_array_that_is_not_what_the_record_says_is_refused(
    new_record: Make, new_samples: Callable[..., list[Sample]], new_columns: Callable, fault: str
) -> None:
    record = new_record()
    columns = new_columns(record, range(3))
    wrong = columns["mid_block"][:, :, :2] if fault == "shape" else columns["mid_block"].astype("<f4")
    with pytest.raises(DataError, match=r"site 'mid_block' must have shape \(2, 3, 4\) and dtype <f2"):
        fill_shard(record, 0, new_samples(3), columns | {"mid_block": wrong})
