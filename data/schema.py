"""What is written in ``dataset.json``, in the journal and in every shard's ``/meta``: formats 1 and 2, by pydantic."""

import math
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

FORMATS = (1, 2)
DType = Literal["float16", "bfloat16", "float32", "int8"]
StoredDType = Literal["<f2", "<u2", "<f4", "|i1"]
STORED_DTYPE: dict[DType, StoredDType] = {"float16": "<f2", "bfloat16": "<u2", "float32": "<f4", "int8": "|i1"}
FILLED_DTYPE: dict[DType, StoredDType] = STORED_DTYPE | {"int8": "<f4"}
"""In which type values are handed to a shard: int8 is made of them when the shard is full."""


def format_of(dtype: DType) -> Literal[1, 2]:
    """The version of a data set, of its shards and its manifest: 2 where an older reader could not read the values."""
    return 2 if dtype == "int8" else 1


class Record(BaseModel):
    """Base of all records: frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SiteRecord(Record):
    """A place in the model where an activation was read."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.\-]+$", max_length=200)
    role: str
    depth: float = Field(ge=0, le=1, description="position in execution order, 0 first, 1 last")
    stream: Literal["image", "text"] = "image"
    source_shape: tuple[int, ...] = Field(description="shape of the module's output for one sample")
    shape: tuple[int, ...] = Field(description="shape stored for one sample and step, after the reduction")


class StepRecord(Record):
    """A denoising step; generators without steps have a single one."""

    index: int = Field(ge=0)
    timestep: float
    log_snr: float = Field(description="log of alpha^2 / sigma^2, clipped to [-20, 20]")
    noise: float = Field(ge=0, le=100, description="100 sigma / (alpha + sigma): 100 is pure noise")


class DatasetRecord(Record):
    """Everything about a data set but its samples."""

    format: Literal[1, 2] = 1
    uuid: str
    model: str
    dtype: DType
    reduction: str
    half: Literal["cond", "uncond", "both"]
    sites: tuple[SiteRecord, ...]
    steps: tuple[StepRecord, ...]
    labels: tuple[str, ...]
    planned_samples: int = Field(ge=1)
    shard_samples: int = Field(ge=1)
    spec: dict[str, Any] = Field(description="the resolved capture specification")
    provenance: dict[str, Any] = Field(description="versions and weights fingerprint")
    licences: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> "DatasetRecord":
        if self.format != format_of(self.dtype):
            raise ValueError(f"a data set of {self.dtype} is of format {format_of(self.dtype)}, not {self.format}")
        return self

    @property
    def sample_bytes(self) -> int:
        """Bytes of activations that one sample takes on disk; of int8 without the scales, which a shard has once."""
        return self._values * np.dtype(STORED_DTYPE[self.dtype]).itemsize

    @property
    def filled_bytes(self) -> int:
        """Bytes of activations that one sample takes in memory while its shard is being filled."""
        return self._values * np.dtype(FILLED_DTYPE[self.dtype]).itemsize

    @property
    def _values(self) -> int:
        return len(self.steps) * sum(math.prod(site.shape) for site in self.sites)


class ColumnRecord(Record):
    """Where an array lies in its shard: ``shape`` is (step, sample, *feature), or (step, 2, *channel) of scales."""

    offset: int = Field(ge=0)
    shape: tuple[int, ...]
    dtype: StoredDType
    crc32: tuple[int, ...] = Field(description="one per step; empty where none is known")


class ShardRecord(Record):
    """A line of the journal: one committed shard."""

    index: int
    file: str = Field(pattern=r"^shards/\d{3}/s\d{6}\.h5$")
    bytes: int
    sha256: str
    samples: tuple[str, ...] = Field(description="sample ids, hexadecimal")
    columns: dict[str, ColumnRecord]


class FileRecord(Record):
    """A file as it was written."""

    bytes: int = Field(ge=0)
    sha256: str


class Manifest(Record):
    """``manifest.json``: every shard of a sealed data set, and checksums of the tables beside them."""

    format: Literal[1, 2] = 1
    uuid: str
    shards: tuple[ShardRecord, ...]
    files: dict[str, FileRecord] = Field(default_factory=dict, description="dataset.json and samples.parquet")
