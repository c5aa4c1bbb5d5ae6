"""Tasks of one command on a cluster: dealt out, gathered as they come, with errors that say what to do."""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from outcrop.cluster.versions import ENGINE, check_same, installed
from outcrop.data.errors import ClusterError

if TYPE_CHECKING:
    from distributed import Client, Future

    from outcrop.cluster.context import Place

State = TypeVar("State")
Item = TypeVar("Item")

BREATH = 5.0
"""Seconds between two looks at whether there are workers, while no task ends."""

LOST = (OSError, RuntimeError, CancelledError)
"""What a client raises whose scheduler is gone."""

_numbers = itertools.count()
"""Of commands and of tasks: the scheduler takes tasks of one name for one."""


@dataclass(frozen=True)
class Cluster:
    """Workers that wait for tasks. Made by :func:`~outcrop.cluster.schedulers.open_cluster`.

    ``local``: they are processes of this machine, with numbers from 0. ``patience``: seconds for which there may be no
    worker at all, before that is an error; without it, they are waited for, as in a queue of jobs.
    """

    client: "Client"
    local: bool
    patience: float | None = None

    @contextmanager
    def tasks(self, make: "Callable[[Place], State]", *, packages: Sequence[str]) -> "Iterator[Tasks]":
        """Tasks that share what ``make`` gives, made once in each worker, now or when it joins.

        Raises :class:`ClusterError` where the scheduler lacks outcrop, or has another version.
        """
        from outcrop.cluster.context import TaskContext

        name = f"outcrop-{os.getpid()}-{next(_numbers)}"
        versions = installed(packages)
        context = TaskContext(make, name=name, versions=versions, folder=str(Path.cwd()), local=self.local)
        try:
            self.client.run_on_scheduler(check_same, installed(ENGINE), where="The scheduler")
            self.client.register_plugin(context, name=name)
        except ModuleNotFoundError as error:
            raise ClusterError(f"The cluster cannot work for outcrop: {error}. Install it there.") from error
        except LOST as error:
            raise ClusterError("The scheduler is gone. Start it, and run the same command again to go on.") from error
        try:
            yield Tasks(self.client, name, self.patience)
        finally:
            with suppress(Exception):  # the scheduler may be gone, and its workers with it
                self.client.unregister_worker_plugin(name)


@dataclass(frozen=True)
class Tasks:
    """What one command has done on a cluster."""

    client: "Client"
    name: str
    patience: float | None

    def once(self, work: Callable[[State, None], Any]) -> Any:
        """The result of one task, on any worker. The others get ready meanwhile: each makes what the tasks share."""
        from outcrop.cluster.context import run_in_context

        prepared = [
            self.client.submit(run_in_context, self.name, _nothing, None, key=self._key(), workers=[worker])
            for worker in self._workers()
        ]
        ((_, result),) = self.run(work, [None])
        del prepared  # what is not begun now is dropped; what has failed will fail again, in a task that is looked at
        return result

    def run(self, work: Callable[[State, Item], Any], items: Sequence[Item]) -> Iterator[tuple[Item, Any]]:
        """Each of ``items`` with ``work`` of it, as they are finished.

        A task whose worker dies is given to another. What a task raises is raised here, and the others are dropped;
        :class:`ClusterError` where a task has ended several workers, none is left, or the scheduler is gone.
        """
        from outcrop.cluster.context import run_in_context

        finished: SimpleQueue[Future[Any]] = SimpleQueue()
        pending = {self.client.submit(run_in_context, self.name, work, item, key=self._key()): item for item in items}
        for future in list(pending):
            future.add_done_callback(finished.put)
        try:
            while pending:
                future = self._next(finished)
                yield pending.pop(future), _result(future)
        finally:
            with suppress(Exception):  # the scheduler may be gone
                self.client.cancel(list(pending))

    def _next(self, finished: "SimpleQueue[Future[Any]]") -> "Future[Any]":
        """The next task to end. Raises :class:`ClusterError` where there is no worker for longer than ``patience``."""
        breath = BREATH if self.patience is None else min(BREATH, self.patience)
        alone = 0.0
        while True:
            try:
                return finished.get(timeout=breath)
            except Empty:
                alone = 0.0 if self._workers() else alone + breath
            if self.patience is not None and alone >= self.patience:
                raise ClusterError(
                    f"The cluster has had no worker for {alone:.0f} s. What was committed is safe; start workers, and "
                    "run the same command again to go on."
                )

    def _workers(self) -> list[str]:
        """The addresses of those that are there now."""
        try:
            return list(self.client.nthreads())
        except (OSError, TimeoutError):  # the scheduler may be gone, which ends the tasks
            return []

    def _key(self) -> str:
        return f"{self.name}-{next(_numbers)}"


def _nothing(_state: Any, _item: None) -> None:
    """A task that leaves a worker ready for others."""


def _result(future: "Future[Any]") -> Any:
    from distributed.scheduler import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        count = error.allowed_failures + 1
        raise ClusterError(
            f"One task has ended {count} worker{'s' * (count > 1)}, the last of them "
            f"{error.last_worker.address}: they may lack memory (lower batch, or give each worker more), or end for a "
            "reason that their logs tell. What was committed is safe; run the same command again to go on."
        ) from error
    except CancelledError as error:
        raise ClusterError(
            "The scheduler is gone, or has dropped the work. What was committed is safe; start it, and run the same "
            "command again to go on."
        ) from error
