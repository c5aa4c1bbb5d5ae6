"""Attention per head: its probabilities, recomputed from the very queries and keys of the forward pass.

The model's processors stay as they are. While an attention module runs, the call of PyTorch's scaled dot-product
attention inside it is watched: query and key come as they go into it, after normalisation, rotation and the joining of
streams, with the mask and the scale.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from outcrop.capture.attention_call import AttentionCall, AttentionKind
from outcrop.capture.roles import is_attention
from outcrop.data.errors import InputError
from outcrop.data.patterns import near_misses


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
        self._watcher = AttentionWatcher({name: modules[name] for name in names}, self._keep)
        self._kind = kind
        self.calls: dict[str, list[Tensor]] = {name: [] for name in names}

    def __enter__(self) -> "AttentionRecorder":
        self._watcher.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._watcher.__exit__(*error)

    def _keep(self, name: str, calls: list[AttentionCall]) -> None:
        if not calls:
            raise InputError(f"{name!r} does not call scaled dot-product attention: it has no probabilities.")
        self.calls[name] += [call.reduce(self._kind).detach().cpu() for call in calls]


class AttentionWatcher:
    """While it is open as a context, every run of one of ``modules`` ends in ``report(name, calls)``.

    Runs for which ``wanted`` says no are let through unseen. The forward pass is not changed.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        report: Callable[[str, list[AttentionCall]], None],
        *,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._modules, self._report, self._wanted = modules, report, wanted
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._open: dict[str, _Watch] = {}

    def __enter__(self) -> "AttentionWatcher":
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
            if self._wanted():
                self._open[name] = _Watch()
                self._open[name].__enter__()  # type: ignore[no-untyped-call]  # torch's own

        return hook

    def _end(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            watch = self._open.pop(name, None)
            if watch is None:
                return
            watch.__exit__(None, None, None)  # type: ignore[no-untyped-call]  # torch's own
            if output is not None:  # else the forward pass failed, and says so itself
                with torch.no_grad():
                    self._report(name, watch.seen)

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
