"""Probes of one column that is larger than the memory they are allowed.

    make test-one-column                            # 1.6 GB in float16, 3.3 GB in float32; 1 GiB of memory
    python benchmarks/one_column.py --samples 50000 --features 2048 --scratch /dev/shm

Writes a data set of one site and step, with one property planted and one that is nowhere, and has another process probe
it under a limit that the kernel enforces (RLIMIT_DATA: all private memory, used or only reserved). That process must
end well, read the planted property as well as the best possible rule does, and the other at chance; told to hold the
column in memory it must fail. Ends with 1 otherwise.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import outcrop as oc
from outcrop.data.samples import Sample, sample_id
from outcrop.data.schema import DatasetRecord, SiteRecord, StepRecord
from outcrop.data.writer import open_writer
from outcrop.probes.row_stream import RowStream

GROUPS, SHARD = 200, 2000
APART = 2.0
"""Distance of the two classes in standard deviations: the best rule is right in the normal distribution's share below
half of it.
"""
TOLERANCE = 0.015
"""What estimating it from so few samples may cost, at 30 or more of them for each feature."""


def write(folder: Path, samples: int, features: int) -> None:
    """Noise of which each row is another stretch of one long line, and a shift by class along one direction."""
    record = DatasetRecord(
        uuid=f"one-column-{samples}-{features}",
        model="planted",
        dtype="float16",
        reduction="full",
        half="cond",
        sites=(SiteRecord(name="block.0", role="block", depth=0.5, source_shape=(features,), shape=(features,)),),
        steps=(StepRecord(index=0, timestep=500.0, log_snr=0.0, noise=50.0),),
        labels=("content", "style"),
        planned_samples=samples,
        shard_samples=SHARD,
        spec={"images": False},
        provenance={},
    )
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(2**26, np.float32)
    shift = np.zeros(features, np.float32)
    shift[: features // 2] = APART / np.sqrt(features // 2)
    rows = [
        Sample(
            sample_id("one column", "", k, k),
            f"prompt {k}",
            k,
            f"t{k % GROUPS}",
            labels={"content": "ab"[k // GROUPS % 2], "style": "xyz"[rng.integers(3)]},
        )
        for k in range(samples)
    ]
    with open_writer(folder, record) as writer:
        for index in range(samples // SHARD):
            own = rows[SHARD * index : SHARD * (index + 1)]
            starts = rng.integers(len(noise) - features, size=len(own))
            values = np.stack([noise[start : start + features] for start in starts])
            values += np.where([row.labels["content"] == "a" for row in own], 0.5, -0.5)[:, None] * shift
            writer.commit(index, own, {"block.0": values.astype(np.float16)[None]})
        writer.seal(rows)


def work(folder: Path, limit: int, memory: int) -> dict[str, object]:
    """In a process of its own."""
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one process: the limit is each process's own
    passes = 0
    parts = RowStream.parts

    def counted(self: RowStream, *most: int) -> Iterator[object]:
        nonlocal passes
        passes += 1
        return parts(self, *most)

    RowStream.parts = counted  # type: ignore[method-assign, assignment]
    started = time.process_time()
    table = oc.probe(oc.open_dataset(folder), spec=oc.ProbeSpec(folds=3, controls=1), memory=memory)
    frame = table.frame.set_index("property")
    return {
        "content": float(frame.loc["content", "accuracy"]),
        "style": float(frame.loc["style", "accuracy"]),
        "style_low": float(frame.loc["style", "low"]),
        "style_high": float(frame.loc["style", "high"]),
        "strengths": frame["strength"].to_dict(),
        "control": float(frame.loc["content", "control"]),
        "passes": passes,
        "cpu": time.process_time() - started,
        "peak": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


def run(folder: Path, limit: int, memory: int) -> subprocess.CompletedProcess[str]:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, __file__, "--work", str(folder), "--limit", str(limit)]
    command += ["--memory", str(memory)]
    return subprocess.run(command, env=os.environ | threads, capture_output=True, text=True, check=False)


def failures(found: dict[str, float], *, limit: int, best: float) -> Iterator[str]:
    if found["peak"] > limit:
        yield f"the peak of resident memory was {found['peak'] / 2**20:.0f} MiB"
    if abs(found["content"] - best) > TOLERANCE:
        yield f"the planted property is read at {found['content']:.4f}; the best rule is right in {best:.4f}"
    if not found["style_low"] <= 1 / 3 <= found["style_high"]:
        yield "something was found where nothing was planted"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()), help="where the data are written")
    parser.add_argument("--samples", type=int, default=200_000)
    parser.add_argument("--features", type=int, default=4096)
    parser.add_argument("--limit", type=int, default=2**30, help="bytes")
    parser.add_argument("--memory", type=int, default=None, help="bytes for the column (half of the limit)")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        print(json.dumps(work(arguments.work, arguments.limit, arguments.memory)))
        return 0
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        started, folder = time.perf_counter(), Path(scratch) / "ds"
        write(folder, arguments.samples, arguments.features)
        size = 2 * arguments.samples * arguments.features
        print(f"{arguments.samples} samples x {arguments.features} features, {size / 1e9:.2f} GB;", end=" ")
        print(f"written in {time.perf_counter() - started:.0f} s", flush=True)
        starved, started = run(folder, arguments.limit, 2**40), time.perf_counter()
        done = run(folder, arguments.limit, arguments.memory or arguments.limit // 2)
    if done.returncode:
        print(f"The process failed within {arguments.limit / 2**20:.0f} MiB:\n{done.stderr[-2000:]}")
        return 1
    found = json.loads(done.stdout)
    print(f"{found}\npeak of resident memory {found['peak'] / 2**20:.0f} MiB, libraries and all;", end=" ")
    print(f"limit {arguments.limit / 2**20:.0f} MiB; {time.perf_counter() - started:.0f} s")
    best = statistics.NormalDist().cdf(APART / 2)
    wrong = list(failures(found, limit=arguments.limit, best=best))
    wrong += [] if starved.returncode else ["it ended well in memory, too: the limit is not enforced"]
    print("\n".join(wrong) or "All is as it should be.")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
