"""How a capture and a sweep of probes scale from one worker to two, and what the scheduler costs.

    OMP_NUM_THREADS=1 python benchmarks/cluster.py [--rounds 3] [--steps 10] [--free]

Wall time, so both cores must be free. The shipped UNet makes the demo's 432 pictures, in shards of 24, and its sites
are probed. Every round does the work in this process (``alone``), on one worker and on two, each of one thread; medians
over rounds. One worker, its scheduler and this process have one core, two workers and what serves them have two;
``--free`` lets the system place them all. The work is timed from the first report of progress to the last: workers are
started and have imported what they need before that, and one has described its model while the others load it.
``start`` is what a command does before it; ``overhead`` is one worker against this process. ``ceiling`` is what this
machine gives two processes that know nothing of each other, on a core each: twice the work of one in the time of two.
Bytes and tables are compared with those of this process.
"""

import argparse
import functools
import hashlib
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import pandas as pd
import threadpoolctl
import torch

from outcrop.capture.run import capture
from outcrop.capture.spec import CaptureSpec, parse_spec, read_spec_fields
from outcrop.cluster.allocation import keep_freed_memory
from outcrop.cluster.captures import capture_on
from outcrop.cluster.schedulers import open_cluster
from outcrop.cluster.sweeps import probe_on
from outcrop.cluster.tasks import Cluster
from outcrop.data.dataset import Dataset, open_dataset
from outcrop.probes.cells import fit_missing
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.sweep import probe
from outcrop.probes.table import ProbeTable

WAYS = ("alone", "one", "two", "apart")
FULL = ProbeSpec()
CORES = sorted(os.sched_getaffinity(0))
Spent = tuple[float, float]
"""Seconds before the work, and of the work."""


@dataclass
class Clock:
    """A progress callback that times the work from its first call to its last."""

    made: float = field(default_factory=time.perf_counter)
    first: float | None = None
    last: float = 0.0

    def __call__(self, _done: int, _planned: int) -> None:
        self.last = time.perf_counter()
        self.first = self.first or self.last

    @property
    def seconds(self) -> Spent:
        """Of what came before, and of the work."""
        assert self.first is not None
        return self.first - self.made, self.last - self.first


def digest(folder: Path) -> str:
    """Of every file of a data set, with its path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    total = hashlib.sha256()
    for path in files:
        total.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return total.hexdigest()


def captured(spec: CaptureSpec, out: Path, cluster: Cluster | None) -> tuple[Spent, Dataset]:
    clock = Clock()
    ds = capture(spec, out, progress=clock) if cluster is None else capture_on(cluster, spec, out, progress=clock)
    return clock.seconds, ds


def probed(ds: Dataset, spec: ProbeSpec, cluster: Cluster | None) -> tuple[Spent, ProbeTable]:
    clock = Clock()
    clock(0, 1)  # a sweep plans, and then reports only what is finished
    if cluster is None:
        table = probe(ds, spec=spec, progress=clock, fitter=functools.partial(fit_missing, workers=1))
    else:
        table = probe_on(cluster, ds, spec=spec, progress=clock)
    return clock.seconds, table


def stay(cores: Sequence[int]) -> None:
    """Run all threads of this process, and those that they will start, on ``cores`` alone."""
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def place(cluster: Cluster) -> None:
    """Each worker on a core of its own."""
    for core, worker in zip(CORES, sorted(cluster.client.nthreads()), strict=False):
        cluster.client.run(stay, [core], workers=[worker])


def work_apart(spec: CaptureSpec | ProbeSpec, folder: Path) -> Spent:
    """In a process of its own: a capture into ``folder``, or a sweep of what lies there."""
    torch.set_num_threads(1)
    with threadpoolctl.threadpool_limits(1):
        if isinstance(spec, CaptureSpec):
            return captured(spec, folder, None)[0]
        return probed(open_dataset(folder), spec, None)[0]


def tell(what: str, seconds: dict[str, list[Spent]]) -> None:
    work = {way: [spent for _, spent in seconds[way]] for way in WAYS}
    for way in WAYS:
        start = statistics.median(before for before, _ in seconds[way])
        print(
            f"{what:8} {way:6} start {start:6.1f} s, work {statistics.median(work[way]):6.1f} s "
            f"({min(work[way]):.1f} to {max(work[way]):.1f})"
        )
    tell_ratio(what, "1 -> 2 workers, goal 1.7", work["one"], work["two"])
    tell_ratio(what, "this process -> 2 workers", work["alone"], work["two"])
    tell_ratio(what, "ceiling of this machine", [2 * spent for spent in work["alone"]], work["apart"])
    extra = [one / alone - 1 for alone, one in zip(work["alone"], work["one"], strict=True)]
    print(
        f"{what:8} overhead of the scheduler: {statistics.median(extra):+.1%} ({min(extra):+.1%} to {max(extra):+.1%}; "
        "goal below 5 %)",
        flush=True,
    )


def tell_ratio(what: str, name: str, slow: Sequence[float], fast: Sequence[float]) -> None:
    rounds = [first / second for first, second in zip(slow, fast, strict=True)]
    print(f"{what:8} {name}: {statistics.median(rounds):.2f} x ({min(rounds):.2f} to {max(rounds):.2f})")


def repeat(count: int, run: Callable[[str, int], Spent], *, free: bool) -> dict[str, list[Spent]]:
    """Every way once in each round."""
    spent: dict[str, list[Spent]] = {way: [] for way in WAYS}
    for number in range(count):
        for way in WAYS:
            stay(CORES[:1] if way in {"alone", "one"} and not free else CORES)
            spent[way].append(run(way, number))
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--free", action="store_true", help="let the system place workers on cores")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    fields = read_spec_fields(Path(str(resources.files("outcrop.zoo"))) / "demo.yaml")
    fields |= {"steps": arguments.steps, "record": min(4, arguments.steps), "shard_samples": 24}
    spec = parse_spec(fields, where="the benchmark")
    small = parse_spec(fields | {"prompts": {"texts": ["a", "b"]}, "shard_samples": 1}, where="the warm-up")
    with (
        threadpoolctl.threadpool_limits(1),
        tempfile.TemporaryDirectory() as scratch,
        open_cluster("local", workers=1) as one,
        open_cluster("local", workers=2) as two,
        process_on(CORES[0], free=arguments.free) as first,
        process_on(CORES[-1], free=arguments.free) as second,
    ):
        clusters = {"alone": None, "one": one, "two": two}
        if not arguments.free:
            place(one)
            place(two)
        folders: list[Path] = []

        def make(way: str, name: object, spec: CaptureSpec = spec) -> Spent:
            out = Path(scratch) / f"{way}-{name}"
            if way == "apart":
                return slower(pool.submit(work_apart, spec, out / pool_name) for pool_name, pool in pools.items())
            seconds, ds = captured(spec, out, clusters[way])
            folders.append(ds.path)
            return seconds

        pools = {"first": first, "second": second}
        for way in WAYS:  # imports
            make(way, "warm", small)
        folders.clear()
        captures = repeat(arguments.rounds, make, free=arguments.free)
        assert len({digest(folder) for folder in folders}) == 1, "the bytes differ"
        tell("capture", captures)
        ds = open_dataset(folders[0])
        tables: list[pd.DataFrame] = []

        def fit(way: str, _name: object, spec: ProbeSpec = FULL) -> Spent:
            if way == "apart":
                return slower(pool.submit(work_apart, spec, folders[0]) for pool in pools.values())
            seconds, table = probed(ds, spec, clusters[way])
            tables.append(table.frame)
            return seconds

        for way in WAYS:  # compiled loops
            fit(way, "warm", ProbeSpec(sites=("mid_block",)))
        tables.clear()
        sweeps = repeat(arguments.rounds, fit, free=arguments.free)
        for table in tables:
            pd.testing.assert_frame_equal(table, tables[0], check_exact=True)
        tell("probe", sweeps)


@contextmanager
def process_on(core: int, *, free: bool) -> Iterator[ProcessPoolExecutor]:
    """One other process, for work at the same time."""
    cores = CORES if free else [core]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=begin, initargs=(cores,)) as pool:
        yield pool


def begin(cores: Sequence[int]) -> None:
    """What Dask has said of allocation is in the environment of this process, too."""
    keep_freed_memory()
    stay(cores)


def slower(works: Iterable[Future[Spent]]) -> Spent:
    """Of works that have begun together, the one that took longest."""
    return max((work.result() for work in list(works)), key=lambda spent: spent[1])


if __name__ == "__main__":
    main()
