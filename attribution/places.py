"""Which sites of a model are meant: by the name that a claim gives, or else by role and place in the network."""

from collections.abc import Sequence
from math import prod

from outcrop.attribution.recipe import NotTestableError
from outcrop.capture.sites import Site

MIDDLE = (0.4, 0.6)
"""Relative depths of the middle of a network without a bottleneck."""


def named(sites: Sequence[Site], *names: str) -> tuple[str, ...]:
    """Those of ``names`` that the model has, if it has all; else none."""
    known = {site.name for site in sites}
    return names if known.issuperset(names) else ()


def of_role(sites: Sequence[Site], *roles: str) -> list[Site]:
    """The sites of the image with one of ``roles``, in execution order."""
    return [site for site in sites if site.role in roles and site.stream == "image"]


def middle(sites: Sequence[Site]) -> tuple[str, ...]:
    """The bottleneck; in a network without one the blocks in the middle of its depth, or the last of its first half."""
    found = [site.name for site in of_role(sites, "bottleneck")]
    if not found:
        blocks = of_role(sites, "block")
        span = [number / max(len(blocks) - 1, 1) for number in range(len(blocks))]
        found = [site.name for site, at in zip(blocks, span, strict=True) if MIDDLE[0] <= at <= MIDDLE[1]]
        found = found or [site.name for site in blocks[: len(blocks) // 2][-1:]]
    return _some(found, "neither a bottleneck nor several blocks")


def after_middle(sites: Sequence[Site]) -> tuple[str, ...]:
    """The first block after the middle."""
    last = max(site.depth for site in sites if site.name in middle(sites))
    found = [site.name for site in of_role(sites, "block") if site.depth > last]
    return _some(found, "no block after its middle")[:1]


def attentions_to_text(sites: Sequence[Site]) -> list[Site]:
    """Where the prompt enters: cross-attention, or joint attention. Raises :class:`NotTestableError`."""
    found = of_role(sites, "cross-attention") or of_role(sites, "joint-attention")
    _some([site.name for site in found], "no attention to a prompt")
    return found


def coarse_to_fine(sites: Sequence[Site]) -> list[Site]:
    """``sites`` by the size of their map, smallest first; of one size, those nearer to the middle of the list first."""
    centre = (len(sites) - 1) / 2
    order = sorted(range(len(sites)), key=lambda at: (_area(sites[at]), abs(at - centre)))
    return [sites[at] for at in order]


def _area(site: Site) -> int:
    return prod(site.shape[1:]) if len(site.shape) == 3 else site.shape[0]


def _some(found: list[str], lacking: str) -> tuple[str, ...]:
    if not found:
        message = f"the model has {lacking}"
        raise NotTestableError(message)
    return tuple(found)
