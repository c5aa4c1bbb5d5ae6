"""Sites: the places of a model that can be recorded, and how they are chosen."""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from outcrop.capture.reduction import Reduction
from outcrop.capture.streams import Stream
from outcrop.capture.taps import AttentionTap, Tap
from outcrop.data.errors import InputError
from outcrop.data.patterns import near_misses

GROUPS: dict[str, frozenset[str]] = {
    "blocks": frozenset({"block", "bottleneck"}),
    "attentions": frozenset({"attention", "self-attention", "cross-attention", "joint-attention"}),
    "resnets": frozenset({"resnet"}),
    "feed-forwards": frozenset({"feed-forward"}),
    "skips": frozenset({"skip"}),
    "heads": frozenset({"head"}),
    "baselines": frozenset({"baseline"}),
}
ROLES = frozenset().union(*GROUPS.values()) | {
    "transformer-block",
    "downsampler",
    "upsampler",
    "convolution",
    "embedding",
    "output",
    "word-map",
    "entropy",
    "head-mean",
}
"""Every role that a site may have."""


@dataclass(frozen=True)
class Site:
    """A place whose activation can be recorded.

    ``name`` is the module's path, with an ending where there is more than one activation: ``.text`` (the text stream of
    joint attention), ``.skip.K`` (a skip connection), ``.head.K``, ``.words``, ``.entropy``, ``.head-mean`` (inside
    attention; :mod:`outcrop.capture.attention_sites`). ``shape`` is the activation's for one sample: (channel, height,
    width) for a map, (token, channel) for tokens. ``depth`` is the place in execution order, from 0 to 1.
    """

    name: str
    role: str
    depth: float
    shape: tuple[int, ...]
    stream: Stream = "image"
    tap: Tap | AttentionTap | None = None

    @property
    def read_at(self) -> Tap | AttentionTap:
        """Where the activation is read: by default the first tensor of the module that ``name`` is the path of."""
        return self.tap or Tap(self.name)

    @property
    def inside_attention(self) -> str:
        """For a site inside an attention module what its name has after the module's, such as ``.head``; or nothing."""
        if not isinstance(self.tap, AttentionTap):
            return ""
        return "." + self.name.removeprefix(f"{self.tap.module}.").partition(".")[0]

    def reduce(self, reduction: Reduction, activation: Tensor) -> Tensor:
        """(n, *feature) of (n, *shape): head means, which have no positions, stay as they are."""
        done = isinstance(self.tap, AttentionTap) and self.tap.is_reduced
        return activation if done else reduction.apply(activation)


def select_sites(sites: Sequence[Site], patterns: Sequence[str]) -> list[Site]:
    """Sites matched by group (one of :data:`GROUPS` or ``all``), role, or glob over names.

    There are many sites inside attention: ``all`` leaves them out, and so does a glob that does not spell their ending
    (``*.attn2.head.*``). Raises :class:`InputError` for a pattern that matches nothing, naming near misses, and for a
    bare index.
    """
    chosen: set[str] = set()
    names = {site.name for site in sites}
    for pattern in patterns:
        if pattern not in names:  # the layers of a Sequential are numbers
            check_pattern(pattern)
        matched = _match(sites, pattern)
        if not matched:
            known = [*GROUPS, "all", *sorted({site.role for site in sites}), *(site.name for site in sites)]
            raise no_such_site(pattern, known)
        chosen |= matched
    return [site for site in sites if site.name in chosen]


def no_such_site(pattern: str, known: Sequence[str]) -> InputError:
    """The error for a pattern that matches nothing."""
    return InputError(f"Site pattern {pattern!r} matches nothing in this model.{near_misses(pattern, known)}")


def check_pattern(pattern: str) -> None:
    """Raises :class:`InputError` for a bare index."""
    if pattern.lstrip("-").isdigit():
        raise InputError(
            f"Site {pattern!r} is a bare index, which means different layers in different lists. "
            "Give a module path, a glob, a role or a group."
        )


def _match(sites: Sequence[Site], pattern: str) -> set[str]:
    if pattern == "all":
        return {site.name for site in sites if not site.inside_attention}
    roles = GROUPS.get(pattern, frozenset({pattern}))
    return {site.name for site in sites if site.role in roles or _named(site, pattern)}


def _named(site: Site, pattern: str) -> bool:
    return site.inside_attention in pattern and fnmatch.fnmatchcase(site.name, pattern)
