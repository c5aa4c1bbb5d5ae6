"""Interventions on single attention heads: on what each puts out, before the heads are mixed.

As in :mod:`outcrop.capture.attention` the call of PyTorch's scaled dot-product attention inside the module is watched;
here its result is exchanged for a copy with other rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from outcrop.data.errors import InputError

if TYPE_CHECKING:
    from outcrop.attribution.hooks import Rows


@dataclass(frozen=True)
class HeadChange:
    """``heads`` are multiplied by ``factor``; where it is ``None``, they become the donor's."""

    heads: tuple[int, ...]
    factor: float | None = None

    def write(self, result: Tensor, targets: Tensor, donors: Tensor) -> None:
        """Change rows of a copy (row, head, query, channel). Raises :class:`InputError` for a wrong head."""
        if not all(0 <= head < result.shape[1] for head in self.heads):
            raise InputError(f"heads must be among 0 to {result.shape[1] - 1}. Got {self.heads}.")
        for head in self.heads:
            own = result[:, head]
            own[targets] = own[donors] if self.factor is None else self.factor * own[targets]


class HeadWatch:
    """Hooks that open a watch when an attention module begins and close it when it ends, also by an exception."""

    def __init__(self, active: Callable[[], "Sequence[Rows]"], *, rows: Callable[[], int]) -> None:
        self._active, self._rows = active, rows
        self._open: list[_Exchange] = []

    def open(self, _module: nn.Module, _inputs: Any) -> None:
        self._open.append(_Exchange(self._active(), self._rows()))
        self._open[-1].__enter__()  # type: ignore[no-untyped-call]  # torch's own

    def close(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        exchange = self._open.pop()
        exchange.__exit__(None, None, None)  # type: ignore[no-untyped-call]  # torch's own
        if output is not None and not exchange.seen:
            raise InputError(
                f"{type(module).__name__} does not call scaled dot-product attention: its heads are hidden."
            )


class _Exchange(TorchFunctionMode):
    def __init__(self, active: "Sequence[Rows]", rows: int) -> None:
        super().__init__()
        self._active, self._rows, self.seen = active, rows, 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is not functional.scaled_dot_product_attention:
            return result
        self.seen += 1
        if not self._active:
            return result
        fresh: Tensor = result.clone()
        if fresh.shape[0] != self._rows:
            raise InputError(f"Attention over {fresh.shape[0]} rows for a batch of {self._rows}: rows cannot be told.")
        for _, edit, targets, donors in self._active:
            edit.action.write(fresh, targets, donors)  # type: ignore[union-attr]  # only head changes come here
        return fresh
