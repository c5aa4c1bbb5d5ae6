"""What commands share to work on many processes: ``--scheduler`` and ``--workers``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from outcrop.console import said_after

if TYPE_CHECKING:
    from outcrop.cluster.tasks import Cluster

Command = TypeVar("Command", bound=Callable[..., Any])
PAUSE = 3.0
"""Seconds of silence after which it is said what is waited for."""


def scheduler_options(command: Command) -> Command:
    """The two flags, for :func:`chosen_scheduler`."""
    workers = click.option("--workers", type=click.IntRange(1), help="Processes, or jobs, of --scheduler.")
    scheduler = click.option(
        "--scheduler",
        metavar="local|tcp://...|FILE.yaml",
        help="Share the work: among processes here, with a running Dask cluster, or as jobs of a batch system.",
    )
    return scheduler(workers(command))


def chosen_scheduler(flags: dict[str, Any]) -> "Callable[[], Any] | None":
    """Takes the two flags out of ``flags``; what opens the cluster, or ``None`` without ``--scheduler``."""
    scheduler, workers = flags.pop("scheduler"), flags.pop("workers")
    if scheduler is None:
        if workers is not None:
            raise click.UsageError("--workers belongs to --scheduler.")
        return None
    return lambda: _opened(scheduler, workers)


@contextmanager
def _opened(scheduler: str, workers: int | None) -> "Iterator[Cluster]":
    from outcrop.cluster.schedulers import open_cluster

    waiting = f"Waiting for {scheduler} and its first worker"
    with said_after(PAUSE, waiting) as come, open_cluster(scheduler, workers=workers) as cluster:
        come()
        yield cluster
