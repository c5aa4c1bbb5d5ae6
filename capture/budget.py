"""What to keep of a model so that it fits on a disk: from everything, one concession after the other.

The order is that of what is thought to be lost. Measured on one small model (docs/benchmarks.md) was that one byte a
value costs no accuracy that could be told from none, and that layout is read as well from 4 x 4 cells as from the whole
map; that neighbouring steps tell much the same is assumed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from outcrop.capture.job import reduced_shape
from outcrop.capture.sites import Site, select_sites
from outcrop.data.errors import InputError
from outcrop.data.int8 import channel_shape
from outcrop.data.listing import Listing, listing
from outcrop.data.schema import FILLED_DTYPE, STORED_DTYPE, DType
from outcrop.data.stored import SCALES

EVERYTHING = ("blocks", "attentions")
FEWER = ("blocks",)
SHARD = 64
"""Samples that share the scales of int8."""


@dataclass(frozen=True)
class Keeping:
    """What is kept of a sample: ``sites`` (patterns), ``record`` of the steps, how each activation is reduced, and as
    what it is stored.
    """

    sites: tuple[str, ...]
    record: int
    reduction: str
    dtype: DType

    def chosen(self, sites: Sequence[Site]) -> list[Site]:
        """Of ``sites`` those that are kept: none that the reduction does not fit, such as text in a grid."""
        return [site for site in select_sites(sites, self.sites) if _fits(site, self.reduction)]

    def sample_bytes(self, sites: Sequence[Site]) -> int:
        """Bytes of activations a sample, of int8 with its part of the scales."""
        values = self._values(sites)
        if self.dtype != "int8":
            return values * np.dtype(STORED_DTYPE[self.dtype]).itemsize
        shapes = self._shapes(sites).values()
        scales = self.record * sum(8 * prod(channel_shape(shape, "cond")) for shape in shapes)
        return values + -(-scales // SHARD)

    def filled_bytes(self, sites: Sequence[Site]) -> int:
        """Bytes of activations a sample, in memory while its shard is filled."""
        return self._values(sites) * np.dtype(FILLED_DTYPE[self.dtype]).itemsize

    def shard_memory(self, sites: Sequence[Site], samples: int) -> int:
        """Bytes of a shard of ``samples`` while it is filled; codes of int8 are made beside the values."""
        codes = self.sample_bytes(sites) if self.dtype == "int8" else 0
        return samples * (self.filled_bytes(sites) + codes)

    def listing(self, sites: Sequence[Site]) -> Listing:
        """What the list of the shards takes."""
        arrays = self._shapes(sites)
        if self.dtype == "int8":
            arrays |= {SCALES + name: (2, *channel_shape(shape, "cond")) for name, shape in arrays.items()}
        return listing(arrays, steps=self.record)

    def _shapes(self, sites: Sequence[Site]) -> dict[str, tuple[int, ...]]:
        return {site.name: reduced_shape(site, self.reduction) for site in self.chosen(sites)}

    def _values(self, sites: Sequence[Site]) -> int:
        return self.record * sum(map(prod, self._shapes(sites).values()))


@dataclass(frozen=True)
class Concession:
    """A keeping, and what it gives up over the one before; ``why`` in words."""

    keeping: Keeping
    why: str


def concessions(sites: Sequence[Site], *, steps: int, spatial: bool) -> Iterator[Concession]:
    """From all that the questions could use down to the least, each smaller than the one before.

    ``spatial``: whether a question is about where things are, for which cells are kept. Raises :class:`InputError` for
    a model without blocks and attentions.
    """
    now = Keeping(EVERYTHING, steps, "grid:8" if spatial else "mean", "float16")
    yield Concession(now, "")
    for changes, why in _ladder(steps, spatial=spatial):
        after = replace(now, **changes)
        if after.record > now.record or not _has(sites, after.sites):
            continue
        if after.sample_bytes(sites) < now.sample_bytes(sites):
            now = after
            yield Concession(now, why)


def _ladder(steps: int, *, spatial: bool) -> Iterator[tuple[dict[str, Any], str]]:
    def fewer(count: int) -> tuple[dict[str, Any], str]:
        return {
            "record": min(count, steps)
        }, f"{count} steps, evenly spaced, in place of {steps}: those between are unseen"

    def coarser(cells: int) -> tuple[dict[str, Any], str]:
        return {
            "reduction": f"grid:{cells}"
        }, f"{cells} x {cells} cells in place of finer ones: smaller layouts are averaged away"

    yield {"dtype": "int8"}, "one byte a value in place of two: right to 1/508 of what a channel spans"
    yield fewer(10)
    if spatial:
        yield coarser(4)
    yield fewer(5)
    yield {"sites": FEWER}, "attentions: their outputs go into the blocks', where they are read together"
    if spatial:
        yield coarser(2)
    yield fewer(2)
    yield fewer(1)


def _has(sites: Sequence[Site], patterns: Sequence[str]) -> bool:
    try:
        return bool(select_sites(sites, patterns))
    except InputError:
        return False


def _fits(site: Site, reduction: str) -> bool:
    try:
        reduced_shape(site, reduction)
    except InputError:
        return False
    return True
