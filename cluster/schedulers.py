"""Where the work is done: processes of this machine, a Dask scheduler that runs already, or jobs of a batch system."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from outcrop.cluster.jobs import JobCluster, read_jobs
from outcrop.cluster.tasks import LOST, Cluster
from outcrop.data.errors import ClusterError, InputError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Cluster", "open_cluster"]

LOCAL = "local"
JOBS = (".yaml", ".yml")
SCHEMES = ("tcp://", "tls://", "ucx://", "ws://", "wss://")
PATIENCE = 60.0
"""Seconds that a scheduler which runs already may be without a worker at the start."""
ANSWER = 20.0
"""Seconds that a scheduler may take to answer: it may be starting, or be lost for a moment."""
GREETING = 20.0
"""Seconds that what listens at the address of a scheduler may take for its first words."""
LIVES = {"distributed.scheduler.allowed-failures": 10}
"""How many workers may die with one task in hand: pre-emption strikes the same task more than Dask's three times."""
QUIET = {
    "distributed.admin.system-monitor.disk": False,
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.tick.interval": "1s",
    "distributed.worker.profile.enabled": False,
}
"""Dask watches its processes for a dashboard that nobody opens here, at 3.5 % of a core for each, even while idle."""
MOST_FRAMES = 1000
"""Of a message, whose number of frames Dask sends first."""
ALONE = 300.0
"""Seconds for which a cluster may be without any worker; jobs may wait in their queue for as long as they must."""


@contextmanager
def open_cluster(scheduler: str, *, workers: int | None = None, patience: float = PATIENCE) -> Iterator[Cluster]:
    """The cluster that ``scheduler`` names, while the context is open.

    ``local``: ``workers`` processes of this machine (as many as it has cores). ``tcp://HOST:PORT``: the workers of a
    Dask scheduler that runs already. A path to a YAML file: ``workers`` jobs of a batch system
    (:class:`~outcrop.cluster.jobs.JobCluster`). Raises :class:`InputError` for anything else, and
    :class:`ClusterError` for a scheduler that does not answer or has no worker.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers must be at least 1. Got {workers}.")
    with ExitStack() as stack:
        if scheduler == LOCAL:
            client = stack.enter_context(_on_this_machine(workers or _cores()))
        elif scheduler.startswith(SCHEMES):
            if workers is not None:
                raise InputError(
                    "workers belongs to local and to a file of jobs: a running scheduler has those it has."
                )
            client = stack.enter_context(_running(scheduler, patience))
        elif scheduler.endswith(JOBS):
            client = stack.enter_context(_in_jobs(read_jobs(Path(scheduler)), workers))
        else:
            raise InputError(
                f"scheduler must be local, the address of a Dask scheduler such as tcp://node1:8786, or a YAML file "
                f"that describes jobs of a batch system. Got {scheduler!r}."
            )
        yield Cluster(client, local=scheduler == LOCAL, patience=None if scheduler.endswith(JOBS) else ALONE)


@contextmanager
def _on_this_machine(workers: int) -> "Iterator[Client]":
    """Processes that share the cores, one task each at a time; encrypted, for other users see the loopback, too.

    Where the number of threads is set, each process has as many: the bytes of what is computed on a CPU depend on it.
    """
    import dask
    from distributed import Client, LocalCluster

    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, _cores() // workers)))
    with (
        dask.config.set(QUIET | LIVES),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            security=True,
            dashboard_address="127.0.0.1:0",
            memory_limit=0,  # Dask would stop workers whose models are large; --memory caps what is recorded
            silence_logs=logging.CRITICAL,  # what fails is told by the error
            env=dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads),
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@contextmanager
def _running(address: str, patience: float) -> "Iterator[Client]":
    from distributed import Client

    host, port = _host_and_port(address)
    if address.startswith("tcp://"):
        _check_greeting(host, port, min(patience, GREETING))
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # what fails is told by the error
    try:
        client = Client(address, timeout=min(patience, ANSWER), set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(
            f"No Dask scheduler answers at {address} ({error}). Start one with `dask scheduler`, and give the address "
            "that it prints."
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=patience)
        except TimeoutError as error:
            raise ClusterError(
                f"The scheduler at {address} has no worker. Start some with `dask worker {address} --nthreads 1`, in "
                "an environment that has outcrop."
            ) from error
        except LOST as error:
            raise ClusterError(f"The scheduler at {address} ended before it had a worker. Start it again.") from error
        yield client


def _host_and_port(address: str) -> tuple[str, int]:
    """Of a scheduler; a client would make much noise of a wrong one, or try it again and again.

    Raises :class:`InputError` for an address without a port, :class:`ClusterError` for a host that nobody knows.
    """
    parts = urlsplit(address)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise InputError(
            f"The address of a Dask scheduler is a host and a port, such as tcp://node1:8786. Got {address}."
        )
    try:
        socket.getaddrinfo(host, port)
    except OSError as error:
        raise ClusterError(
            f"Nobody knows the host {host} of the scheduler {address} ({error.strerror}). Is its name spelt rightly, "
            "and is this machine in the cluster's network?"
        ) from error
    return host, port


def _check_greeting(host: str, port: int, patience: float) -> None:
    """What listens must speak first, as Dask does: a client would wait for another kind of server without end.

    Raises :class:`ClusterError`. Where nothing listens, the client says so.
    """
    try:
        connection = socket.create_connection((host, port), timeout=patience)
    except OSError:
        return
    with connection, suppress(OSError):
        greeting = connection.recv(8)
        if 0 < int.from_bytes(greeting, "little") <= MOST_FRAMES:
            return
    raise ClusterError(
        f"What listens at {host}:{port} is no Dask scheduler: it does not greet as one. Give the address that `dask "
        "scheduler` prints, not that of its dashboard."
    )


@contextmanager
def _in_jobs(jobs: JobCluster, workers: int | None) -> "Iterator[Client]":
    """Jobs that end, or are pre-empted, are submitted again as long as there is work."""
    import dask
    from distributed import Client

    count = workers or jobs.workers
    jobs.check_installed()
    with dask.config.set(LIVES), jobs.start() as cluster, Client(cluster, set_as_default=False) as client:
        adapted: Any = cluster
        adapted.adapt(minimum=count, maximum=count)
        client.wait_for_workers(1)  # a queue may take its time
        yield client


def _cores() -> int:
    return len(os.sched_getaffinity(0))
