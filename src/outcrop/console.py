"""What commands share on a terminal: progress, and errors that fit on one screen."""

import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import click

Update = Callable[[int, int], None]

COPY = {"s3": "aws s3 sync", "gs": "gcloud storage rsync --recursive", "az": "azcopy copy --recursive"}
"""By the scheme of an object store, what copies a folder of it."""


class LocalPath(click.Path):
    """A path of this machine; a URL is refused, with the command that copies what lies there."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        scheme, _, rest = str(value).partition("://")
        if rest and scheme != "file":
            self.fail(
                f"{value} is not on this machine, and this command works on a folder that is. Copy it first: "
                f"{COPY.get(scheme, 'outcrop pull')} {value} runs/{PurePosixPath(rest).name or 'dataset'}",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


@contextmanager
def progress(title: str, unit: str) -> Iterator[Update]:
    """A function of (done, total): a bar with the time left on a terminal, a plain line every tenth elsewhere.

    When the total changes, a new piece of work begins, with its own count and its own speed.
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(desc=title, unit=f" {unit}", dynamic_ncols=True) as bar:
            yield lambda done, total: _advance(bar, done, total)
    else:
        yield _PlainProgress(title, unit)


def _advance(bar: "object", done: int, total: int) -> None:
    if bar.total != total:  # type: ignore[attr-defined]  # a tqdm bar
        bar.reset(total)  # type: ignore[attr-defined]
        bar.initial = done  # type: ignore[attr-defined]  # what an earlier run did tells nothing of the speed
    bar.total, bar.n = total, done  # type: ignore[attr-defined]
    bar.refresh()  # type: ignore[attr-defined]


class _PlainProgress:
    def __init__(self, title: str, unit: str) -> None:
        self.title, self.unit = title, unit
        self.started, self.first, self.shown, self.total = 0.0, 0, -1, -1

    def __call__(self, done: int, total: int) -> None:
        if total != self.total:
            self.first, self.started = done, time.monotonic()  # starting up tells nothing of the speed
            self.shown, self.total = -1, total
        tenth = 10 * done // max(total, 1)
        if tenth == self.shown:
            return
        self.shown = tenth
        spent, fresh = time.monotonic() - self.started, done - self.first
        left = f", about {spent / fresh * (total - done):.0f} s left" if fresh and done < total else ""
        click.echo(f"{self.title}: {done} of {total} {self.unit}{left}", err=True)


@contextmanager
def said_after(seconds: float, text: str) -> Iterator[Callable[[], None]]:
    """Prints ``text`` when ``seconds`` have gone by, unless the function that is given was called before."""
    timer = threading.Timer(seconds, lambda: click.echo(text, err=True))
    timer.daemon = True
    timer.start()
    try:
        yield timer.cancel
    finally:
        timer.cancel()


def check_file(path: Path) -> None:
    """Before any work: whether a file can be written to ``path``, in a folder that is there.

    Raises ``InputError`` for a folder that is missing and for a ``path`` that is one, ``StorageError`` for a folder in
    which nothing can be written.
    """
    from outcrop.data.errors import InputError, StorageError

    if path.is_dir():
        raise InputError(f"{path} is a folder. Expected the name of a file to write: give another --out.")
    if not path.parent.is_dir():
        raise InputError(f"There is no folder {path.parent} to write {path.name} into. Make it, or give another --out.")
    if not os.access(path.parent, os.W_OK):
        raise StorageError(f"Nothing can be written in {path.parent}. Give another --out.")


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM, by which batch systems end a job, ends the body as Ctrl-C does: with what is at hand brought to disk."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Warnings of the body as one plain line each on standard error, without the line of code."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_args, **_names: click.echo(f"Warning: {message}", err=True)
        yield


def fail(message: str, *, code: int) -> None:
    """Print why, on standard error, and leave."""
    click.echo(message, err=True)
    sys.exit(code)
