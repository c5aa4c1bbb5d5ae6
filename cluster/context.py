"""What the tasks of one command find in every worker, and how they run there."""

import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import chdir, suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from distributed import Worker, WorkerPlugin, get_worker

from outcrop.capture.ranks import local_device
from outcrop.cluster.allocation import keep_freed_memory
from outcrop.cluster.versions import check_same
from outcrop.data.errors import ClusterError, DataError, StorageError

State = TypeVar("State")


@dataclass(frozen=True)
class Place:
    """The worker that a task runs in: its address, and its number where it is a process of the driver's machine.

    ``tag`` tells its temporary files from those of other workers, and of other commands.
    """

    address: str
    number: int | None
    tag: str

    def device(self, wanted: str) -> str:
        """The device of this worker: a bare ``cuda`` becomes the one with its number."""
        return wanted if self.number is None else local_device(wanted, self.number)


class TaskContext(WorkerPlugin, Generic[State]):
    """Makes what the tasks of one command share when the first of them comes to a worker, a model for example.

    Tasks take turns where a worker has several threads: they use one model. ``make`` runs in ``folder``, from which the
    command was given, so that relative paths mean the same.
    """

    def __init__(
        self, make: Callable[[Place], State], *, name: str, versions: Mapping[str, str], folder: str, local: bool
    ) -> None:
        self.name, self._local = name, local
        self._make, self._versions, self._folder = make, dict(versions), folder

    def setup(self, worker: Worker) -> None:
        number = worker.name if self._local and isinstance(worker.name, int) else None
        tag = "".join(letter if letter.isalnum() else "-" for letter in f"{worker.address}-{self.name}")
        self._place = Place(str(worker.address), number, f".{tag}")
        self._turn = threading.Lock()
        self._state: State | None = None
        if self._local:  # Ctrl-C reaches all processes of the terminal; the one that was asked ends the others
            with suppress(ValueError):  # not the main thread
                signal.signal(signal.SIGINT, signal.SIG_IGN)

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002  # the signature is Dask's
        self._state = None

    def do(self, work: Callable[[State, Any], Any], item: Any) -> Any:
        """``work`` of what the tasks share and of ``item``."""
        with self._turn:
            if self._state is None:
                check_same(self._versions, where=f"Worker {self._place.address}")
                keep_freed_memory()
                self._state = self._made()
            try:
                return work(self._state, item)
            except (DataError, StorageError) as error:  # its machine, or its credentials, may be at fault
                raise type(error)(f"On worker {self._place.address}: {error}") from error

    def _made(self) -> State:
        try:
            there = chdir(self._folder)
            there.__enter__()
        except OSError as error:
            raise ClusterError(
                f"Worker {self._place.address} cannot enter {self._folder}, where the command was given: "
                f"{error.strerror}. The folder must lie on a file system that all machines of the cluster share."
            ) from error
        try:
            return self._make(self._place)
        finally:
            there.__exit__(None, None, None)


def run_in_context(name: str, work: Callable[[Any, Any], Any], item: Any) -> Any:
    """The task that is sent to a worker."""
    context: TaskContext[Any] = get_worker().plugins[name]  # type: ignore[assignment]  # registered under this name
    return context.do(work, item)
