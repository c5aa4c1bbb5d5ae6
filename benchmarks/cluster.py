"""How a capture and a sweep of probes scale from one worker to two, and what the scheduler costs.

    OMP_NUM_THREADS=1 python benchmarks/cluster.py [--rounds 3] [--steps 10]

Wall time, so both cores must be free. The shipped UNet makes the demo's 432 pictures, in shards of 24, and its sites
are probed. Every round does the work in this process, on one worker and on two, each of one thread; medians over
rounds. The work is timed from the first report of progress to the last: workers are started and have imported what they
need before that, and one of them has loaded the model to describe it. ``start`` is what a command does before it;
``overhead`` is one worker against this process. ``ceiling`` is what this machine gives two processes that know nothing
of each other: twice the work of one in the time of two. Bytes and tables are compared with those of this process.
"""

import argparse
import functools
import hashlib
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import pandas as pd
import threadpoolctl
import torch

from outcrop.capture.run import capture
from outcrop.capture.spec import CaptureSpec, parse_spec, read_spec_fields
from outcrop.cluster.captures import capture_on
from outcrop.cluster.schedulers import open_cluster
from outcrop.cluster.sweeps import probe_on
from outcrop.cluster.tasks import Cluster
from outcrop.data.dataset import Dataset, open_dataset
from outcrop.probes.cells import fit_missing
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.sweep import probe
from outcrop.probes.table import ProbeTable

WAYS = ("alone", "one", "two")
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


def work_apart(spec: CaptureSpec | None, folder: Path) -> float:
    """In a process of its own: seconds of a capture into ``folder``, or of a sweep of what lies there."""
    torch.set_num_threads(1)
    with threadpoolctl.threadpool_limits(1):
        seconds, _ = captured(spec, folder, None) if spec else probed(open_dataset(folder), ProbeSpec(), None)
    return seconds[1]


def tell_ceiling(what: str, spec: CaptureSpec | None, folders: Sequence[Path]) -> None:
    """One process, then as many at once as there are ``folders`` but one, each with all of the work."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(folders) - 1, mp_context=spawn) as pool:
        alone = pool.submit(work_apart, spec, folders[0]).result()
        beside = list(pool.map(work_apart, [spec] * (len(folders) - 1), folders[1:]))
    print(f"{what:8} ceiling of this machine: {len(beside) * alone / max(beside):.2f} x", flush=True)


def tell(what: str, seconds: dict[str, list[Spent]]) -> None:
    start = {way: statistics.median(before for before, _ in seconds[way]) for way in WAYS}
    work = {way: [spent for _, spent in seconds[way]] for way in WAYS}
    middle = {way: statistics.median(work[way]) for way in WAYS}
    for way in WAYS:
        print(
            f"{what:8} {way:6} start {start[way]:6.1f} s, work {middle[way]:6.1f} s "
            f"({min(work[way]):.1f} to {max(work[way]):.1f})"
        )
    rounds = [one / two for one, two in zip(work["one"], work["two"], strict=True)]
    extra = [one / alone - 1 for alone, one in zip(work["alone"], work["one"], strict=True)]
    print(
        f"{what:8} scaling 1 -> 2 workers: {statistics.median(rounds):.2f} x ({min(rounds):.2f} to {max(rounds):.2f}; "
        f"goal 1.7); overhead of the scheduler: {statistics.median(extra):+.1%} ({min(extra):+.1%} to "
        f"{max(extra):+.1%}; goal below 5 %)",
        flush=True,
    )


def repeat(count: int, run: Callable[[str, int], Spent]) -> dict[str, list[Spent]]:
    """Every way once in each round."""
    spent: dict[str, list[Spent]] = {way: [] for way in WAYS}
    for number in range(count):
        for way in WAYS:
            spent[way].append(run(way, number))
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    fields = read_spec_fields(Path(str(resources.files("outcrop.zoo"))) / "demo.yaml")
    fields |= {"steps": arguments.steps, "record": min(4, arguments.steps), "shard_samples": 24}
    spec = parse_spec(fields, where="the benchmark")
    with (
        threadpoolctl.threadpool_limits(1),
        tempfile.TemporaryDirectory() as scratch,
        open_cluster("local", workers=1) as one,
        open_cluster("local", workers=2) as two,
    ):
        clusters = {"alone": None, "one": one, "two": two}
        small = parse_spec(fields | {"prompts": {"texts": ["a", "b"]}, "shard_samples": 1}, where="the warm-up")
        for way, cluster in clusters.items():  # imports
            _, ds = captured(small, Path(scratch) / f"warm-{way}", cluster)
        folders: list[Path] = []

        def make(way: str, number: int) -> Spent:
            out = Path(scratch) / f"{way}-{number}"
            seconds, _ = captured(spec, out, clusters[way])
            folders.append(out)
            return seconds

        captures = repeat(arguments.rounds, make)
        assert len({digest(folder) for folder in folders}) == 1, "the bytes differ"
        tell("capture", captures)
        tell_ceiling("capture", spec, [Path(scratch) / f"apart-{number}" for number in range(3)])
        ds = open_dataset(folders[0])
        tables: list[pd.DataFrame] = []

        def fit(way: str, _number: int) -> Spent:
            seconds, table = probed(ds, ProbeSpec(), clusters[way])
            tables.append(table.frame)
            return seconds

        for way in WAYS:  # compiled loops again
            fit(way, 0)
        sweeps = repeat(arguments.rounds, fit)
        for table in tables:
            pd.testing.assert_frame_equal(table, tables[0], check_exact=True)
        tell("probe", sweeps)
        tell_ceiling("probe", None, [folders[0]] * 3)


if __name__ == "__main__":
    main()
