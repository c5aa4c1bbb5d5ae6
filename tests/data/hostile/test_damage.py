"""Flipped bits and cuts anywhere in a data set are found by validate. ``make test-hostile`` tries more of them."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from outcrop.data.background import encode_png
from outcrop.data.dataset import open_dataset
from outcrop.data.errors import DataError
from outcrop.data.label_writer import NewLabel, add_labels
from outcrop.data.validate import validate_dataset
from outcrop.data.writer import open_writer

FLIPS = int(os.environ.get("OUTCROP_FLIPS", "120"))
CUTS = int(os.environ.get("OUTCROP_CUTS", "30"))


@pytest.fixture
def whole(tmp_path: Path, new_record: Callable, new_samples: Callable, new_columns: Callable) -> Path:
    """A sealed data set of six samples with their pictures and an added label; nothing is to be said about it."""
    folder, samples = tmp_path / "ds", new_samples(6)
    record = new_record(planned=6, licences={"data": "CC0-1.0"}, provenance={"torch": "2"})
    pictures = np.random.default_rng(0).integers(0, 255, (6, 8, 8, 3), np.uint8)
    with open_writer(folder, record) as writer:
        writer.write_images({s.image: encode_png(p) for s, p in zip(samples, pictures, strict=True)})
        for index in range(2):
            rows = range(3 * index, 3 * index + 3)
            writer.commit(index, [samples[row] for row in rows], new_columns(record, rows))
        writer.seal(samples)
    ds, said = open_dataset(folder), {"labeller": "hand"}
    add_labels(ds, [NewLabel("count", pd.Series(range(6), index=ds.samples.index), said)])
    assert validate_dataset(folder) == []
    return folder


def found(folder: Path) -> bool:
    try:
        return any(finding.severity == "error" for finding in validate_dataset(folder))
    except DataError:
        return True


def places(folder: Path, chance: random.Random, count: int) -> list[tuple[Path, int]]:
    """Every file in turn, and a random byte of it."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size]
    return [(path, chance.randrange(path.stat().st_size)) for path in (files * count)[:count]]


def test_every_flipped_bit_is_found(whole: Path) -> None:
    chance = random.Random(0)
    for path, place in places(whole, chance, FLIPS):
        content = path.read_bytes()
        changed = bytearray(content)
        changed[place] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        assert found(whole), f"{path.name}, byte {place}"
        path.write_bytes(content)
    assert validate_dataset(whole) == []


def test_every_cut_is_found(whole: Path) -> None:
    for path, place in places(whole, random.Random(1), CUTS):
        content = path.read_bytes()
        path.write_bytes(content[:place])
        assert found(whole), f"{path.name}, cut at {place}"
        path.write_bytes(content)
