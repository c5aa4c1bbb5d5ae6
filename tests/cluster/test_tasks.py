"""Workers get ready side by side, and what fails in one of them is told with its address."""

import signal
import time
from pathlib import Path

import pytest

from outcrop.cluster.context import Place
from outcrop.cluster.tasks import Cluster
from outcrop.data.errors import DataError, InputError, StorageError


def test_both_workers_get_ready_while_the_first_task_runs(tmp_path: Path, cluster: Cluster) -> None:
    cluster.client.wait_for_workers(2)  # one that an earlier test has killed may still be on its way back

    def meet(place: Place) -> int:
        (tmp_path / place.tag).touch()
        while len(list(tmp_path.iterdir())) < 2:
            time.sleep(0.01)
        return 21

    def answer(state: int, _item: None) -> int:
        return 2 * state

    with cluster.tasks(meet, packages=()) as tasks:
        assert tasks.once(answer) == 42


def test_a_worker_that_cannot_get_ready_says_why(cluster: Cluster) -> None:
    def fail(_place: Place) -> None:
        raise InputError("no such model")

    def answer(_state: None, _item: None) -> None: ...

    with cluster.tasks(fail, packages=()) as tasks, pytest.raises(InputError, match=r"^no such model$"):
        tasks.once(answer)


@pytest.mark.parametrize("kind", [DataError, StorageError])
def test_what_the_store_refuses_a_worker_names_the_worker(cluster: Cluster, kind: type[Exception]) -> None:
    def nothing(_place: Place) -> None: ...

    def refuse(_state: None, _item: None) -> None:
        raise kind("no credentials")

    with cluster.tasks(nothing, packages=()) as tasks, pytest.raises(kind, match=r"^On worker tls://.*: no cred"):
        tasks.once(refuse)


def test_an_interrupt_is_left_to_the_process_that_was_asked(cluster: Cluster) -> None:
    def nothing(_place: Place) -> None: ...

    with cluster.tasks(nothing, packages=()):
        handlers = cluster.client.run(signal.getsignal, signal.SIGINT)
    assert set(handlers.values()) == {signal.SIG_IGN}
