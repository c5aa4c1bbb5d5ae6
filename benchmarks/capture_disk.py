"""Shards on the disk, and resident memory over a long capture."""

import argparse
import hashlib
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from capture_setup import build_model, new_spec

from outcrop.capture.run import capture
from outcrop.data.samples import Sample
from outcrop.data.schema import DatasetRecord, SiteRecord, StepRecord
from outcrop.data.shard import OpenShard
from outcrop.data.writer import open_writer


def measure_write(arguments: argparse.Namespace, scratch: Path) -> None:
    record = DatasetRecord(
        uuid="u",
        model="m",
        dtype="float16",
        reduction="full",
        half="cond",
        sites=tuple(
            SiteRecord(name=f"block.{k}", role="block", depth=k / 30, source_shape=(64, 16, 16), shape=(64, 16, 16))
            for k in range(30)
        ),
        steps=tuple(StepRecord(index=k, timestep=k, log_snr=0, noise=50) for k in range(8)),
        labels=(),
        planned_samples=arguments.shards * arguments.shard_samples,
        shard_samples=arguments.shard_samples,
        spec={},
        provenance={},
    )
    samples = [Sample(f"{k:016x}", f"prompt {k}", k) for k in range(record.planned_samples)]
    times: dict[str, list[float]] = {"raw": [], "outcrop": []}
    noise, sizes = np.random.default_rng(0).standard_normal(2**20).astype(np.float16), []
    with open_writer(scratch / "ds", record) as writer:
        memory = None
        for index in range(arguments.shards):
            own = samples[index * record.shard_samples : (index + 1) * record.shard_samples]
            shard = OpenShard(record, index, own, memory=memory)
            for column in shard.columns.values():
                column[...] = np.resize(noise, column.shape)
            memory = shard.memory
            turns: dict[str, Callable[[], object]] = {
                "raw": lambda shard=shard: raw_write(scratch / f"raw-{shard.index}", shard.content),
                "outcrop": lambda shard=shard: writer.commit_shard(shard),
            }
            for name in list(turns)[:: 1 if index % 2 else -1]:
                started = time.perf_counter()
                turns[name]()
                times[name].append(time.perf_counter() - started)
            sizes.append(len(shard.content))
            (scratch / f"raw-{index}").unlink()
        writer.seal(samples)
    files = sum(path.stat().st_size for path in (scratch / "ds").rglob("*") if path.is_file())
    payload = record.sample_bytes * record.planned_samples
    ratios = [raw / mine for raw, mine in zip(times["raw"], times["outcrop"], strict=True)]
    print(f"{arguments.shards} shards of {sizes[0] / 2**20:.0f} MiB")
    for name, spent in times.items():
        print(f"{name:8} {sizes[0] / 2**20 / statistics.median(spent):7.0f} MiB/s")
    print(f"speed of outcrop over raw: median {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    print(f"all files hold {100 * (files / payload - 1):.3f} % more bytes than the activations")


def raw_write(path: Path, content: memoryview) -> str:
    """One sequential write, brought to disk, and the SHA-256 of the same bytes."""
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    return hashlib.sha256(content).hexdigest()


def measure_growth(arguments: argparse.Namespace, scratch: Path) -> None:
    build_model(scratch / "model", channels=(8, 16), size=8)
    spec = new_spec(
        scratch / "model", reduction="full", steps=2, batch=20, seeds={"per_prompt": arguments.samples}, images=True
    )
    resident: dict[int, int] = {}

    def note(done: int, _planned: int) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        resident[done] = pages * os.sysconf("SC_PAGE_SIZE")

    ds = capture(spec, scratch / "ds", progress=note)
    first, last = 100, max(resident)
    print(f"{len(ds)} samples of {ds.info.sample_bytes / 1e3:.0f} kB in shards of {ds.info.shard_samples}")
    for done in (first, last // 2, last):
        print(f"resident after {done:5} samples: {resident[done] / 1e6:8.1f} MB")
    print(f"growth from {first} to {last}: {(resident[last] - resident[first]) / 1e6:.1f} MB")
