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
    spaced positions; ``project:d`` a random Gaussian projection of the whole map, seeded by its size.
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
        return flat @ _projection(flat.shape[1], self.size).to(flat)


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


@lru_cache(maxsize=8)  # a matrix is large, and asked for at every step
def _projection(width: int, size: int) -> Tensor:
    seed = int.from_bytes(hashlib.sha256(f"{width}:{size}".encode()).digest()[:7])
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((width, size), generator=generator) / math.sqrt(size)
