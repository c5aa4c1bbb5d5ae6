"""Where everything lies in a shard's file, known before its first activation is.

The file is described to HDF5 with its large arrays allocated but not written, over a file object that notes what is
written: the header and the small tables come out in milliseconds, however large the arrays.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import h5py
import numpy as np
from h5py import h5d, h5p, h5s, h5t
from numpy.typing import NDArray

from outcrop.data.samples import Sample
from outcrop.data.schema import DatasetRecord, StoredDType
from outcrop.data.stored import stored_columns

HDF5_TYPES = {"<f2": h5t.IEEE_F16LE, "<u2": h5t.STD_U16LE, "<f4": h5t.IEEE_F32LE, "|i1": h5t.STD_I8LE}


@dataclass(frozen=True)
class Placement:
    """Where a site's array (step, sample, *feature) lies, or its scales."""

    offset: int
    shape: tuple[int, ...]
    dtype: StoredDType

    @property
    def size(self) -> int:
        """Bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class ShardLayout:
    """``size`` bytes: ``pieces`` at their offsets, ``columns`` to be filled, zeros between them."""

    size: int
    pieces: tuple[tuple[int, bytes], ...]
    columns: dict[str, Placement]


def lay_out(dataset: DatasetRecord, samples: Sequence[Sample]) -> ShardLayout:
    """The layout of a shard that holds ``samples``; the same for the same arguments, always.

    HDF5 calls back into Python here, and an exception such as KeyboardInterrupt would get lost in it. On a thread that
    is not the main one, no signal raises.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_lay_out, dataset, samples).result()


def _lay_out(dataset: DatasetRecord, samples: Sequence[Sample]) -> ShardLayout:
    notes = _WriteNotes()
    with h5py.File(notes, "w", libver=("v108", "v108")) as file:
        write_tables(file, dataset, samples)
        write_activations_group(file, dataset)
        if dataset.dtype == "int8":
            file.create_group("scales").attrs["axes"] = np.bytes_("step, centre and step, channel")
        columns = {
            column.key: _allocate(file, column.path, column.shape(len(samples)), column.dtype)
            for column in stored_columns(dataset)
        }
    return ShardLayout(notes.size, tuple(notes.pieces), columns)


@dataclass
class _WriteNotes:
    """A write-only file that keeps what was written and where; what HDF5 asks of a file object."""

    size: int = 0
    pieces: list[tuple[int, bytes]] = field(default_factory=list)
    _place: int = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = offset + (0, self._place, self.size)[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def write(self, content: bytes) -> int:
        self.pieces.append((self._place, bytes(content)))
        self._place += len(content)
        self.size = max(self.size, self._place)
        return len(content)

    def truncate(self, size: int) -> int:
        self.size = size
        return size

    def flush(self) -> None:
        return

    def read(self, _size: int = -1) -> bytes:
        raise AssertionError("a new file has nothing that HDF5 would need to read")

    def readinto(self, _buffer: object) -> int:
        return len(self.read())


def _allocate(file: h5py.File, path: str, shape: tuple[int, ...], kind: StoredDType) -> Placement:
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_layout(h5d.CONTIGUOUS)
    properties.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5d.FILL_TIME_NEVER)
    properties.set_obj_track_times(False)
    array = h5d.create(file.id, path.encode(), HDF5_TYPES[kind], h5s.create_simple(shape), properties)
    return Placement(int(array.get_offset()), shape, kind)


def _store(file: h5py.File, path: str, array: NDArray[np.generic]) -> None:
    file.create_dataset(path, data=array, track_times=False)


def write_activations_group(file: h5py.File, dataset: DatasetRecord) -> h5py.Group:
    """``/activations``, empty, with its attributes."""
    group = file.create_group("activations")
    group.attrs["axes"] = np.bytes_("step, sample, feature")
    if dataset.dtype == "bfloat16":
        group.attrs["logical_dtype"] = np.bytes_("bfloat16")
    if dataset.dtype == "int8":
        group.attrs["logical_dtype"] = np.bytes_("float32: centre + step * value, of /scales")
    return group


def write_tables(file: h5py.File, dataset: DatasetRecord, samples: Sequence[Sample]) -> None:
    """``/meta``, ``/samples`` and ``/steps``."""
    _store(file, "meta", np.frombuffer(dataset.model_dump_json().encode(), np.uint8))
    _store(file, "samples/id", np.array([int(sample.id, 16) for sample in samples], "<u8"))
    _store(file, "samples/seed", np.array([sample.seed for sample in samples], "<i8"))
    for column in ("prompt", "negative_prompt", "template", "image"):
        _store_text(file, f"samples/{column}", [getattr(sample, column) for sample in samples])
    for label in dataset.labels:
        values = [sample.labels[label] for sample in samples]
        if any(isinstance(value, str) for value in values):
            _store_text(file, f"samples/labels/{label}", [str(value) for value in values])
        else:
            whole = all(isinstance(value, int) for value in values)
            _store(file, f"samples/labels/{label}", np.array(values, "<i8" if whole else "<f8"))
    _store(file, "steps/index", np.array([step.index for step in dataset.steps], "<i8"))
    for column in ("timestep", "log_snr", "noise"):
        _store(file, f"steps/{column}", np.array([getattr(step, column) for step in dataset.steps], "<f8"))


def _store_text(file: h5py.File, path: str, values: Sequence[str]) -> None:
    encoded = [value.encode() for value in values]
    width = max(1, *(len(value) for value in encoded))
    kind = h5py.string_dtype("utf-8", width)
    _store(file, path, np.array(encoded, dtype=f"S{width}").astype(kind))
