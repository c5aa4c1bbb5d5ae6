"""Who may write behind a URL: the lock of a folder, :mod:`outcrop.data.locks`, as objects of a store.

``.lock`` is made by a sole writer and ``.lock.r0003`` by rank 3, and only if it is not there. A killed writer cannot
take its lock away: it is written anew every minute while its writer lives, and passes to the next one after five
without, by the store's clock. A writer whose process has ended on this machine is followed at once.
"""

import json
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from outcrop.data.errors import ConflictError, OutcropError, StorageError
from outcrop.data.locks import NAME, rank_tag
from outcrop.data.object_store import ObjectStore

RENEWED = 60.0
"""Seconds between two signs of life."""
EXPIRES = timedelta(minutes=5)


class Lease:
    """The right to write under one location, as a sole writer or as ``rank``."""

    def __init__(self, objects: ObjectStore, *, rank: int | None = None) -> None:
        self._objects, self._rank, self._name = objects, rank, NAME + rank_tag(rank)
        self._token = uuid.uuid4().hex
        owner = {"host": socket.gethostname(), "kernel": _kernel(), "process": os.getpid(), "token": self._token}
        self._content = json.dumps(owner).encode()

    @contextmanager
    def held(self) -> Iterator[None]:
        """While this process writes. Raises :class:`ConflictError` beside another one that must not.

        Raises :class:`StorageError` where no object can be written.
        """
        self._take()
        ended = threading.Event()
        renewing = threading.Thread(target=self._renew, args=(ended,), name="outcrop-lease", daemon=True)
        renewing.start()
        try:
            yield
        except StorageError:
            self._objects = ObjectStore(self._objects.location, retries=0)  # it was given its time
            raise
        finally:
            ended.set()
            renewing.join()
            with suppress(OutcropError):  # it would hide what ended the body; the lock expires
                self._leave()

    def _take(self) -> None:
        if not self._objects.create(self._name, self._content) and not self._mine():
            if self._alive(self._name):
                raise self._conflict(self._name)
            self._objects.put(self._name, self._content)
            if not self._mine():  # another one was as quick
                raise self._conflict(self._name)
        for other in self._others():
            if self._alive(other):
                self._leave()
                raise self._conflict(other)
            self._objects.remove([other])

    def _others(self) -> list[str]:
        """Locks that must not stand beside this one: a sole writer's beside any, ranks' beside none of theirs."""
        held = [name for name in self._objects.names() if name.startswith(NAME) and name != self._name]
        return held if self._rank is None else [name for name in held if name == NAME]

    def _alive(self, name: str) -> bool:
        """Whether the holder of a lock may still be at work."""
        content, changed = self._objects.find(name), self._objects.changed(name)
        if content is None or changed is None or _ended_here(content):
            return False
        clock = f".clock.{self._token}"
        self._objects.put(clock, b"")
        now = self._objects.changed(clock)
        self._objects.remove([clock])
        return now is None or now - changed < EXPIRES

    def _mine(self) -> bool:
        """A request that was answered into the void is tried again, and finds its own lock."""
        return self._objects.find(self._name) == self._content

    def _renew(self, ended: threading.Event) -> None:
        while not ended.wait(RENEWED):
            with suppress(StorageError):  # the next shard will tell
                self._objects.put(self._name, self._content)

    def _leave(self) -> None:
        if self._mine():
            self._objects.remove([self._name])

    def _conflict(self, name: str) -> ConflictError:
        who, rank = _owner(self._objects.find(name) or b""), name.removeprefix(NAME + ".r")
        what = f" as rank {int(rank)}" if rank.isdigit() else ""
        return ConflictError(
            f"Another process ({who}) is writing to {self._objects.location}{what}. Wait for it to end, or choose "
            f"another output folder. If it was killed on another machine, its lock {name} is void "
            f"{EXPIRES.seconds // 60} minutes after its last sign of life."
        )


def _ended_here(content: bytes) -> bool:
    """Whether a lock is of a process of this machine that is no more."""
    owner = _parse(content)
    process = owner.get("process")
    if owner.get("kernel") != _kernel() or not isinstance(process, int):
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _kernel() -> str:
    """What tells the processes that this one can see from those of other machines and containers."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"  # noqa: PTH116


def _owner(content: bytes) -> str:
    owner = _parse(content)
    return f"process {owner.get('process', '?')} on {owner.get('host', 'a machine')}"


def _parse(content: bytes) -> dict[str, object]:
    with suppress(ValueError):
        owner = json.loads(content)
        if isinstance(owner, dict):
            return owner
    return {}
