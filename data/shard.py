"""One shard: the bytes of an HDF5 file that any HDF5 since 1.8 opens, the same bytes for the same samples.

/activations/<site>   contiguous, (step, sample, *feature), <f2, <f4, or <u2 holding bfloat16
/samples/<column>     id <u8, seed <i8, text as fixed-length UTF-8, numbers as <f8
/steps/<column>       index <i8, timestep, log_snr, noise <f8
/meta                 the data set's record as JSON bytes
"""

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import h5py
import numpy as np
from numpy.typing import NDArray

from outcrop.data.errors import DataError
from outcrop.data.samples import Sample
from outcrop.data.schema import STORED_DTYPE, ColumnRecord, DatasetRecord, ShardRecord, StoredDType

Columns = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class EncodedShard:
    """A shard's bytes and the journal line that will announce it."""

    content: bytes
    record: ShardRecord


def encode_shard(dataset: DatasetRecord, index: int, samples: Sequence[Sample], columns: Columns) -> EncodedShard:
    """Lay out ``columns`` (site name to (step, sample, *feature)) and ``samples`` as one HDF5 file in memory.

    Raises :class:`DataError` for an array of the wrong shape or dtype.
    """
    for site in dataset.sites:
        expected = (len(dataset.steps), len(samples), *site.shape)
        _check_column(site.name, columns[site.name], expected, STORED_DTYPE[dataset.dtype])
    with h5py.File(f"s{index:06d}.h5", "w", driver="core", backing_store=False, libver=("v108", "v108")) as file:
        _write_tables(file, dataset, samples)
        stored = {site.name: _store(file, f"activations/{site.name}", columns[site.name]) for site in dataset.sites}
        file["activations"].attrs["axes"] = np.bytes_("step, sample, feature")
        if dataset.dtype == "bfloat16":
            file["activations"].attrs["logical_dtype"] = np.bytes_("bfloat16")
        file.flush()
        offsets = {name: int(array.id.get_offset()) for name, array in stored.items()}
        content = file.id.get_file_image()
    record = ShardRecord(
        index=index,
        file=shard_file(index),
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        samples=tuple(sample.id for sample in samples),
        columns={
            name: _describe(columns[name], offset, STORED_DTYPE[dataset.dtype]) for name, offset in offsets.items()
        },
    )
    return EncodedShard(content, record)


def shard_file(index: int) -> str:
    """Path of shard ``index`` inside the data set; a folder holds a thousand."""
    return f"shards/{index // 1000:03d}/s{index:06d}.h5"


def _check_column(name: str, array: NDArray[np.generic], shape: tuple[int, ...], dtype: str) -> None:
    if array.shape != shape or array.dtype != np.dtype(dtype):
        raise DataError(
            f"Activations of site {name!r} must have shape {shape} and dtype {dtype}. "
            f"Got {array.shape} and {array.dtype.str}."
        )


def _store(file: h5py.File, path: str, array: NDArray[np.generic]) -> h5py.Dataset:
    return file.create_dataset(path, data=array, track_times=False)


def _write_tables(file: h5py.File, dataset: DatasetRecord, samples: Sequence[Sample]) -> None:
    _store(file, "meta", np.frombuffer(dataset.model_dump_json().encode(), np.uint8))
    _store(file, "samples/id", np.array([int(sample.id, 16) for sample in samples], "<u8"))
    _store(file, "samples/seed", np.array([sample.seed for sample in samples], "<i8"))
    for field in ("prompt", "negative_prompt", "template", "image"):
        _store_text(file, f"samples/{field}", [getattr(sample, field) for sample in samples])
    for label in dataset.labels:
        values = [sample.labels[label] for sample in samples]
        if any(isinstance(value, str) for value in values):
            _store_text(file, f"samples/labels/{label}", [str(value) for value in values])
        else:
            _store(file, f"samples/labels/{label}", np.array(values, "<f8"))
    _store(file, "steps/index", np.array([step.index for step in dataset.steps], "<i8"))
    for field in ("timestep", "log_snr", "noise"):
        _store(file, f"steps/{field}", np.array([getattr(step, field) for step in dataset.steps], "<f8"))


def _store_text(file: h5py.File, path: str, values: Sequence[str]) -> None:
    encoded = [value.encode() for value in values]
    width = max(1, *(len(value) for value in encoded))
    kind = h5py.string_dtype("utf-8", width)
    _store(file, path, np.array(encoded, dtype=f"S{width}").astype(kind))


def _describe(array: NDArray[np.generic], offset: int, dtype: StoredDType) -> ColumnRecord:
    checks = tuple(zlib.crc32(np.ascontiguousarray(plane).data.cast("B")) for plane in array)
    return ColumnRecord(offset=offset, shape=array.shape, dtype=dtype, crc32=checks)
