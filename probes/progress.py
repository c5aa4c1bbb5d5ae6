"""How far a sweep is, for those who watch."""

from collections.abc import Iterator
from contextlib import contextmanager

from outcrop.probes.cells import Progress


@contextmanager
def shown(progress: Progress | bool, *, title: str = "probe", unit: str = "cells") -> Iterator[Progress]:  # noqa: FBT001 # a choice of who is told
    """``progress`` itself; for ``True`` a bar with the time left on standard error; for ``False`` nothing."""
    if not isinstance(progress, bool):
        yield progress
    elif not progress:
        yield lambda _done, _total: None
    else:
        from tqdm import tqdm

        with tqdm(desc=title, unit=f" {unit}", dynamic_ncols=True) as bar:

            def advance(done: int, total: int) -> None:
                if bar.total is None:
                    bar.initial = done if done > 1 else 0  # cells of an earlier run tell nothing of the speed
                bar.total, bar.n = total, done
                bar.refresh()

            yield advance
