"""What is no cluster is said to be none, at once and with what to do."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

from outcrop.cluster.jobs import read_jobs
from outcrop.cluster.schedulers import open_cluster
from outcrop.cluster.tasks import Cluster
from outcrop.cluster.versions import check_same, installed
from outcrop.data.errors import ClusterError, InputError

Run = Callable[..., tuple[int, str, str]]


def opened(scheduler: str, **settings: object) -> None:
    with open_cluster(scheduler, **settings):
        pass


@pytest.mark.parametrize("scheduler", ["slurm", "localhost:8786", "file.txt", ""])
def test_a_name_that_is_none_of_the_forms_is_refused(scheduler: str) -> None:
    with pytest.raises(InputError, match=r"local, the address of a Dask scheduler such as tcp://.*, or a YAML file"):
        opened(scheduler)


def test_a_scheduler_that_does_not_answer_is_named() -> None:
    with pytest.raises(ClusterError, match=r"No Dask scheduler answers at tcp://127.0.0.1:9.*dask scheduler"):
        opened("tcp://127.0.0.1:9", patience=0.5)


@pytest.mark.parametrize("address", ["tcp://node1", "tcp://node1:port", "tcp://:8786", "tcp://node1:99999"])
def test_an_address_without_a_port_is_refused_at_once(address: str) -> None:
    with pytest.raises(InputError, match=r"a host and a port, such as tcp://node1:8786\. Got tcp://"):
        opened(address)


def test_a_host_that_nobody_knows_is_named_at_once() -> None:
    with pytest.raises(ClusterError, match=r"Nobody knows the host node1\.invalid of the scheduler"):
        opened("tcp://node1.invalid:8786")


def test_a_batch_system_that_is_not_installed_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "jobs.yaml").write_text("system: slurm\ncores: 1\nmemory: 1GB\ninterface: lo")
    with pytest.raises(ClusterError, match="submitted by sbatch, which this machine does not have"):
        opened(str(tmp_path / "jobs.yaml"))


def test_a_scheduler_without_workers_is_named() -> None:
    with (
        LocalCluster(
            n_workers=0, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as empty,
        pytest.raises(ClusterError, match=r"has no worker\. Start some with `dask worker tcp://"),
    ):
        opened(empty.scheduler_address, patience=0.5)


def test_another_kind_of_server_is_no_scheduler() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            with pytest.raises(ClusterError, match=r"What listens at 127.0.0.1:\d+ is no Dask scheduler"):
                opened(f"tcp://127.0.0.1:{server.server_port}", patience=0.5)
        finally:
            server.shutdown()
            thread.join()


def test_a_scheduler_that_ends_before_it_has_a_worker_is_told(tmp_path: Path) -> None:
    address = tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen([*command, "--no-dashboard", "--scheduler-file", str(address)]) as scheduler:
        while not address.exists() and scheduler.poll() is None:
            time.sleep(0.05)
        killer = threading.Timer(1, scheduler.kill)
        killer.start()
        with pytest.raises(ClusterError, match=r"ended before it had a worker|No Dask scheduler answers"):
            opened(json.loads(address.read_text())["address"], patience=20)
        killer.join()


def test_workers_belong_to_what_can_start_them() -> None:
    with pytest.raises(InputError, match="a running scheduler has those it has"):
        opened("tcp://127.0.0.1:9", workers=2)
    with pytest.raises(InputError, match="at least 1"):
        opened("local", workers=0)


def test_other_versions_are_named() -> None:
    mine = installed(("numpy", "not-a-package"))
    assert mine["not-a-package"] == "none"
    check_same(mine, where="This process")
    with pytest.raises(ClusterError, match=r"Worker tcp://a has numpy .* instead of 0\.1\. Other versions"):
        check_same(mine | {"numpy": "0.1"}, where="Worker tcp://a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cores: 4", "system: Field required"),
        ("system: abacus", "system: Input should be 'slurm', 'pbs'"),
        ("system: slurm\nworkers: 0", "workers: .*greater than or equal to 1"),
        ("- slurm", "must hold a mapping"),
        ("{", "not readable YAML"),
    ],
)
def test_a_file_of_jobs_that_is_none_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "jobs.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_jobs(tmp_path / "jobs.yaml")


def test_keys_that_the_batch_system_does_not_take_are_named(tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").write_text("system: slurm\ncores: 1\nmemory: 1GB\nwall_time: 1h")
    with pytest.raises(ClusterError, match="wall_time"):
        read_jobs(tmp_path / "jobs.yaml").start()


def test_jobs_of_slurm_ask_for_what_the_file_says(tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").write_text(
        "system: slurm\nworkers: 3\ncores: 8\nmemory: 48GB\nqueue: gpu\nwalltime: '02:00:00'\ninterface: lo\n"
        "job_extra_directives: ['--gres=gpu:1']\njob_script_prologue: ['module load cuda']"
    )
    jobs = read_jobs(tmp_path / "jobs.yaml")
    with jobs.start() as cluster:
        script = cluster.job_script()
    assert jobs.workers == 3
    for line in ("#SBATCH -p gpu", "#SBATCH --cpus-per-task=8", "#SBATCH --gres=gpu:1", "module load cuda"):
        assert line in script
    assert "--nthreads 1" in script.split("--nthreads 8")[1]  # the last one counts


def test_the_command_line_says_what_does_not_go_together(run: Run, tmp_path: Path) -> None:
    plain = ("capture", "--model", "outcrop:unet", "--prompt", "a", "--out", tmp_path / "ds")
    assert run(*plain, "--workers", 2)[0] == 2
    assert run(*plain, "--scheduler", "local", "--rank", "0/2")[0] == 2
    code, _, err = run(*plain, "--scheduler", "slurm")
    assert code == 1
    assert "scheduler must be local" in err
    assert not (tmp_path / "ds").exists()


def test_a_missing_extra_is_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jobs.yaml").write_text("system: slurm")
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    monkeypatch.delitem(sys.modules, "dask_jobqueue.slurm", raising=False)
    plain = ("capture", "--model", "x", "--prompt", "a", "--out", tmp_path / "ds")
    code, _, err = run(*plain, "--scheduler", tmp_path / "jobs.yaml")
    assert code == 1
    assert "pip install 'outcrop[distributed]'" in err


def test_a_cluster_whose_workers_are_all_gone_is_no_wait_for_ever() -> None:
    def nothing(_place: object) -> None: ...

    def answer(_state: None, _item: None) -> int:
        return 42

    with (
        LocalCluster(
            n_workers=0, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as empty,
        Client(empty, set_as_default=False) as client,
        Cluster(client, local=False, patience=0.1).tasks(nothing, packages=()) as tasks,
        pytest.raises(ClusterError, match="has had no worker"),
    ):
        tasks.once(answer)
