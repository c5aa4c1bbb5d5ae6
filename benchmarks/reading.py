"""Reading activations against other layouts of the same numbers, in one process and run.

Run ``python benchmarks/reading.py --help`` (with OMP_NUM_THREADS=1). Times are medians over interleaved rounds: of the
process's CPU where the files are in the page cache, of the clock where they are not. Every layout's values are compared
with what was written before anything is timed.
"""

import argparse
import ctypes
import mmap
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import safetensors
import zarr
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch.utils.data import BatchSampler, DataLoader, RandomSampler
from torch.utils.data import Dataset as TorchDataset

from outcrop.data.dataset import Dataset, open_dataset
from outcrop.data.samples import Sample
from outcrop.data.schema import DatasetRecord, SiteRecord, StepRecord
from outcrop.data.writer import open_writer

Array = NDArray[np.float16]
SITES, STEPS, WIDTH, SHARDS = 4, 4, 640, 8
SITE, STEP = "blocks.2", 1


@dataclass(frozen=True)
class Layout:
    """One way to keep the numbers: ``column`` reads (sample, feature) of SITE at STEP, ``rows`` some samples of it."""

    name: str
    files: list[Path]
    column: Callable[[], Array]
    rows: Callable[[list[int]], Array]


def make_record(n: int, shards: int, *, sites: int = SITES, width: int = WIDTH) -> DatasetRecord:
    places = [SiteRecord(name=f"blocks.{k}", role="block", depth=k / sites, source_shape=(width,), shape=(width,))
              for k in range(sites)]  # fmt: skip
    steps = [StepRecord(index=k, timestep=900.0 - k, log_snr=0.0, noise=50.0) for k in range(STEPS)]
    fields = {"uuid": "benchmark", "model": "none", "dtype": "float16", "reduction": "mean", "half": "cond"}
    counts = {"planned_samples": n, "shard_samples": n // shards, "labels": ("parity",)}
    rest = {"sites": places, "steps": steps, "spec": {"images": False}, "provenance": {}}
    return DatasetRecord.model_validate(fields | counts | rest)


def write_outcrop(folder: Path, values: dict[str, Array], shards: int) -> None:
    """``values``: site to (step, sample, feature)."""
    n = next(iter(values.values())).shape[1]
    samples = [Sample(f"{k + 1:016x}", f"prompt {k}", k, labels={"parity": k % 2}) for k in range(n)]
    record = make_record(n, shards, sites=len(values), width=next(iter(values.values())).shape[2])
    with open_writer(folder, record) as writer:
        for index, part in enumerate(np.array_split(np.arange(n), shards)):
            columns = {name: value[:, part] for name, value in values.items()}
            writer.commit(index, samples[part[0] : part[-1] + 1], columns)
        writer.seal(samples)


def outcrop_layout(root: Path, values: dict[str, Array]) -> Layout:
    folder = root / "outcrop"
    write_outcrop(folder, values, SHARDS)
    ds = open_dataset(folder)
    return Layout(
        "outcrop", sorted(folder.rglob("*.h5")), lambda: ds.activations(SITE, step=STEP),
        lambda rows: ds.rows(SITE, STEP, np.array(rows)),
    )  # fmt: skip


def npy_layout(root: Path, values: dict[str, Array]) -> Layout:
    """A file for each column: the least that reading can cost."""
    paths = {(name, step): root / f"{name}-{step}.npy" for name in values for step in range(STEPS)}
    for (name, step), path in paths.items():
        np.save(path, values[name][step])
    path = paths[SITE, STEP]
    return Layout("npy", [path], partial(np.load, path), lambda rows: np.load(path, mmap_mode="r")[rows])


def safetensors_layout(root: Path, values: dict[str, Array]) -> Layout:
    """As many files as shards, in each a tensor for each column."""
    paths = []
    for number, part in enumerate(np.array_split(np.arange(values[SITE].shape[1]), SHARDS)):
        paths.append(root / f"part-{number}.safetensors")
        tensors = {f"{name}/{step}": value[step, part] for name, value in values.items() for step in range(STEPS)}
        save_file(tensors, paths[-1])

    def column() -> Array:
        parts = []
        for path in paths:
            with safetensors.safe_open(path, "np") as file:
                parts.append(file.get_tensor(f"{SITE}/{STEP}"))
        return np.concatenate(parts)

    return Layout("safetensors", paths, column, lambda rows: column()[rows])


def zarr_layout(root: Path, values: dict[str, Array]) -> Layout:
    """Format 3, a chunk for each column of as many samples as a shard has, uncompressed."""
    group = zarr.open_group(root / "all.zarr", mode="w", zarr_format=3)
    for name, value in values.items():
        chunks = (1, value.shape[1] // SHARDS, WIDTH)
        array = group.create_array(name, shape=value.shape, chunks=chunks, dtype=value.dtype, compressors=None)
        array[:] = value
    array = zarr.open_group(root / "all.zarr", mode="r")[SITE]
    files = [path for path in (root / "all.zarr").rglob("*") if path.is_file()]
    return Layout("zarr v3", files, lambda: array[STEP], lambda rows: array.oindex[STEP, rows])


def group_layout(root: Path, values: dict[str, Array]) -> Layout:
    """The common way: an HDF5 group for each sample, in it a data set (step, feature) for each site."""
    path = root / "groups.h5"
    with h5py.File(path, "w") as file:
        for k in range(values[SITE].shape[1]):
            for name, value in values.items():
                file[f"samples/{k:06d}/{name}"] = value[:, k]
    names = [f"samples/{k:06d}/{SITE}" for k in range(values[SITE].shape[1])]

    def rows(wanted: list[int]) -> Array:
        with h5py.File(path) as file:
            return np.stack([file[names[k]][STEP] for k in wanted])

    return Layout("HDF5 group a sample", [path], lambda: rows(list(range(len(names)))), rows)


def cached_share(path: Path) -> float:
    """How much of a file is in the page cache, by mincore(2)."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as pages:
        content = np.frombuffer(pages, np.uint8)
        found = np.zeros(-(-len(content) // mmap.PAGESIZE), np.uint8)
        ctypes.CDLL(None).mincore(
            ctypes.c_void_p(content.ctypes.data), ctypes.c_size_t(len(content)), ctypes.c_void_p(found.ctypes.data)
        )
        del content
    return float((found & 1).mean())


def evict(paths: list[Path]) -> None:
    """Drop files from the page cache."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def timed(action: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    action()
    return clock() - start


def compare_columns(layouts: list[Layout], values: dict[str, Array], rounds: int) -> None:
    expected = values[SITE][STEP]
    for layout in layouts:
        assert np.array_equal(layout.column(), expected), layout.name
    warm: dict[str, list[float]] = {"memcpy": [], **{layout.name: [] for layout in layouts}}
    cold: dict[str, list[float]] = {layout.name: [] for layout in layouts}
    source, partly = expected.copy(), set[str]()
    for turn in range(rounds):
        warm["memcpy"].append(timed(source.copy, time.process_time))
        for layout in layouts:
            if layout.name.startswith("HDF5") and turn >= 3:
                continue
            warm[layout.name].append(timed(layout.column, time.process_time))
    for _ in range(max(rounds // 4, 3)):
        for layout in layouts:
            evict(layout.files)
            if statistics.mean(map(cached_share, layout.files)) > 0.01:
                partly.add(layout.name)
            cold[layout.name].append(timed(layout.column, time.perf_counter))
    print(f"One column: {expected.shape[0]} x {expected.shape[1]} float16, {expected.nbytes / 1e6:.1f} MB\n")
    print("| layout | warm, ms of CPU | share of memcpy's speed | cold, ms | times npy, cold |\n|" + " --- |" * 5)
    copy, raw = statistics.median(warm["memcpy"]), statistics.median(cold["npy"])
    for name, times in warm.items():
        ms, late = statistics.median(times), statistics.median(cold.get(name, [0]))
        mark = " (partly in the cache)" if name in partly else ""
        rest = f"{late * 1e3:.1f}{mark} | {late / raw:.2f}" if late else " | "
        print(f"| {name} | {ms * 1e3:.2f} | {copy / ms:.0%} | {rest} |")


class GroupRows(TorchDataset):
    """What is usually written for the layout of a group a sample: an item opens nothing, the file stays open."""

    def __init__(self, path: Path, n: int) -> None:
        self.path, self.n, self.file = path, n, None

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> tuple[Array, int]:
        if self.file is None:
            self.file = h5py.File(self.path)
        return self.file[f"samples/{index:06d}/{SITE}"][STEP], index % 2


def compare_loaders(ds: Dataset, group: Path, *, size: int, workers: int, rounds: int) -> None:
    """One pass in random order, activations and a label of each sample."""
    n = len(ds)
    rows = ds.torch(SITE, steps=STEP, labels=["parity"])
    loaders = {
        "a group a sample": DataLoader(GroupRows(group, n), batch_size=size, shuffle=True, num_workers=workers),
        "outcrop, any order": DataLoader(
            rows, batch_size=None, sampler=BatchSampler(RandomSampler(rows), size, drop_last=False), num_workers=workers
        ),
        "outcrop, batch_size and shuffle": DataLoader(rows, batch_size=size, shuffle=True, num_workers=workers),
        "outcrop, by blocks": DataLoader(
            rows, batch_size=None, sampler=rows.batches(size, mix=4), num_workers=workers
        ),
    }  # fmt: skip
    times: dict[str, list[float]] = {name: [] for name in loaders}
    for _ in range(rounds):
        for name, loader in loaders.items():
            times[name].append(timed(lambda loader=loader: [None for _ in loader], time.perf_counter))
    print(f"\nDataLoader, {n} samples in batches of {size}, {workers} workers, a pass\n")
    print("| loader | s | times as fast |\n| --- | --- | --- |")
    peer = statistics.median(times["a group a sample"])
    for name, each in times.items():
        print(f"| {name} | {statistics.median(each):.3f} | {peer / statistics.median(each):.1f} |")


def compare_opening(root: Path, shards: int) -> None:
    values = {f"blocks.{k}": np.zeros((STEPS, 2 * shards, 8), np.float16) for k in range(SITES)}
    write_outcrop(root / "many", values, shards)
    opened = [timed(lambda: open_dataset(root / "many"), time.perf_counter) for _ in range(5)]
    first = [timed(lambda: open_dataset(root / "many").activations(SITE, step=0), time.perf_counter) for _ in range(3)]
    print(f"\nOpening {shards} shards: {statistics.median(opened):.2f} s; with the first column: {min(first):.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--shards", type=int, default=1000, help="for the time that opening takes")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    shape = (STEPS, arguments.samples, WIDTH)
    values = {f"blocks.{k}": rng.standard_normal(shape, np.float32).astype(np.float16) for k in range(SITES)}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        root = Path(folder)
        makers = (npy_layout, outcrop_layout, safetensors_layout, zarr_layout, group_layout)
        layouts = [make(root, values) for make in makers]
        compare_columns(layouts, values, arguments.rounds)
        ds = open_dataset(root / "outcrop")
        for workers in (0, 2):
            compare_loaders(ds, root / "groups.h5", size=64, workers=workers, rounds=3)
        compare_opening(root, arguments.shards)


if __name__ == "__main__":
    main()
