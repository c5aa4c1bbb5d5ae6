"""What recording costs, by parts: CPU time of the threads in each part, to that of the rest of the same run.

Noise between runs is in neither, so that a busy machine tells more this way than by two runs and their difference.
"""

import argparse
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from capture_runs import outcrop
from capture_setup import build_model, new_spec

from outcrop.capture.hooks import Recorder
from outcrop.capture.job import Job, describe, prepare
from outcrop.data import atomic, layout
from outcrop.data.background import BackgroundWriter
from outcrop.data.shard import OpenShard
from outcrop.data.writer import ShardWriter

PARTS: dict[str, list[tuple[Any, str]]] = {
    "in the hooks": [(Recorder, "_keep")],
    "one array of a batch, checked": [(Recorder, "take")],
    "laying out shards": [(layout, "_lay_out"), (OpenShard, "__init__")],
    "checksums": [(OpenShard, "record")],
    "writing files": [(atomic, "_write_whole"), (ShardWriter, "commit_shard")],
    "pictures": [(BackgroundWriter, "_write_images")],
    "the seal": [(ShardWriter, "seal")],
}
BUSY = threading.local()
"""Whether this thread is in a part, so that what one part calls of another is counted once."""


def measure_parts(arguments: argparse.Namespace, scratch: Path) -> None:
    build_model(scratch / "model", channels=arguments.channels, size=arguments.size)
    fields = {"steps": arguments.steps, "batch": arguments.samples, "seeds": {"per_prompt": arguments.samples}}
    full, plan = prepare(new_spec(scratch / "model", reduction="full", **fields))
    for reduction in ("mean", "full"):
        job: Job = replace(full, spec=full.spec.model_copy(update={"reduction": reduction}))
        run = outcrop(describe(job, plan))
        with timed_parts() as spent:
            started = time.process_time()
            run(job, plan, scratch / reduction)
            whole = time.process_time() - started
        rest = whole - sum(spent.values())
        print(f"{reduction}: generation {rest:.2f} s of CPU time; recording {100 * (whole - rest) / rest:.2f} % of it")
        for name, seconds in spent.items():
            print(f"  {name:32}{1e3 * seconds:8.1f} ms {100 * seconds / rest:6.2f} %", flush=True)


@contextmanager
def timed_parts() -> Iterator[dict[str, float]]:
    """CPU time of the thread that each of the parts runs on, while it is open as a context."""
    spent: dict[str, float] = defaultdict(float)
    with ExitStack() as stack:
        for name, places in PARTS.items():
            for holder, function in places:
                own = getattr(holder, function)
                setattr(holder, function, timed(own, name, spent))
                stack.callback(setattr, holder, function, own)
        yield spent


def timed(own: Callable[..., Any], name: str, spent: dict[str, float]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if getattr(BUSY, "now", False):
            return own(*args, **kwargs)
        started, BUSY.now = time.thread_time(), True
        try:
            return own(*args, **kwargs)
        finally:
            BUSY.now = False
            spent[name] += time.thread_time() - started

    return call
