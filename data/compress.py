"""The compressed profile of format 1: a shard whose activations are chunks with shuffle, gzip and fletcher32.

Those filters come with every HDF5. A chunk holds the samples of one step, so that a probe's column is still read alone.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from outcrop.data.hdf5_messages import MAX_CHUNK_BYTES
from outcrop.data.layout import write_activations_group, write_tables
from outcrop.data.samples import Sample
from outcrop.data.schema import STORED_DTYPE, DatasetRecord, format_of

LEVEL = 4


def write_compressed(
    path: Path,
    record: DatasetRecord,
    samples: Sequence[Sample],
    *,
    read: Callable[[str, int], NDArray[np.generic]],
) -> None:
    """Write one shard; ``read`` gives (sample, *feature) of a site at a step's index, bfloat16 as float32.

    The same samples and values give the same bytes. int8 becomes float32, the values that are read.
    """
    if record.dtype == "int8":  # what comes is decoded, and has no scales of its own
        record = record.model_copy(update={"dtype": "float32", "format": format_of("float32")})
    kind = np.dtype(STORED_DTYPE[record.dtype])
    with h5py.File(path, "w", libver=("v108", "v108")) as file:
        write_tables(file, record, samples)
        group = write_activations_group(file, record)
        for site in record.sites:
            rows = min(len(samples), max(1, MAX_CHUNK_BYTES // 4 // (kind.itemsize * math.prod(site.shape))))
            array = group.create_dataset(
                site.name,
                (len(record.steps), len(samples), *site.shape),
                kind,
                chunks=(1, rows, *site.shape),
                shuffle=True,
                compression="gzip",
                compression_opts=LEVEL,
                fletcher32=True,
                track_times=False,
            )
            for place, step in enumerate(record.steps):
                array[place] = _as_stored(read(site.name, step.index), record)


def _as_stored(values: NDArray[np.generic], record: DatasetRecord) -> NDArray[np.generic]:
    if record.dtype != "bfloat16":
        return values
    return (np.ascontiguousarray(values, "<f4").view("<u4") >> 16).astype("<u2")
