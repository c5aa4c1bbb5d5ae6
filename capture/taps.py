"""Where the activation of a site is read: in what a module puts out, or in the attention that runs inside it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from outcrop.capture.attention_call import AttentionCall, AttentionKind
from outcrop.capture.outputs import Path, follow, tensors_in
from outcrop.capture.streams import Bounds
from outcrop.data.errors import DataError

Grid = tuple[int, int]
EVERY = slice(None)


@dataclass(frozen=True)
class Tap:
    """Where a site's activation lies in what a module puts out.

    ``path`` leads into a nested output. ``tokens`` are the positions kept of a joint sequence (counted from the nearer
    end, because prompts differ in length). ``grid`` is the height and width of the map that the kept tokens are.
    ``batch_axis`` is 1 where a model puts its tokens first.
    """

    module: str
    path: Path | None = None
    tokens: Bounds | None = None
    grid: Grid | None = None
    batch_axis: int = 0

    def read(self, output: object, *, rows: int, kept: slice = EVERY) -> Tensor | None:
        """The activation as (row, *feature), of the ``kept`` rows: a view of the output, never a copy.

        ``rows`` is the batch of the model; a module that is given more folds frames or positions into its own.
        """
        tensor = output_tensor(output) if self.path is None else follow(output, self.path)
        if not isinstance(tensor, Tensor):
            return None
        tensor = tensor.movedim(self.batch_axis, 0)
        if tensor.shape[0] != rows and tensor.shape[0] % rows == 0:
            tensor = tensor.unflatten(0, (rows, -1))
        tensor = tensor[kept]
        if self.tokens is not None:
            tensor = tensor[:, slice(*self.tokens)]
        return as_map(tensor, self.grid, module=self.module)


@dataclass(frozen=True)
class AttentionTap:
    """What is kept of the scaled dot-product attention inside ``module``: ``kind`` as in :class:`AttentionCall`.

    ``head`` is the one that is kept where ``kind`` is ``heads``. ``queries`` and ``keys`` are runs of positions in a
    joint sequence; ``grid`` is the map that the queries are.
    """

    module: str
    kind: AttentionKind
    head: int = 0
    queries: Bounds | None = None
    keys: Bounds | None = None
    grid: Grid | None = None

    @property
    def is_reduced(self) -> bool:
        """Whether there are no positions left that a reduction could work on."""
        return self.kind == "head-mean"

    def read(self, call: AttentionCall, *, kept: slice = EVERY) -> Tensor:
        """(row, *feature) of the ``kept`` rows: (channel, height, width) of a head, (word, height, width) of word maps,
        (head, height, width) of entropies, or with positions first where they are no map; (head, key) of head means.
        """
        chosen = call.select(kept, slice(*self.queries) if self.queries else EVERY)
        if self.kind == "heads":
            return as_map(chosen.output[:, self.head], self.grid, module=self.module)
        reduced = chosen.reduce(self.kind, keys=slice(*self.keys) if self.keys else EVERY)
        return reduced if self.is_reduced else as_map(reduced.transpose(1, 2), self.grid, module=self.module)


def as_map(tokens: Tensor, grid: Grid | None, *, module: str) -> Tensor:
    """(row, position, channel) as (row, channel, height, width), a view; as it is without a ``grid``.

    Raises :class:`DataError` where ``module`` has other positions than it had when its sites were found.
    """
    if grid is None:
        return tokens
    if tokens.shape[1] != grid[0] * grid[1]:
        raise DataError(
            f"{module!r} has {tokens.shape[1]} positions, where a map of {grid[0]} x {grid[1]} was found in the trial "
            "run. Give every run the same height and width."
        )
    restored: Tensor = tokens.unflatten(1, grid).movedim(-1, 1)
    return restored


def find_grid(tokens: int, shapes: Sequence[Grid]) -> Grid | None:
    """The map of ``tokens`` positions with the proportions of one of ``shapes``."""
    for shape in shapes:
        height, width = (extent // math.gcd(*shape) for extent in shape)
        scale = math.isqrt(tokens // (height * width))
        if scale and scale * scale * height * width == tokens:
            return height * scale, width * scale
    return None


def output_tensor(output: object) -> Tensor | None:
    """The first tensor in what a module returns; its field ``sample``, if it has one."""
    sample = getattr(output, "sample", None)
    if isinstance(sample, Tensor):
        return sample
    return next((tensor for _, tensor in tensors_in(output)), None)
