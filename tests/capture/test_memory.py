"""The memory that recorded data take: planned, capped, and the same for ten samples and for a thousand."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from outcrop.capture.memory import MemoryPlan
from outcrop.capture.run import capture
from outcrop.capture.spec import CaptureSpec
from outcrop.data.dataset import Dataset
from outcrop.data.errors import InputError


@pytest.mark.parametrize("cap", [160, 199, 200, 250, 10**9])
def test_a_plan_keeps_within_its_cap_and_uses_it(cap: int) -> None:
    plan = MemoryPlan(batch=10, pictures=30, shard=50, buffers=2).within(cap)
    assert plan.total <= cap
    assert plan.buffers == 4 or plan.total + plan.shard > cap


def test_a_cap_below_one_shard_is_refused() -> None:
    plan = MemoryPlan(batch=10, pictures=30, shard=50, buffers=2)
    assert plan.within(None) is plan
    with pytest.raises(InputError, match="memory must be at least"):
        plan.within(159)


def test_the_cap_changes_no_byte(
    tmp_path: Path, new_spec: Callable[..., CaptureSpec], whole: Dataset, contents: Callable
) -> None:
    capture(new_spec(), tmp_path / "ds", memory=200_000)
    assert contents(tmp_path / "ds") == contents(whole.path)


def test_memory_does_not_grow_with_the_number_of_samples(tmp_path: Path, new_spec: Callable[..., CaptureSpec]) -> None:
    """What NumPy and Python hold between batches, late in a run, is what they held early in it."""
    held: list[int] = []

    def note(done: int, _planned: int) -> None:
        if not tracemalloc.is_tracing():
            tracemalloc.start()
        held.append(tracemalloc.get_traced_memory()[0])

    spec = new_spec(
        seeds={"per_prompt": 8},
        sites=["up_blocks.1"],
        reduction="full",
        dtype="float32",
        steps=1,
        record=None,
        height=64,
        width=64,
    )
    try:
        ds = capture(spec, tmp_path / "ds", progress=note)
    finally:
        tracemalloc.stop()
    recorded = ds.info.sample_bytes * len(ds)
    assert len(held) == 25
    assert recorded > 1e6
    assert max(held[-8:]) - min(held[4:12]) < recorded / 8
