"""Whether a column of features, one site at one step, fits into the memory that is free."""

import math
import resource
import warnings
from collections.abc import Sequence
from pathlib import Path

from outcrop.data.errors import InputError
from outcrop.data.summary import size_text
from outcrop.probes.features import Recording

ITEM = 4
"""Bytes of a feature: columns are probed as float32, however they are stored."""

TIMES, TIMES_WIDE = 3, 7
"""How many columns a cell takes in all, and where features outnumber samples (docs/benchmarks.md, "Memory")."""

WAYS = (
    "Capture with a coarser reduction (--reduction mean, grid:4 or project:256), leave such sites out (--site, sites), "
    "or probe on a machine with more memory; --dtype int8 saves disk alone."
)
"""What else there is to do."""

MEMORY, GROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


class RoomWarning(UserWarning):
    """What a sweep takes may be more than the memory that is free."""


def check_room(recording: Recording, sites: Sequence[str], *, free: int | None) -> None:
    """Look, before any work, at the largest column of ``sites`` beside the ``free`` bytes of memory, if known.

    Raises :class:`InputError` where the column alone is larger, and warns where what a cell takes may be. Sites of
    which the shape is not stated are passed over.
    """
    shapes = dict(recording.sites["shape"].loc[list(sites)]) if "shape" in recording.sites else {}
    widths = {site: math.prod(shape) for site, shape in shapes.items() if isinstance(shape, tuple)}
    if free is None or not widths:
        return
    site, samples = max(widths, key=lambda name: widths[name]), len(recording.samples)
    column = ITEM * samples * widths[site]
    needed = column * (TIMES_WIDE if widths[site] > samples else TIMES)
    if needed <= free:
        return
    counts = f"{samples:,} samples x {widths[site]:,} features"
    what = f"A column of site {site!r} holds {counts}, {size_text(column)} as float32"
    if column > free and widths[site] >= samples:
        raise InputError(
            f"{what}, of which {size_text(free)} are free. A column must fit into memory as a whole. {WAYS}"
        )
    by_rows = f"Have it read by rows (--memory {free // 2**21 or 1}MiB, memory=...). "
    ways = WAYS if widths[site] >= samples else by_rows + WAYS
    if column > free:
        raise InputError(f"{what}, of which {size_text(free)} are free. {ways}")
    warnings.warn(
        f"{what}; a cell takes up to {size_text(needed)}, and {size_text(free)} are free: the sweep may be ended for "
        f"want of memory. {ways}",
        RoomWarning,
        stacklevel=3,
    )


def free_memory() -> int | None:
    """Bytes that the kernel, the control group and the process's own limit leave; None if none of them tells."""
    found = [_available(), _left_in_group(), _limit()]
    known = [size for size in found if size is not None]
    return min(known) if known else None


def _available() -> int | None:
    for line in MEMORY.read_text().splitlines() if MEMORY.is_file() else []:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _left_in_group() -> int | None:
    most, taken = GROUP / "memory.max", GROUP / "memory.current"
    if not most.is_file() or not taken.is_file() or (text := most.read_text().strip()) == "max":
        return None
    return max(0, int(text) - int(taken.read_text()))


def _limit() -> int | None:
    limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
    return None if limit == resource.RLIM_INFINITY else limit
