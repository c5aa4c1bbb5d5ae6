"""A selection of a data set in the formats of other tools: npy, safetensors, Zarr, parquet, or compressed shards.

Each export is a folder of its own with the values, ``samples.parquet`` (samples and labels, in the order of the rows)
and ``export.json`` (where it comes from, sites, steps, and what the axes mean). It appears whole or not at all.
"""

import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.data.arrays import needed
from outcrop.data.compress import write_compressed
from outcrop.data.errors import InputError
from outcrop.data.schema import SiteRecord
from outcrop.data.tables import samples_of

if TYPE_CHECKING:
    from outcrop.data.dataset import Dataset

Form = Literal["compressed", "npy", "safetensors", "zarr", "parquet"]
CHUNK_BYTES = 2**26
AXES = "step, sample, feature"


def export(ds: "Dataset", out: str | Path, *, form: Form) -> list[str]:
    """Write the selected sites, steps and samples of ``ds`` into the new folder ``out``; the files, by name.

    ``npy`` and ``safetensors``: a file a site, (step, sample, *feature). ``zarr``: one group, an array a site, chunks
    within a step. ``parquet``: a table a site, a row for each step and sample, with labels and features averaged over
    positions. ``compressed``: shards of format 1 with gzip, which any HDF5 reads and
    :func:`~outcrop.data.merge.merge_datasets` unpacks. bfloat16 becomes float32 except in ``compressed``.

    Raises :class:`InputError` if there is something at ``out``, or a library is lacking.
    """
    if form not in WRITERS:
        raise InputError(f"form must be one of {', '.join(WRITERS)}. Got {form!r}.")
    target = Path(out)
    with _new_folder(target) as folder:
        WRITERS[form](ds, folder)
        ds.samples.to_parquet(folder / "samples.parquet")
        (folder / "export.json").write_text(json.dumps(_describe(ds, form), indent=1))
    return sorted(path.relative_to(target).as_posix() for path in target.iterdir())


def pool(values: NDArray[Any], site: SiteRecord) -> NDArray[np.float32]:
    """(sample, channel): means over the positions of (sample, channel, height, width) or (sample, token, channel)."""
    shape = site.shape
    positions = {1: (), 2: (1,)}.get(len(shape), tuple(range(2, len(shape) + 1)))
    pooled: NDArray[np.float32] = values.astype(np.float32).mean(axis=positions) if positions else values.astype("<f4")
    return pooled.reshape(len(values), -1)


def _write_npy(ds: "Dataset", folder: Path) -> None:
    for site, shape, kind in _arrays(ds):
        array = np.lib.format.open_memmap(folder / f"{site.name}.npy", mode="w+", dtype=kind, shape=shape)
        _fill(ds, site, array)
        array.flush()


def _write_safetensors(ds: "Dataset", folder: Path) -> None:
    from safetensors.numpy import save_file

    for site, shape, kind in _arrays(ds):
        values = np.empty(shape, kind)
        _fill(ds, site, values)
        save_file({"activations": values}, folder / f"{site.name}.safetensors", {"site": site.name, "axes": AXES})


def _write_zarr(ds: "Dataset", folder: Path) -> None:
    zarr = needed("zarr")
    group = zarr.create_group(store=str(folder / "activations.zarr"), attributes=_describe(ds, "zarr"))
    for site, shape, kind in _arrays(ds):
        rows = max(1, min(len(ds), CHUNK_BYTES // (kind.itemsize * math.prod(site.shape))))
        names = ["step", "sample", *(f"{site.name}.{axis}" for axis in range(len(site.shape)))]
        array = group.create_array(
            site.name, shape=shape, dtype=kind, chunks=(1, rows, *site.shape), dimension_names=names
        )
        _fill(ds, site, array)


def _write_parquet(ds: "Dataset", folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for site in ds.info.sites:
        writer = None
        for step in ds.steps.index:
            pooled = pool(ds.rows(site.name, int(step), None), site)
            features = pd.DataFrame(pooled, index=ds.samples.index, columns=[f"x{k}" for k in range(pooled.shape[1])])
            place = pd.DataFrame({"step": int(step), "timestep": ds.steps["timestep"][step]}, index=ds.samples.index)
            table = pa.Table.from_pandas(pd.concat([place, ds.labels, features], axis=1))
            writer = writer or pq.ParquetWriter(folder / f"{site.name}.parquet", table.schema)
            writer.write_table(table)
        if writer is not None:
            writer.close()


def _write_compressed(ds: "Dataset", folder: Path) -> None:
    ids = [str(name) for name in ds.samples.index]
    identity = json.dumps([ds.info.model_dump(mode="json"), ids], sort_keys=True)
    changes: dict[str, Any] = {
        "uuid": str(uuid5(NAMESPACE_URL, identity)),
        "planned_samples": len(ids),
        "provenance": {**ds.info.provenance, "exported_from": ds.uuid},
    }
    record = ds.info.model_copy(update=changes)
    samples = samples_of(ds.samples, record.labels)
    for number, start in enumerate(range(0, len(ids), record.shard_samples)):
        rows = np.arange(start, min(start + record.shard_samples, len(ids)))
        chosen = samples[start : start + record.shard_samples]
        write_compressed(folder / f"s{number:06d}.h5", record, chosen, read=partial(_read, ds, rows))


def _read(ds: "Dataset", rows: NDArray[np.int64], site: str, step: int) -> NDArray[np.generic]:
    return ds.rows(site, step, rows)


WRITERS: dict[Form, Callable[["Dataset", Path], None]] = {
    "compressed": _write_compressed,
    "npy": _write_npy,
    "safetensors": _write_safetensors,
    "zarr": _write_zarr,
    "parquet": _write_parquet,
}


def _arrays(ds: "Dataset") -> Iterator[tuple[SiteRecord, tuple[int, ...], np.dtype[Any]]]:
    kind = np.dtype(np.float16 if ds.dtype == "float16" else np.float32)
    for site in ds.info.sites:
        yield site, (len(ds.steps), len(ds), *site.shape), kind


def _fill(ds: "Dataset", site: SiteRecord, target: Any) -> None:
    for place, step in enumerate(ds.steps.index):
        target[place] = ds.rows(site.name, int(step), None)


def _describe(ds: "Dataset", form: Form) -> dict[str, Any]:
    return {
        "outcrop_export": 1,
        "form": form,
        "axes": "step and sample, channel" if form == "parquet" else AXES,
        "uuid": ds.uuid,
        "samples": len(ds),
        "record": ds.info.model_dump(mode="json"),
    }


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A folder that takes the name ``out`` when the body has ended well, and goes when it has not."""
    if os.path.lexists(out):
        raise InputError(f"{out} is there already. Choose another folder, or remove it first.")
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
