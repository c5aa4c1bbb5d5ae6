"""The layout of a shard: every byte is placed once, and the arrays cost nothing before they are filled."""

import itertools
import tracemalloc
from collections.abc import Callable

import h5py
import numpy as np
import pytest

from outcrop.data.layout import lay_out
from outcrop.data.schema import DatasetRecord, DType
from outcrop.data.shard import OpenShard

Make = Callable[..., DatasetRecord]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_columns_lie_inside_the_file_and_apart_from_all_else(
    new_record: Make, new_samples: Callable, dtype: DType
) -> None:
    layout = lay_out(new_record(dtype=dtype), new_samples(3))
    columns = sorted((place.offset, place.offset + place.size) for place in layout.columns.values())
    assert columns[-1][1] <= layout.size
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(columns))
    for offset, piece in layout.pieces:
        assert all(offset + len(piece) <= start or end <= offset for start, end in columns)


def test_a_layout_of_many_gigabytes_takes_no_memory(new_record: Make, new_samples: Callable) -> None:
    (site, *_) = new_record().sites
    record = new_record(sites=(site.model_copy(update={"shape": (2**26,)}),))
    tracemalloc.start()
    try:
        layout = lay_out(record, new_samples(100))
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()
    assert layout.size > 100 * 2**28


def test_memory_used_again_leaves_no_trace(
    tmp_path, new_record: Make, new_samples: Callable, new_columns: Callable
) -> None:
    record, samples = new_record(), new_samples(3)
    columns = new_columns(record, range(3))
    shards = [
        OpenShard(record, 0, samples, memory=memory)
        for memory in (None, np.full(10**5, 0xAA, np.uint8), np.empty(3, np.uint8))
    ]
    for shard in shards:
        for name, column in shard.columns.items():
            column[...] = columns[name]
    assert len({bytes(shard.content) for shard in shards}) == 1
    assert shards[1].record() == shards[0].record()
    (tmp_path / "s.h5").write_bytes(shards[1].content)
    with h5py.File(tmp_path / "s.h5", "r") as file:
        np.testing.assert_array_equal(file["activations/mid_block"][()], columns["mid_block"])
