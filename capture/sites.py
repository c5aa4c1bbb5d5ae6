"""Sites: the places of a model that can be recorded, and how they are chosen."""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from outcrop.capture.outputs import Path, follow, tensors_in
from outcrop.capture.streams import Stream
from outcrop.data.errors import InputError
from outcrop.data.patterns import near_misses

GROUPS: dict[str, frozenset[str]] = {
    "blocks": frozenset({"block", "bottleneck"}),
    "attentions": frozenset({"attention", "self-attention", "cross-attention", "joint-attention"}),
    "resnets": frozenset({"resnet"}),
    "feed-forwards": frozenset({"feed-forward"}),
    "skips": frozenset({"skip"}),
}


@dataclass(frozen=True)
class Tap:
    """Where a site's activation lies in what a module puts out.

    ``path`` leads into a nested output. ``tokens`` are the positions kept of a joint sequence, as ``slice`` bounds (an
    end of ``None`` is the end; negative ones count from there, because prompts differ in length). ``grid`` is the
    height and width of the map that the kept tokens are. ``batch_axis`` is 1 where a model puts its tokens first.
    """

    module: str
    path: Path | None = None
    tokens: tuple[int, int | None] | None = None
    grid: tuple[int, int] | None = None
    batch_axis: int = 0

    def read(self, output: object, *, rows: int) -> Tensor | None:
        """The activation as (row, *feature): a view of the output, never a copy.

        ``rows`` is the batch of the model; a module that is given more folds frames or positions into its own.
        """
        tensor = output_tensor(output) if self.path is None else follow(output, self.path)
        if not isinstance(tensor, Tensor):
            return None
        tensor = tensor.movedim(self.batch_axis, 0)
        if tensor.shape[0] != rows and tensor.shape[0] % rows == 0:
            tensor = tensor.unflatten(0, (rows, -1))
        if self.tokens is not None:
            tensor = tensor[:, slice(*self.tokens)]
        if self.grid is None:
            return tensor
        restored: Tensor = tensor.unflatten(1, self.grid).movedim(-1, 1)
        return restored


@dataclass(frozen=True)
class Site:
    """A place whose activation can be recorded.

    ``name`` is the module's path, with an ending where the module puts out more than one activation: ``.text`` (the
    text stream of joint attention), ``.skip.K`` (a skip connection). ``shape`` is the activation's for one sample:
    (channel, height, width) for a map, (token, channel) for tokens. ``depth`` is the place in execution order, from 0
    to 1.
    """

    name: str
    role: str
    depth: float
    shape: tuple[int, ...]
    stream: Stream = "image"
    tap: Tap | None = None

    @property
    def read_at(self) -> Tap:
        """Where the activation is read: by default the first tensor of the module that ``name`` is the path of."""
        return self.tap or Tap(self.name)


def output_tensor(output: object) -> Tensor | None:
    """The first tensor in what a module returns; its field ``sample``, if it has one."""
    sample = getattr(output, "sample", None)
    if isinstance(sample, Tensor):
        return sample
    return next((tensor for _, tensor in tensors_in(output)), None)


def select_sites(sites: Sequence[Site], patterns: Sequence[str]) -> list[Site]:
    """Sites matched by group (one of :data:`GROUPS` or ``all``), role, or glob over names.

    Raises :class:`InputError` for a pattern that matches nothing, naming near misses, and for a bare index.
    """
    chosen: set[str] = set()
    for pattern in patterns:
        if pattern.lstrip("-").isdigit():
            raise InputError(
                f"Site {pattern!r} is a bare index, which means different layers in different lists. "
                "Give a module path, a glob, a role or a group."
            )
        matched = _match(sites, pattern)
        if not matched:
            known = [*GROUPS, "all", *sorted({site.role for site in sites}), *(site.name for site in sites)]
            raise InputError(f"Site pattern {pattern!r} matches nothing in this model.{near_misses(pattern, known)}")
        chosen |= matched
    return [site for site in sites if site.name in chosen]


def _match(sites: Sequence[Site], pattern: str) -> set[str]:
    if pattern == "all":
        return {site.name for site in sites}
    roles = GROUPS.get(pattern, frozenset({pattern}))
    return {site.name for site in sites if site.role in roles or fnmatch.fnmatchcase(site.name, pattern)}
