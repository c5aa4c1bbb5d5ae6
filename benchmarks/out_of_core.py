"""Probes, alignment and maps by UMAP of a data set ten times as large as the memory that they are allowed.

    make test-out-of-core                          # 10 GB of data, 1 GiB of memory
    python benchmarks/out_of_core.py --scratch /dev/shm --gb 2

Writes a data set, in one cell of which a property is planted, and has another process probe all of it, align its
sites and map the samples at one of them under a limit that the kernel enforces (RLIMIT_DATA: all private memory, used
or only reserved). That process must end well, find the property in its cell and nothing elsewhere; with too low a limit
it must fail. Ends with 1 otherwise.
"""

import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import outcrop as oc
from outcrop.data.samples import Sample, sample_id
from outcrop.data.schema import DatasetRecord, SiteRecord, StepRecord
from outcrop.data.writer import open_writer
from outcrop.probes.alignment import alignment_matrix
from outcrop.probes.features import SiteFeatures

SAMPLES, SHAPE, STEPS, SHARD = 240, (64, 32, 32), 16, 8
PLANTED = ("block.1", 7)
COLUMN = SAMPLES * math.prod(SHAPE) * 2
"""Bytes in float16."""

GROUPS = 30


def record_of(sites: int) -> DatasetRecord:
    return DatasetRecord(
        uuid=f"out-of-core-{sites}",
        model="planted",
        dtype="float16",
        reduction="full",
        half="cond",
        sites=tuple(
            SiteRecord(name=f"block.{k}", role="block", depth=k / sites, source_shape=SHAPE, shape=SHAPE)
            for k in range(sites)
        ),
        steps=tuple(
            StepRecord(index=k, timestep=900.0 - 50 * k, log_snr=k / 2 - 4, noise=90 - 5.0 * k) for k in range(STEPS)
        ),
        labels=("content",),
        planned_samples=SAMPLES,
        shard_samples=SHARD,
        spec={"images": False},
        provenance={},
    )


def samples() -> list[Sample]:
    ids = [sample_id("out of core", "", k, k) for k in range(SAMPLES)]
    return [
        Sample(name, f"prompt {k}", k, f"t{k % GROUPS}", labels={"content": "ab"[k // GROUPS % 2]})
        for k, name in enumerate(ids)
    ]


def columns(record: DatasetRecord, rows: list[Sample], rng: np.random.Generator) -> dict[str, NDArray[np.float16]]:
    """Noise, of which each row of each column is another stretch; in the planted cell a class moves some features."""
    width = math.prod(SHAPE)
    noise = np.random.default_rng(0).standard_normal(2**24, np.float32).astype(np.float16)
    found = {}
    for site in record.sites:
        values = np.empty((STEPS, len(rows), width), np.float16)
        for step, row in np.ndindex(STEPS, len(rows)):
            start = rng.integers(len(noise) - width)
            values[step, row] = noise[start : start + width]
        if site.name == PLANTED[0]:
            signs = np.array([1 if row.labels["content"] == "a" else -1 for row in rows], np.float16)
            values[PLANTED[1], :, :2000] += signs[:, None]
        found[site.name] = values.reshape(STEPS, len(rows), *SHAPE)
    return found


def write(folder: Path, sites: int) -> None:
    record, rows, rng = record_of(sites), samples(), np.random.default_rng(1)
    with open_writer(folder, record) as writer:
        for index in range(SAMPLES // SHARD):
            own = rows[SHARD * index : SHARD * (index + 1)]
            writer.commit(index, own, columns(record, own, rng))
        writer.seal(rows)


def work(folder: Path, limit: int, *, steps: tuple[int, ...] | None = None) -> dict[str, object]:
    """In a process of its own: probe every cell of ``steps``, align all sites at the planted one's step, and map the
    samples at its site.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one process: the limit is each process's own
    ds = oc.open_dataset(folder)
    table = oc.probe(ds, spec=oc.ProbeSpec(folds=3, controls=1, steps=steps))
    sites = SiteFeatures(ds, list(ds.sites.index), step=PLANTED[1])
    aligned = {name: alignment_matrix(sites, measure=name) for name in ("cka", "mutual-knn")}
    maps = oc.atlas(ds, oc.AtlasSpec(sites=PLANTED[:1], steps=steps, method="umap"))
    frame = table.frame
    planted = (frame["site"] == PLANTED[0]) & (frame["step"] == PLANTED[1])
    return {
        "cells": len(frame),
        "planted": float(frame.loc[planted, "accuracy"].iloc[0]),
        "others": float(frame.loc[~planted, "accuracy"].mean()),
        "highest": float(frame.loc[~planted, "accuracy"].max()),
        "diagonal": float(np.diag(aligned["cka"]).min()),
        "apart": float(np.abs(aligned["cka"][~np.eye(len(sites), dtype=bool)]).max()),
        "neighbours": float(aligned["mutual-knn"][~np.eye(len(sites), dtype=bool)].mean()),
        "mapped": alike(maps.at(*PLANTED), maps.labels["content"].to_numpy()),
        "peak": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


def alike(points: NDArray[np.float32], labels: NDArray[np.object_]) -> float:
    """The share of ``points`` (n, 2) whose nearest one has the same label."""
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    return float(np.mean(labels[apart.argmin(1)] == labels))


def run(folder: Path, limit: int, *, only: bool = False) -> subprocess.CompletedProcess[str]:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, __file__, "--work", str(folder), "--limit", str(limit), *(["--only"] if only else [])]
    return subprocess.run(command, env=os.environ | threads, capture_output=True, text=True, check=False)


def failures(found: dict[str, float], *, cells: int, limit: int) -> Iterator[str]:
    if found["cells"] != cells:
        yield f"{found['cells']} cells of {cells} were probed"
    if found["peak"] > limit:
        yield f"the peak of resident memory was {found['peak'] / 2**20:.0f} MiB"
    if not found["planted"] > max(0.9, found["highest"]):
        yield "the planted cell was not found"
    if abs(found["others"] - 0.5) > 0.05:
        yield "something was found where nothing was planted"
    if found["mapped"] < 0.9:
        yield "the classes lie mixed on the map of the planted cell"
    if abs(found["diagonal"] - 1) > 1e-6 or found["apart"] > 0.1:
        yield "sites that share nothing are aligned, or a site is not with itself"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()), help="where the data are written")
    parser.add_argument("--gb", type=float, default=10)
    parser.add_argument("--limit", type=int, default=2**30, help="bytes")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--only", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        print(json.dumps(work(arguments.work, arguments.limit, steps=PLANTED[1:] if arguments.only else None)))
        return 0
    sites = max(2, math.ceil(arguments.gb * 1e9 / (STEPS * COLUMN)))
    size = sites * STEPS * COLUMN
    if shutil.disk_usage(arguments.scratch).free < 1.05 * size:
        print(f"{arguments.scratch} has no room for {size / 1e9:.1f} GB: name another folder with --scratch.")
        return 1
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        started, folder = time.perf_counter(), Path(scratch) / "ds"
        write(folder, sites)
        print(f"{size / 1e9:.2f} GB: {sites} sites x {STEPS} steps, columns of {COLUMN / 1e6:.0f} MB;", end=" ")
        print(f"written in {time.perf_counter() - started:.0f} s", flush=True)
        started = time.perf_counter()
        done, starved = run(folder, arguments.limit), run(folder, 2**28, only=True)
    if done.returncode:
        print(f"The process failed within {arguments.limit / 2**20:.0f} MiB:\n{done.stderr[-2000:]}")
        return 1
    found = json.loads(done.stdout)
    print(f"{found}\npeak of resident memory {found['peak'] / 2**20:.0f} MiB, libraries and all;", end=" ")
    print(f"limit {arguments.limit / 2**20:.0f} MiB; {time.perf_counter() - started:.0f} s")
    wrong = list(failures(found, cells=sites * STEPS, limit=arguments.limit))
    wrong += [] if starved.returncode else ["a limit of 256 MiB changed nothing: the limit is not enforced"]
    print("\n".join(wrong) or "All is as it should be.")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
