"""A small data set with known values."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from outcrop.data.samples import LabelValue, Sample, image_path, sample_id
from outcrop.data.schema import STORED_DTYPE, DatasetRecord, DType, SiteRecord, StepRecord
from outcrop.data.writer import open_writer

SHARD = 3
SHAPES = {"mid_block": (4,), "up_blocks.0": (2, 3, 3)}

Columns = dict[str, NDArray[np.generic]]


def make_record(*, dtype: DType = "float16", uuid: str = "u1", planned: int = 8, **changes: object) -> DatasetRecord:
    sites = tuple(
        SiteRecord(name=name, role="block", depth=place, source_shape=shape, shape=shape)
        for place, (name, shape) in enumerate(SHAPES.items())
    )
    steps = tuple(StepRecord(index=k, timestep=900.0 - 400 * k, log_snr=k - 1.0, noise=90.0 - k) for k in range(2))
    fields = {
        "uuid": uuid,
        "model": "planted",
        "dtype": dtype,
        "reduction": "mean",
        "half": "cond",
        "sites": sites,
        "steps": steps,
        "labels": ("content", "size"),
        "planned_samples": planned,
        "shard_samples": SHARD,
        "spec": {"model": "planted", "steps": 2},
        "provenance": {},
    }
    return DatasetRecord.model_validate(fields | changes)


def make_samples(n: int = 8) -> list[Sample]:
    def labels(k: int) -> dict[str, LabelValue]:
        return {"content": ("disc", "star")[k % 2], "size": k / 2}

    ids = [sample_id("planted", f"prompt {k}", k, k) for k in range(n)]
    return [
        Sample(name, f"prompt {k}", k, f"t{k % 3}", labels=labels(k), image=image_path(name))
        for k, name in enumerate(ids)
    ]


def make_columns(record: DatasetRecord, rows: range) -> Columns:
    """Values that depend on the site, the step and the sample's place in the plan."""
    kind = np.dtype(STORED_DTYPE[record.dtype])
    columns = {}
    for number, site in enumerate(record.sites):
        planes = [
            np.random.default_rng([number, row]).standard_normal((len(record.steps), *site.shape)) for row in rows
        ]
        values = np.stack(planes, axis=1)
        columns[site.name] = (100 * values).astype(kind) if kind.kind == "f" else np.abs(100 * values).astype(kind)
    return columns


def write_shards(folder: Path, record: DatasetRecord, samples: list[Sample], *, seal: bool = True) -> None:
    """Commit what is not committed yet, as a capture does."""
    with open_writer(folder, record) as writer:
        for index in range(-(-len(samples) // SHARD)):
            if index in writer.committed:
                continue
            rows = range(index * SHARD, min((index + 1) * SHARD, len(samples)))
            writer.commit(index, [samples[row] for row in rows], make_columns(record, rows))
        if seal:
            writer.seal(samples)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sealed data set of 8 samples in three shards."""
    target = tmp_path / "ds"
    write_shards(target, make_record(), make_samples())
    return target


@pytest.fixture
def new_record() -> Callable[..., DatasetRecord]:
    return make_record


@pytest.fixture
def new_samples() -> Callable[..., list[Sample]]:
    return make_samples


@pytest.fixture
def new_columns() -> Callable[..., Columns]:
    return make_columns


@pytest.fixture
def write() -> Callable[..., None]:
    return write_shards
