"""An honest shard to be spoilt, and a file beside it that nothing may open."""

import ctypes
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import pytest

from outcrop.data.shard import fill_shard

IN_ACCESS, IN_OPEN = 0x1, 0x20


class Canary:
    """A foreign file, watched by the kernel (inotify): ``opened`` tells whether any process opened it since."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with h5py.File(path, "w") as file:
            file["x"] = [1.0, 2.0, 3.0]
        libc = ctypes.CDLL(None, use_errno=True)
        self._handle = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert libc.inotify_add_watch(self._handle, os.fsencode(path), IN_OPEN | IN_ACCESS) >= 0

    def opened(self) -> bool:
        try:
            return bool(os.read(self._handle, 4096))
        except BlockingIOError:
            return False

    def close(self) -> None:
        os.close(self._handle)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    watched = Canary(tmp_path / "canary.h5")
    yield watched
    watched.close()


@pytest.fixture
def shard(tmp_path: Path, new_record: Callable, new_samples: Callable, new_columns: Callable) -> Path:
    """A shard of three samples at two sites."""
    path = tmp_path / "s.h5"
    record = new_record()
    path.write_bytes(fill_shard(record, 0, new_samples(3), new_columns(record, range(3))).content)
    return path
