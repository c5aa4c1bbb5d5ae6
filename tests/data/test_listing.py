"""A list of shards that no reader would take is refused before the first of them is made."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from outcrop.data import listing
from outcrop.data.errors import InputError
from outcrop.data.listing import check_listing, listing_of
from outcrop.data.schema import DatasetRecord, DType
from outcrop.data.writer import open_writer

Make = Callable[..., DatasetRecord]
MILLION = 10**6


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_it_is_no_shorter_than_the_real_one_and_not_much_longer(
    tmp_path: Path, new_record: Make, new_samples: Callable, write: Callable[..., None], dtype: DType
) -> None:
    record = new_record(dtype=dtype)
    write(tmp_path / "ds", record, new_samples())
    shards = json.loads((tmp_path / "ds" / "manifest.json").read_text())["shards"]
    real = len(json.dumps({"shards": shards}, indent=1))
    told = listing_of(record).size(record.planned_samples, shard_samples=record.shard_samples)
    assert real <= told <= 1.25 * real
    assert (tmp_path / "ds" / "journal.jsonl").stat().st_size < told


def test_one_that_is_too_long_is_refused_and_the_way_out_is_one(tmp_path: Path, new_record: Make) -> None:
    long = new_record(planned=MILLION, shard_samples=1)
    least = listing_of(long).least_shard(MILLION)
    assert least is not None
    with pytest.raises(InputError, match=rf"1,000,000 shards of 1 samples .*give shard_samples: {least}, .*or make"):
        open_writer(tmp_path / "ds", long).__enter__()
    assert not (tmp_path / "ds" / "dataset.json").exists()
    check_listing(long.model_copy(update={"shard_samples": least}))
    with pytest.raises(InputError):
        check_listing(long.model_copy(update={"shard_samples": least // 2}))


def test_where_no_shard_is_large_enough_another_way_is_named(new_record: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MAX_BYTES", 10)
    with pytest.raises(InputError, match=r"take at most 0\.00 GB: record fewer sites or steps; or make several"):
        check_listing(new_record())
