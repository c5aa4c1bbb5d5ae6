"""Starting again at the first step that an intervention touches: what the network put out before is replayed.

The pipeline runs as a whole, so that this works for every pipeline and every scheduler; only its network, which is
nearly all of the work, answers from a tape where nothing can have changed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from outcrop.attribution.nested import map_rows
from outcrop.capture.outputs import batch_rows


class OutputTape:
    """What ``model`` puts out at every call, for a batch of ``samples``, while it is open as a context."""

    def __init__(self, model: nn.Module, *, samples: int) -> None:
        self._model, self._samples = model, samples
        self._calls: list[tuple[Any, int]] = []

    def __enter__(self) -> "OutputTape":
        self._handle = self._model.register_forward_hook(self._keep, with_kwargs=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.remove()

    def __len__(self) -> int:
        return len(self._calls)

    def play(self, call: int, samples: Sequence[int]) -> Any:
        """The output of a call, for a batch of some of the samples (any of them, in any order, again and again)."""
        output, rows = self._calls[call]
        chosen = torch.tensor(samples)
        at = torch.cat([chosen + part * self._samples for part in range(rows // self._samples)])
        return map_rows(output, rows, lambda tensor: tensor[at.to(tensor.device)])

    def _keep(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        rows = batch_rows(args, kwargs)
        self._calls.append((map_rows(output, rows, _apart), rows))


@contextmanager
def replayed(model: nn.Module, tape: OutputTape, samples: Sequence[int], *, until: int) -> Iterator[None]:
    """The first ``until`` calls of ``model`` are answered from ``tape``, as the rows of ``samples``."""
    own = model.forward
    shadowed = "forward" in vars(model)
    calls = 0

    def forward(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        return tape.play(calls - 1, samples) if calls <= until else own(*args, **kwargs)

    model.forward = forward
    try:
        yield
    finally:
        if shadowed:
            model.forward = own
        else:
            del model.forward


def _apart(tensor: Tensor) -> Tensor:
    return tensor.detach().clone()
