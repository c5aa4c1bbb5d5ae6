"""Attention per head: its probabilities, recomputed from the very queries and keys of the forward pass.

The model's processors stay as they are. While an attention module runs, the call of PyTorch's scaled dot-product
attention inside it is watched: query and key come as they go into it, after normalisation, rotation and the joining of
streams, with the mask and the scale. The probabilities are softmax(Q K^T scale + mask) (Vaswani et al. 2017), reduced
at once, because there are (head, query, key) of them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from outcrop.capture.roles import is_attention
from outcrop.data.errors import InputError
from outcrop.data.patterns import near_misses

AttentionKind = Literal["words", "head-mean", "entropy", "heads"]


@dataclass(frozen=True)
class AttentionCall:
    """One call of attention: query, key and value (row, head, position, channel), and ``output`` like the query."""

    query: Tensor
    key: Tensor
    output: Tensor
    mask: Tensor | None
    scale: float
    is_causal: bool

    def probabilities(self) -> Tensor:
        """(row, head, query, key), in float32; the keys' heads are repeated where several queries share one."""
        key = self.key.repeat_interleave(self.query.shape[1] // self.key.shape[1], dim=1)
        logits = self.query.float() @ key.float().transpose(-2, -1) * self.scale
        if self.is_causal:
            allowed = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).tril()
            logits = logits.masked_fill(~allowed, -math.inf)
        if self.mask is not None:
            kept = self.mask.dtype == torch.bool
            logits = logits.masked_fill(~self.mask, -math.inf) if kept else logits + self.mask.float()
        return logits.softmax(-1)

    def reduce(self, kind: AttentionKind) -> Tensor:
        """``words``: (row, key, query), the mean over heads, a map per word (DAAM, Tang et al. 2022); ``head-mean``:
        (row, head, key), how much each head looks at each key, mean over queries; ``entropy``: (row, head, query) in
        nats; ``heads``: (row, head, query, channel), what each head puts out.
        """
        if kind == "heads":
            return self.output
        probabilities = self.probabilities()
        if kind == "words":
            return probabilities.mean(1).transpose(1, 2)
        if kind == "head-mean":
            return probabilities.mean(2)
        return -(probabilities * probabilities.clamp_min(torch.finfo(torch.float32).tiny).log()).sum(-1)


class AttentionRecorder:
    """Keeps a reduction of every call of the named attention modules while it is open as a context.

    Afterwards ``calls[name]`` holds one tensor a call, on the CPU; memory grows with the reduction, never with
    (head, query, key). The forward pass is not changed. Raises :class:`InputError` for a module that makes no queries,
    and, when it has run, for one that does not call scaled dot-product attention (linear attention has no
    probabilities).
    """

    def __init__(self, model: nn.Module, names: Sequence[str], *, kind: AttentionKind) -> None:
        modules = dict(model.named_modules())
        for name in names:
            if name not in modules or not is_attention(modules[name]):
                known = [known for known, module in modules.items() if is_attention(module)]
                raise InputError(f"{name!r} is no attention of {type(model).__name__}.{near_misses(name, known)}")
        self._modules = {name: modules[name] for name in names}
        self._kind = kind
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._open: dict[str, _Watch] = {}
        self.calls: dict[str, list[Tensor]] = {name: [] for name in names}

    def __enter__(self) -> "AttentionRecorder":
        for name, module in self._modules.items():
            self._handles.append(module.register_forward_pre_hook(self._begin(name)))
            self._handles.append(module.register_forward_hook(self._end(name), always_call=True))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _begin(self, name: str) -> Callable[[nn.Module, Any], None]:
        def hook(_module: nn.Module, _inputs: Any) -> None:
            self._open[name] = _Watch()
            self._open[name].__enter__()  # type: ignore[no-untyped-call]  # torch's own

        return hook

    def _end(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            watch = self._open.pop(name)
            watch.__exit__(None, None, None)  # type: ignore[no-untyped-call]  # torch's own
            if output is None:  # the forward pass failed, and says so itself
                return
            if not watch.seen:
                raise InputError(f"{name!r} does not call scaled dot-product attention: it has no probabilities.")
            with torch.no_grad():
                self.calls[name] += [call.reduce(self._kind).detach().cpu() for call in watch.seen]

        return hook


class _Watch(TorchFunctionMode):
    """Sees the calls of scaled dot-product attention, and lets them through as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[AttentionCall] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is functional.scaled_dot_product_attention:
            self.seen.append(_call_of(result, *args, **(kwargs or {})))
        return result


def _call_of(  # noqa: PLR0913, PLR0917  # the signature of PyTorch's function
    output: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,  # noqa: ARG001
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,  # noqa: ARG001
    is_causal: bool = False,  # noqa: FBT001, FBT002
    scale: float | None = None,
    enable_gqa: bool = False,  # noqa: ARG001, FBT001, FBT002
) -> AttentionCall:
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    return AttentionCall(query.detach(), key.detach(), output.detach(), attn_mask, scale, is_causal)
