"""One shard: the bytes of an HDF5 file that any HDF5 since 1.8 opens, the same bytes for the same samples.

/activations/<site>   contiguous, (step, sample, *feature), <f2, <f4, <u2 holding bfloat16, or |i1
/scales/<site>        of |i1: (step, 2, *channel), <f4, centre and step of the values
/samples/<column>     id <u8, seed <i8, text as fixed-length UTF-8, whole numbers as <i8, others as <f8
/steps/<column>       index <i8, timestep, log_snr, noise <f8
/meta                 the data set's record as JSON bytes
"""

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from outcrop.data.errors import DataError
from outcrop.data.int8 import channel_shape, encode
from outcrop.data.layout import Placement, ShardLayout, lay_out
from outcrop.data.samples import Sample
from outcrop.data.schema import FILLED_DTYPE, ColumnRecord, DatasetRecord, ShardRecord
from outcrop.data.stored import SCALES

Columns = Mapping[str, NDArray[np.generic]]
Memory = NDArray[np.uint8]


class OpenShard:
    """A shard in memory that is being filled. ``columns`` are its arrays, site name to (step, sample, *feature).

    They are views into the file's bytes: what is assigned to them needs no further copy. Of int8, they are float32
    beside the file, and :meth:`finish` makes codes of them. ``memory`` is used again where it is large enough.
    """

    def __init__(
        self, dataset: DatasetRecord, index: int, samples: Sequence[Sample], *, memory: Memory | None = None
    ) -> None:
        layout = lay_out(dataset, samples)
        self.index, self.samples, self._layout = index, tuple(samples), layout
        self.memory = _at_least(layout.size, memory)
        self._bytes = self.memory[: layout.size]
        _write_header(self._bytes, layout)
        self._stored: dict[str, NDArray[Any]] = {
            name: np.ndarray(place.shape, place.dtype, self._bytes.data, place.offset)
            for name, place in layout.columns.items()
        }
        self._half, self._coded = dataset.half, dataset.dtype == "int8"
        self.columns = (
            {site.name: np.empty(self._stored[site.name].shape, "<f4") for site in dataset.sites}
            if self._coded
            else self._stored
        )

    def finish(self) -> None:
        """Make of the columns what is stored: where they are no part of the file's bytes, these are filled now."""
        if not self._coded:
            return
        for name, column in self.columns.items():
            channels = channel_shape(column.shape[2:], self._half)
            for step, plane in enumerate(column):
                self._stored[name][step], self._stored[SCALES + name][step] = encode(plane, channels)

    @property
    def content(self) -> memoryview:
        """The file's bytes; whole after :meth:`finish`."""
        return self._bytes.data

    def take_over(self, content: NDArray[np.uint8]) -> bool:
        """Take the columns from the bytes of a file; whether that is this shard, with the same samples of the same
        data set. Where it is not, the columns have to be filled.
        """
        if len(content) != len(self._bytes):
            return False
        for place in self._layout.columns.values():
            own = slice(place.offset, place.offset + place.size)
            self._bytes[own] = content[own]
        return np.array_equal(content, self._bytes)

    def record(self) -> ShardRecord:
        """The journal line that will announce the shard as it is now filled."""
        return ShardRecord(
            index=self.index,
            file=shard_file(self.index),
            bytes=len(self._bytes),
            sha256=hashlib.sha256(self.content).hexdigest(),
            samples=tuple(sample.id for sample in self.samples),
            columns={
                name: ColumnRecord(
                    offset=place.offset, shape=place.shape, dtype=place.dtype, crc32=_checksums(self._bytes, place)
                )
                for name, place in self._layout.columns.items()
            },
        )


def fill_shard(dataset: DatasetRecord, index: int, samples: Sequence[Sample], columns: Columns) -> OpenShard:
    """A shard with copies of ``columns``, site name to (step, sample, *feature).

    bfloat16 is handed over as it is stored, int8 as float32. Raises :class:`DataError` for an array of the wrong
    shape or dtype.
    """
    for site in dataset.sites:
        expected = (len(dataset.steps), len(samples), *site.shape)
        _check_column(site.name, columns[site.name], expected, FILLED_DTYPE[dataset.dtype])
    shard = OpenShard(dataset, index, samples)
    for name, target in shard.columns.items():
        target[...] = columns[name]
    shard.finish()
    return shard


def shard_file(index: int) -> str:
    """Path of shard ``index`` inside the data set; a folder holds a thousand."""
    return f"shards/{index // 1000:03d}/s{index:06d}.h5"


def _at_least(size: int, memory: Memory | None) -> Memory:
    return memory if memory is not None and len(memory) >= size else np.empty(size, np.uint8)


def _write_header(memory: Memory, layout: ShardLayout) -> None:
    """All that is no activation; nothing of what the memory held before stays between the columns."""
    start = 0
    for place in sorted(layout.columns.values(), key=lambda place: place.offset):
        memory[start : place.offset] = 0
        start = place.offset + place.size
    memory[start:] = 0
    for offset, piece in layout.pieces:
        memory[offset : offset + len(piece)] = np.frombuffer(piece, np.uint8)


def _checksums(memory: Memory, place: Placement) -> tuple[int, ...]:
    """One a step."""
    planes = memory[place.offset : place.offset + place.size].reshape(place.shape[0], -1)
    return tuple(zlib.crc32(plane.data) for plane in planes)


def _check_column(name: str, array: NDArray[np.generic], shape: tuple[int, ...], dtype: str) -> None:
    if array.shape != shape or array.dtype != np.dtype(dtype):
        raise DataError(
            f"Activations of site {name!r} must have shape {shape} and dtype {dtype}. "
            f"Got {array.shape} and {array.dtype.str}."
        )
