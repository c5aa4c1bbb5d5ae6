"""Two machines, as far as one can be two: network namespaces with an address each, and a wire between them that breaks.

The file system is shared, as on a cluster. Commands are given as a user gives them.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from outcrop.capture.spec import CaptureSpec
from outcrop.data.dataset import Dataset
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.sweep import probe
from outcrop.probes.table import ProbeTable

pytestmark = pytest.mark.skipif(
    "OUTCROP_CLUSTER" not in os.environ, reason="starts a scheduler and workers of its own; make test-cluster runs it"
)
Contents = Callable[[Path], dict[str, bytes]]
Calls = Callable[[], list[str]]
HERE, THERE = "10.213.77.1", "10.213.77.2"
ADDRESS = f"tcp://{HERE}:8786"
WIRE = "oc-there"
"""The far host's end of the wire."""
WORKER = ("-m", "distributed.cli.dask_worker", ADDRESS, "--nthreads", "1", "--no-dashboard")
COUNT = """
import json
told = client.run(lambda dask_worker: (dask_worker.name, dask_worker.state.executed_count))
print(json.dumps(dict(told.values())))
"""
OUTCROP = ("-c", "from outcrop.cli import main; main()")


@dataclass(frozen=True)
class Hosts:
    """``here`` has the scheduler and a worker, ``there`` another worker; names of namespaces. Logs lie in ``logs``."""

    here: str
    there: str
    logs: Path
    ends: ExitStack

    def start(self, host: str, *arguments: str, log: str) -> None:
        """A Python process on ``host`` that ends with the hosts, and whatever it starts with it."""
        command = ["ip", "netns", "exec", host, sys.executable, "-P", *arguments]
        with (self.logs / f"{log}.log").open("wb") as told:
            process = subprocess.Popen(command, stdout=told, stderr=told, cwd=self.logs, start_new_session=True)
        self.ends.callback(_end, process)

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """A Python process beside the scheduler, to its end."""
        command = ["ip", "netns", "exec", self.here, sys.executable, "-P", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)

    def ask(self, script: str) -> str:
        """What a script prints to which ``client`` is connected."""
        done = self.run("-c", f"from distributed import Client\nclient = Client('{ADDRESS}', timeout=60)\n{script}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def executed(self) -> dict[str, int]:
        """Tasks that each worker has executed, by its host."""
        counts: dict[str, int] = json.loads(self.ask(COUNT))
        return counts


def _ip(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True)


def _end(process: "subprocess.Popen[bytes]") -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def _namespaces(here: str, there: str) -> Iterator[None]:
    """Two hosts and the wire between them, which go whatever happens."""
    with ExitStack() as ends:
        try:
            for name in (here, there):
                _ip("netns", "add", name)
                ends.callback(_ip, "netns", "del", name)
            _ip("link", "add", "oc-here", "netns", here, "type", "veth", "peer", "name", WIRE, "netns", there)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"network namespaces are not allowed here: {getattr(error, 'stderr', error)}")
        for name, wire, address in ((here, "oc-here", HERE), (there, WIRE, THERE)):
            _ip("-n", name, "address", "add", f"{address}/24", "dev", wire)
            for device in ("lo", wire):
                _ip("-n", name, "link", "set", device, "up")
        yield


@contextmanager
def _mended(host: str) -> Iterator[None]:
    """The wire is joined again as soon as it is cut."""
    command = ["ip", "-n", host, "-o", "monitor", "link"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watch, ThreadPoolExecutor(1) as beside:
        joined = beside.submit(_join, host, watch)
        try:
            yield
        finally:
            watch.terminate()
    joined.result()


def _join(host: str, watch: "subprocess.Popen[str]") -> None:
    assert watch.stdout
    assert any(WIRE in line and "state DOWN" in line for line in watch.stdout), "the wire was never cut"
    _ip("-n", host, "link", "set", WIRE, "up")


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    here, there = (f"outcrop-{os.getpid()}-{name}" for name in ("here", "there"))
    with _namespaces(here, there), ExitStack() as ends:
        both = Hosts(here, there, tmp_path, ends)
        both.start(
            here, "-m", "distributed.cli.dask_scheduler", "--host", HERE, "--port", "8786", "--no-dashboard", log="all"
        )
        for name in (here, there):
            both.start(name, *WORKER, "--name", name, "--local-directory", str(tmp_path / "dask"), log=name)
        both.ask("client.wait_for_workers(2, timeout=60)")
        yield both


def given(spec: CaptureSpec, folder: Path) -> tuple[object, ...]:
    (folder / "run.yaml").write_text(yaml.safe_dump(spec.model_dump(mode="json")))
    return (*OUTCROP, "capture", folder / "run.yaml", "--out", folder / "ds", "--scheduler", ADDRESS)


def test_a_capture_and_its_probes_are_those_of_one_process(
    hosts: Hosts, tmp_path: Path, spec: CaptureSpec, whole: Dataset, contents: Contents, model_folder: Path
) -> None:
    (model_folder / "together").touch()
    with ExitStack() as ends:
        ends.callback((model_folder / "together").unlink)
        done = hosts.run(*given(spec, tmp_path))
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "ds") == contents(whole.path)
    captured = hosts.executed()
    assert captured.keys() == {hosts.here, hosts.there}
    assert min(captured.values()) >= 1

    asked = ("--group-by", "seed", "--folds", 3, "--baseline", "norms", "--baseline", "pixels")
    done = hosts.run(*OUTCROP, "probe", tmp_path / "ds", *asked, "--scheduler", ADDRESS)
    assert done.returncode == 0, done.stderr
    assert sum(hosts.executed().values()) > sum(captured.values())
    expected = probe(whole, spec=ProbeSpec(group_by=("seed",), folds=3, baselines=("norms", "pixels")))
    table = ProbeTable.load(tmp_path / "ds" / "probes")
    pd.testing.assert_frame_equal(table.frame, expected.frame, check_exact=True)
    for key, weights in expected.weights.items():
        np.testing.assert_array_equal(table.weights[key].coef, weights.coef)


@pytest.mark.parametrize("back", [False, True])
def test_a_wire_that_breaks_in_mid_shard_costs_that_shard_at_most(
    hosts: Hosts,
    tmp_path: Path,
    spec: CaptureSpec,
    whole: Dataset,
    model_folder: Path,
    contents: Contents,
    calls: Calls,
    *,
    back: bool,
) -> None:
    calls()
    (model_folder / "cut").write_text(WIRE)
    with ExitStack() as ends:
        ends.callback((model_folder / "cut").unlink, missing_ok=True)
        if back:
            ends.enter_context(_mended(hosts.there))
        done = hosts.run(*given(spec, tmp_path))
        assert not (model_folder / "cut").exists()
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "ds") == contents(whole.path)
    made = calls()
    dry = len(set(made))
    assert dry == 2
    assert len(made) - dry <= 12 + 2
