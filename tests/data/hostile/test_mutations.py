"""Shards with random bytes changed: each opens or is refused, and nothing else happens.

``make test-hostile`` runs ten thousand; here, a few hundred.
"""

import os
import random
import signal
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import pytest

from outcrop.data.dataset import open_dataset
from outcrop.data.errors import DataError
from outcrop.data.hdf5_source import MemorySource
from outcrop.data.schema import SiteRecord
from outcrop.data.shard import fill_shard
from outcrop.data.structure import check_shard, read_array

COUNT = int(os.environ.get("OUTCROP_MUTATIONS", "300"))
SEEDS = ("plain", "many", "compressed")
TELLING = [0, 1, 7, 255, 2**16 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1]


@pytest.fixture
def seed_content(request, shard: Path, new_record: Callable, new_samples: Callable, new_columns: Callable) -> bytes:
    if request.param == "many":
        sites = tuple(
            SiteRecord(name=f"s.{number}", role="block", depth=0, source_shape=(2,), shape=(2,)) for number in range(60)
        )
        record = new_record(sites=sites)
        return bytes(fill_shard(record, 0, new_samples(3), new_columns(record, range(3))).content)
    if request.param == "compressed":
        with h5py.File(shard, "r+", libver=("v108", "v108")) as file:
            for name in list(file["activations"]):
                values = file["activations"][name][()]
                del file["activations"][name]
                file["activations"].create_dataset(
                    name, data=values, chunks=(1, *values.shape[1:]), shuffle=True, compression="gzip", fletcher32=True
                )
    return shard.read_bytes()


def mutate(content: bytes, chance: random.Random) -> bytes:
    """One to four changes: a flipped bit, telling numbers, bytes from elsewhere, a cut."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(changed))
        kind = chance.randrange(6)
        if kind <= 1:
            changed[place] ^= 1 << chance.randrange(8)
        elif kind == 2:
            changed[place : place + 8] = struct.pack("<Q", chance.choice([*TELLING, len(content), place]))
        elif kind == 3:
            changed[place : place + 4] = struct.pack("<I", chance.choice(TELLING) % 2**32)
        elif kind == 4:
            start, size = chance.randrange(len(changed)), chance.randint(1, 64)
            changed[place : place + size] = changed[start : start + size]
        else:
            changed[place : place + 2] = chance.randbytes(2)
    del changed[len(content) :]
    return bytes(changed[: chance.randrange(len(changed))] if chance.random() < 0.02 else changed)


def read_everything(content: bytes) -> None:
    source = MemorySource(content)
    shard = check_shard(source)
    for array in shard.arrays.values():
        if array.chunks is None:
            read_array(source, array)
        else:
            for start in array.chunks.chunks:
                array.chunks.read(source.read, start)


@contextmanager
def no_hang(seconds: int) -> Iterator[None]:
    def end(_number: int, _frame: object) -> None:
        raise AssertionError(f"still at work after {seconds} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("seed_content", SEEDS, indirect=True)
def test_a_mutated_shard_opens_or_is_refused(tmp_path: Path, seed_content: bytes) -> None:
    path = tmp_path / "m.h5"
    chance = random.Random(0)
    refused = 0
    for number in range(-(-COUNT // len(SEEDS))):
        content = mutate(seed_content, chance)
        with no_hang(60):
            try:
                read_everything(content)
                if number % 4 == 0:
                    path.write_bytes(content)
                    ds = open_dataset(path)
                    for site in ds.sites.index:
                        ds.activations(site, step=ds.steps.index[0])
            except DataError:
                refused += 1
    assert refused > COUNT // 20
