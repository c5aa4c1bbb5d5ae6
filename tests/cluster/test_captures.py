"""A capture by several workers is the one of a single process, also where one of them is killed."""

import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import dask
import pytest
import yaml

from outcrop.capture.run import capture
from outcrop.capture.shards import ShardMaker
from outcrop.capture.spec import CaptureSpec
from outcrop.cluster import captures
from outcrop.cluster.captures import capture_on
from outcrop.cluster.tasks import Cluster
from outcrop.data.dataset import Dataset
from outcrop.data.errors import ClusterError, ConflictError, InputError
from outcrop.data.journal import read_journal
from outcrop.data.locks import locked

Contents = Callable[[Path], dict[str, bytes]]
Calls = Callable[[], list[str]]
Run = Callable[..., tuple[int, str, str]]
HEAVY = "OUTCROP_CLUSTER" in os.environ


def test_a_worker_killed_in_mid_shard_costs_that_shard_and_no_byte(
    tmp_path: Path,
    spec: CaptureSpec,
    cluster: Cluster,
    whole: Dataset,
    model_folder: Path,
    contents: Contents,
    calls: Calls,
) -> None:
    calls()
    (model_folder / "deadly").touch()
    told: list[tuple[int, int]] = []
    ds = capture_on(cluster, spec, tmp_path / "ds", progress=lambda *at: told.append(at))
    assert not (model_folder / "deadly").exists()
    assert contents(ds.path) == contents(whole.path)
    assert told == [(done, 24) for done in range(0, 25, 4)]
    made = calls()
    dry = len(set(made))  # each process that loads the model runs it once to see its sites
    assert len(made) - dry == 12 + 2


@pytest.mark.skipif(not HEAVY, reason="starts seven workers anew; make test-cluster runs it")
def test_workers_killed_at_random_change_no_byte(
    tmp_path: Path, spec: CaptureSpec, cluster: Cluster, whole: Dataset, contents: Contents
) -> None:
    chance, killed = random.Random(0), []

    def kill(done: int, planned: int) -> None:
        there = [pid for pid in cluster.client.run(os.getpid, on_error="return").values() if isinstance(pid, int)]
        if there and done < planned:
            killed.append(chance.choice(there))
            os.kill(killed[-1], signal.SIGKILL)

    ds = capture_on(cluster, spec, tmp_path / "ds", progress=kill)
    assert len(killed) >= 3
    assert contents(ds.path) == contents(whole.path)


def test_what_is_committed_is_not_made_again(
    tmp_path: Path, spec: CaptureSpec, cluster: Cluster, whole: Dataset, contents: Contents, calls: Calls
) -> None:
    out = tmp_path / "ds"

    def stop(done: int, _planned: int) -> None:
        if done >= 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        capture(spec, out, progress=stop)
    calls()
    first: list[int] = []
    capture_on(cluster, spec, out, progress=lambda done, _planned: first.append(done))
    assert first[0] >= 8
    made = calls()
    assert len(made) - len(set(made)) == (24 - first[0]) // 2
    assert contents(out) == contents(whole.path)
    assert capture_on(cluster, spec, out).uuid == whole.uuid
    assert contents(out) == contents(whole.path)


def test_a_shard_that_was_written_but_not_told_of_is_taken_over(
    tmp_path: Path, spec: CaptureSpec, whole: Dataset, contents: Contents, calls: Calls
) -> None:
    shutil.copytree(whole.path, tmp_path / "ds")
    told = read_journal(whole.path)
    maker = ShardMaker(spec)
    calls()
    assert maker.make(tmp_path / "ds", 1, tag=".tag") == told[1]
    assert not calls()
    for damage in (b"", told[1].file.encode(), (tmp_path / "ds" / told[2].file).read_bytes()):
        (tmp_path / "ds" / told[1].file).write_bytes(damage)
        assert maker.make(tmp_path / "ds", 1, tag=".tag") == told[1]
        assert len(calls()) == 2
    assert contents(tmp_path / "ds") == contents(whole.path)


def test_what_a_worker_raises_is_raised_here(tmp_path: Path, spec: CaptureSpec, cluster: Cluster) -> None:
    with pytest.raises(InputError, match="memory must be at least"):
        capture_on(cluster, spec, tmp_path / "ds", memory=10)
    with pytest.raises(InputError, match="nothing like it"):
        capture_on(cluster, spec.model_copy(update={"sites": ("nothing like it",)}), tmp_path / "ds")
    assert not (tmp_path / "ds").exists()


def test_no_second_writer_beside_it(tmp_path: Path, spec: CaptureSpec, cluster: Cluster) -> None:
    with locked(tmp_path), pytest.raises(ConflictError, match="Another process is writing"):
        capture_on(cluster, spec, tmp_path)


def test_a_worker_that_sees_another_folder_says_so(tmp_path: Path, spec: CaptureSpec) -> None:
    state = ShardMaker(spec), ".tag"
    with pytest.raises(ClusterError, match="another folder for a worker"):
        captures._make_shard(state, 0, out=tmp_path / "elsewhere")


def test_a_task_that_ends_its_workers_ends_in_an_error(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_place: object) -> None: ...

    def end(_state: None, _item: None) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(cluster.client.cluster.scheduler, "allowed_failures", 0)  # 3 unless Dask is told otherwise
    with cluster.tasks(nothing, packages=()) as tasks, pytest.raises(ClusterError, match="has ended 1 worker"):
        tasks.once(end)


def test_from_the_command_line(
    run: Run, tmp_path: Path, spec: CaptureSpec, cluster: Cluster, whole: Dataset, contents: Contents
) -> None:
    config, security = tmp_path / "run.yaml", cluster.client.security
    config.write_text(yaml.safe_dump(spec.model_dump(mode="json")))
    trusted = {"ca-file": security.tls_ca_file, "client.cert": security.tls_client_cert}
    trusted["client.key"] = security.tls_client_key
    with dask.config.set({f"distributed.comm.tls.{key}": value for key, value in trusted.items()}):
        code, out, err = run(
            "capture", config, "--out", tmp_path / "ds", "--scheduler", cluster.client.scheduler.address
        )
    assert code == 0, err
    assert "24 samples" in out
    assert contents(tmp_path / "ds") == contents(whole.path)


# dask-jobqueue kills its local jobs, and leaves their handles to the collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(not HEAVY, reason="starts jobs of its own; make test-cluster runs it")
def test_from_the_command_line_with_jobs(
    run: Run, tmp_path: Path, spec: CaptureSpec, whole: Dataset, contents: Contents
) -> None:
    config, jobs = tmp_path / "run.yaml", tmp_path / "jobs.yaml"
    config.write_text(yaml.safe_dump(spec.model_dump(mode="json")))
    jobs.write_text(yaml.safe_dump({"system": "local", "cores": 1, "memory": "2GB", "interface": "lo"}))
    code, out, err = run("capture", config, "--out", tmp_path / "ds", "--scheduler", jobs)
    assert code == 0, err
    assert "24 samples" in out
    assert contents(tmp_path / "ds") == contents(whole.path)
