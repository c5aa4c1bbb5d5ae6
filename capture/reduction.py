"""What is kept of an activation: reduced on the device, inside the hook, before anything is copied."""

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from outcrop.data.errors import InputError

Kind = Literal["mean", "grid", "full", "tokens", "project"]
FORMS = "mean, full, grid:K, tokens:N, project:D"


@dataclass(frozen=True)
class Reduction:
    """``mean`` over positions; ``grid:k`` average pooling to k x k cells (keeps layout); ``full``; ``tokens:n`` evenly
    spaced positions; ``project:d`` a random projection of the whole map, seeded by its size.
    """

    kind: Kind
    size: int = 0

    @classmethod
    def parse(cls, text: str) -> "Reduction":
        """Raises :class:`InputError` for anything but the five forms."""
        kind, _, size = text.partition(":")
        if kind in {"mean", "full"} and not size:
            return cls(kind)  # type: ignore[arg-type]  # narrowed by the set
        if kind in {"grid", "tokens", "project"} and size.isdigit() and int(size) > 0:
            return cls(kind, int(size))  # type: ignore[arg-type]  # narrowed by the set
        raise InputError(f"reduction must be one of {FORMS}. Got {text!r}.")

    def apply(self, activation: Tensor) -> Tensor:
        """Reduce (n, channel, height, width), (n, token, channel) or (n, channel) to (n, *feature)."""
        if self.kind == "full" or activation.ndim == 2:
            return activation
        if self.kind == "mean":
            return activation.mean((2, 3)) if activation.ndim == 4 else activation.mean(1)
        if self.kind == "grid":
            return functional.adaptive_avg_pool2d(_as_map(activation), self.size)
        if self.kind == "tokens":
            tokens = activation.flatten(2).transpose(1, 2) if activation.ndim == 4 else activation
            return tokens[:, _spaced(tokens.shape[1], self.size).to(tokens.device)]
        flat = activation.flatten(1)
        return flat if flat.shape[1] <= self.size else _project(flat, self.size)


def _as_map(activation: Tensor) -> Tensor:
    """Tokens (n, token, channel) of a square picture as (n, channel, height, width)."""
    if activation.ndim == 4:
        return activation
    count = activation.shape[1]
    side = math.isqrt(count)
    if side * side != count:
        raise InputError(
            f"grid:K needs a map, but this site puts out {count} tokens, which are no square. Use mean or tokens:N."
        )
    square: Tensor = activation.transpose(1, 2).unflatten(2, (side, side))
    return square


def _spaced(count: int, wanted: int) -> Tensor:
    return torch.linspace(0, count - 1, min(count, wanted)).round().long()


def _project(flat: Tensor, size: int) -> Tensor:
    """(n, size) of (n, width): sums of ``size`` random groups of equal size, with random signs.

    A count sketch (Charikar et al. 2002; Weinberger et al. 2009, arXiv:0902.2206). Squared distances are kept on
    average, with a relative variance of at most 2 / ``size``: two values meet in a group with a probability below
    1 / ``size``. Unlike a Gaussian matrix it takes no memory of width x size, and a sum in a fixed order is the same on
    every run, which scattered additions on a GPU are not.
    """
    order, signs = (part.to(flat.device) for part in _groups(flat.shape[1], size))
    padded = functional.pad(flat, (0, len(order) - flat.shape[1]))
    sums: Tensor = (padded[:, order] * signs).unflatten(1, (size, -1)).sum(2, dtype=torch.float32)
    return sums


@lru_cache(maxsize=64)  # asked for at every step, by as many sites as there are widths
def _groups(width: int, size: int) -> tuple[Tensor, Tensor]:
    """Order and signs of the values, padded to a multiple of ``size``."""
    seed = int.from_bytes(hashlib.sha256(f"{width}:{size}".encode()).digest()[:7])
    generator = torch.Generator().manual_seed(seed)
    count = -(-width // size) * size
    return torch.randperm(count, generator=generator), torch.randint(
        0, 2, (count,), generator=generator, dtype=torch.int8
    ).mul(2).sub(1)
