"""One call of scaled dot-product attention: its probabilities, and what is kept of them.

The probabilities are softmax(Q K^T scale + mask) (Vaswani et al. 2017), computed for a few queries at a time, because
there are (head, query, key) of them.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

AttentionKind = Literal["words", "head-mean", "entropy", "heads"]
CHUNK = 2**24
"""Probabilities that are in memory at once (in float32): so many queries are taken at a time."""


@dataclass(frozen=True)
class AttentionCall:
    """One call of attention: query, key and value (row, head, position, channel), and ``output`` like the query."""

    query: Tensor
    key: Tensor
    output: Tensor
    mask: Tensor | None
    scale: float
    is_causal: bool
    first_query: int = 0
    """How many queries of the call were before these: causal attention needs to know."""

    def select(self, rows: slice, queries: slice) -> "AttentionCall":
        """The same call with some of its rows and queries, all keys: views."""
        mask = self.mask
        if mask is not None:
            mask = mask[(None,) * (4 - mask.ndim)]
            mask = mask[rows if mask.shape[0] > 1 else slice(None), :, queries if mask.shape[2] > 1 else slice(None)]
        first = self.first_query + (queries.indices(self.query.shape[2])[0])
        query, output = self.query[rows, :, queries], self.output[rows, :, queries]
        return replace(self, query=query, key=self.key[rows], output=output, mask=mask, first_query=first)

    def probabilities(self) -> Tensor:
        """(row, head, query, key), in float32; the keys' heads are repeated where several queries share one."""
        key = self.key.repeat_interleave(self.query.shape[1] // self.key.shape[1], dim=1)
        logits = self.query.float() @ key.float().transpose(-2, -1) * self.scale
        if self.is_causal:
            allowed = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).tril(self.first_query)
            logits = logits.masked_fill(~allowed, -math.inf)
        if self.mask is not None:
            kept = self.mask.dtype == torch.bool
            logits = logits.masked_fill(~self.mask, -math.inf) if kept else logits + self.mask.float()
        return logits.softmax(-1)

    def reduce(self, kind: AttentionKind, *, keys: slice = slice(None)) -> Tensor:
        """``words``: (row, key, query), the mean over heads, a map per word (DAAM, Tang et al. 2022); ``head-mean``:
        (row, head, key), how much each head looks at each key, mean over queries; ``entropy``: (row, head, query) in
        nats; ``heads``: (row, head, query, channel), what each head puts out. ``keys`` are those that are told of; what
        is paid to the others counts all the same.
        """
        if kind == "heads":
            return self.output
        if kind == "words":
            return torch.cat([part.mean(1)[..., keys] for part in self._parts()], 1).transpose(1, 2)
        if kind == "head-mean":
            sums = [part.sum(2)[..., keys] for part in self._parts()]
            return torch.stack(sums).sum(0) / self.query.shape[2]
        return torch.cat([_entropy(part) for part in self._parts()], -1)

    def _parts(self) -> Iterator[Tensor]:
        """The probabilities, of a few queries at a time."""
        rows, heads, queries, _ = self.query.shape
        each = max(1, CHUNK // (rows * heads * self.key.shape[2]))
        for start in range(0, queries, each):
            yield self.select(slice(None), slice(start, start + each)).probabilities()


def _entropy(probabilities: Tensor) -> Tensor:
    tiny = torch.finfo(torch.float32).tiny
    return -(probabilities * probabilities.clamp_min(tiny).log()).sum(-1)
