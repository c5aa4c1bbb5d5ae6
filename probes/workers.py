"""Work on all cores: processes with one BLAS thread each.

Threads would share one interpreter: a cell of probes is thousands of short calls into NumPy, and two threads gained 1.0
to 1.3 times over one. The processes are loky's, as joblib starts them: fresh ones, so that no thread or open file of
this process is copied, and without reading the caller's script again.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from joblib.externals.loky import get_reusable_executor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # no stubs

Item = TypeVar("Item")
Result = TypeVar("Result")

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def map_in_order(work: Callable[[Item], Result], items: Iterable[Item], *, workers: int) -> Iterator[Result]:
    """``work`` of each of ``items``, in their order; in this process for one worker.

    ``items`` are drawn as they are needed, one more than there are workers at a time. With more than one worker,
    ``work``, items and results are sent between processes, and must be made of arrays and module-level names.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        if workers == 1:
            yield from map(work, items)
            return
        pending: deque[Any] = deque()
        executor = get_reusable_executor(max_workers=workers, env=ONE_THREAD)
        try:
            for item in items:
                pending.append(executor.submit(work, item))
                if len(pending) > workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
