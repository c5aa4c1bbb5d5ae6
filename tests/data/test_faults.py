"""Kills, full disks and failing ones at every place where a data set is written: what is committed stays, and going on
gives the data set that an uninterrupted writer gives, to the byte. The faults are the kernel's own.
"""

import ctypes
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from outcrop.data import atomic, journal, places, writer
from outcrop.data.dataset import open_dataset
from outcrop.data.errors import StorageError
from outcrop.data.schema import DatasetRecord
from outcrop.data.writer import open_writer

Make = Callable[..., DatasetRecord]
Contents = Callable[[Path], dict[str, bytes]]
InChild = Callable[..., int]

STRIDE = 1 if "OUTCROP_KILLS" in os.environ else 9
"""In CI every ninth place; all of them in ``make test-faults``."""
WRITING = {module.__file__ for module in (atomic, journal, places, writer)}
FILES = [
    "dataset.json",
    "shards/000/s000000.h5",
    "shards/000/s000002.h5",
    "samples.parquet",
    "manifest.json",
]


@pytest.fixture
def write_all(write: Callable[..., None], new_record: Make, new_samples: Callable) -> Callable[[Path], None]:
    """Write, or go on writing, the data set of eight samples in three shards."""
    return lambda target: write(target, new_record(), new_samples())


@pytest.fixture
def committed_is_right(new_record: Make, new_columns: Callable) -> Callable[[Path], None]:
    """Whatever the journal announces can be read, and is what was given."""
    expected = new_columns(new_record(), range(8))

    def check(target: Path) -> None:
        if not (target / "dataset.json").exists() or not journal.read_journal(target):
            return
        ds = open_dataset(target)
        for site in ds.sites.index:
            for step in ds.steps.index:
                np.testing.assert_array_equal(ds.activations(site, step=step), expected[site][step][: len(ds)])

    return check


def kill_at_line(number: int, action: Callable[[], object]) -> Callable[[], None]:
    """``action``, with a SIGKILL when the ``number``-th line of the modules that write is about to run."""
    seen = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Callable[..., Any] | None:
        nonlocal seen
        if frame.f_code.co_filename not in WRITING:
            return None
        if event == "line":
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    def run() -> None:
        threading.settrace(trace)
        sys.settrace(trace)
        action()

    return run


def lines_run(action: Callable[[], object]) -> int:
    """How many lines of those modules ``action`` runs."""
    seen = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Callable[..., Any] | None:
        nonlocal seen
        if frame.f_code.co_filename not in WRITING:
            return None
        seen += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return seen


def test_killed_before_any_line_it_goes_on_to_the_same_bytes(
    folder: Path,
    tmp_path: Path,
    write_all: Callable,
    committed_is_right: Callable,
    contents: Contents,
    in_child: InChild,
) -> None:
    places = lines_run(lambda: write_all(tmp_path / "count"))
    assert places > 200
    expected = contents(folder)
    for place in range(1, places + 1, STRIDE):
        target = tmp_path / str(place)
        assert in_child(kill_at_line(place, lambda target=target: write_all(target))) == -signal.SIGKILL
        committed_is_right(target)
        write_all(target)
        assert contents(target) == expected, f"killed before line {place} of {places}"


@pytest.mark.parametrize("deadly", [True, False])
def test_ended_by_the_kernel_after_any_number_of_bytes(
    folder: Path,
    tmp_path: Path,
    write_all: Callable,
    committed_is_right: Callable,
    contents: Contents,
    in_child: InChild,
    deadly: bool,
) -> None:
    """A file may not grow beyond ``limit`` bytes: the write of what is more kills, or is told as an error."""
    expected = contents(folder)
    sizes = sorted({len(content) for content in expected.values()})
    limits = sorted({*range(0, sizes[-1], 500 * STRIDE), *(size - 1 for size in sizes)})

    def limited(target: Path, limit: int) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL if deadly else signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        write_all(target)

    for limit in limits:
        target = tmp_path / str(limit)
        assert in_child(lambda target=target, limit=limit: limited(target, limit)) == (-signal.SIGXFSZ if deadly else 3)
        assert deadly or not list(target.rglob("*.partial"))
        committed_is_right(target)
        write_all(target)
        assert contents(target) == expected, f"no file beyond {limit} bytes"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("device", "reason"), [("/dev/full", "No space left on device"), ("/proc/self/mem", "Input/output error")]
)
def test_a_write_that_fails_names_the_file(
    folder: Path, tmp_path: Path, write_all: Callable, contents: Contents, name: str, device: str, reason: str
) -> None:
    """What the disk would hold for a moment leads to a device whose every write fails."""
    target = tmp_path / "broken"
    final = target / name
    final.parent.mkdir(parents=True, exist_ok=True)
    final.with_name(f".{final.name}.partial").symlink_to(device)
    if name != "dataset.json":
        (target / "dataset.json").write_bytes((folder / "dataset.json").read_bytes())
    with pytest.raises(StorageError, match=f"Could not write {final}: {reason}.*run the same command again"):
        write_all(target)
    assert not list(target.rglob("*.partial"))
    write_all(target)
    assert contents(target) == contents(folder)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Callable[[int], Path]:
    """Mounts a file system of so many bytes in a mount namespace that is the process's own: call it in a child."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, mounts, private = 0x10000000, 0x00020000, 0x44000

    def mount(size: int) -> Path:
        place = tmp_path / "disk"
        place.mkdir(exist_ok=True)
        if libc.unshare(mounts) and libc.unshare(user | mounts):
            raise PermissionError("no mount namespace")
        libc.mount(None, b"/", None, private, None)
        if libc.mount(b"none", str(place).encode(), b"tmpfs", 0, f"size={size}".encode()):
            raise PermissionError("no mount")
        return place

    return mount


def test_a_disk_that_fills_up_at_any_page_and_is_then_larger(
    folder: Path,
    tmp_path: Path,
    write_all: Callable,
    committed_is_right: Callable,
    contents: Contents,
    in_child: InChild,
    tiny_disk: Callable[[int], Path],
) -> None:
    libc = ctypes.CDLL(None)
    if in_child(lambda: tiny_disk(4096)):
        pytest.skip("this machine lets nobody mount a file system")
    expected, page = contents(folder), resource.getpagesize()
    most = sum(-(-len(content) // page) for content in expected.values())  # of the files alone, folders not counted

    def fill(pages: int) -> None:
        target = tiny_disk(pages * page) / "ds"
        if pages < most:
            with pytest.raises(StorageError, match=str(target)):
                write_all(target)
        committed_is_right(target)
        libc.mount(None, str(target.parent).encode(), None, 32, b"size=1m")  # 32: remount
        write_all(target)
        assert contents(target) == expected

    for pages in range(1, most + 1, max(1, STRIDE // 3)):
        assert in_child(lambda pages=pages: fill(pages), told=tmp_path / "told") == 0, (tmp_path / "told").read_text()


def test_a_writer_that_was_refused_may_try_again(
    folder: Path, tmp_path: Path, new_record: Make, new_samples: Callable, new_columns: Callable, contents: Contents
) -> None:
    """A journal line that did not fit is taken back, so that the next one starts on a line of its own."""
    samples, record = new_samples(), new_record()
    with open_writer(tmp_path / "again", record) as opened:
        for index in range(3):
            rows = range(index * 3, min(8, index * 3 + 3))
            given = index, [samples[row] for row in rows], new_columns(record, rows)
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            line = tmp_path / "again" / "journal.jsonl"
            for allowed in (10, (line.stat().st_size if line.exists() else 0) + 100):
                resource.setrlimit(resource.RLIMIT_FSIZE, (allowed, hard))
                try:
                    with pytest.raises(StorageError):
                        opened.commit(*given)
                finally:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            opened.commit(*given)
        assert opened.seal(samples)
    assert contents(tmp_path / "again") == contents(folder)
