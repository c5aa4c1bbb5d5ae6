"""Which rows of which call of a denoiser are conditional: the bookkeeping of classifier-free guidance.

Guidance (Ho & Salimans 2022) needs a prediction with the prompt and one without. Pipelines get the two from one call
with a doubled batch, in either order, or from two calls, in either order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from outcrop.capture.outputs import batch_rows, tensors_in
from outcrop.data.errors import InputError

Half = Literal["cond", "uncond", "both"]
Part = Literal["cond", "uncond"]
PARTS: dict[Half, tuple[Part, ...]] = {"cond": ("cond",), "uncond": ("uncond",), "both": ("uncond", "cond")}


@dataclass(frozen=True)
class GuidanceLayout:
    """For every call of one step the parts of its batch: ``(("uncond", "cond"),)`` is one call with a doubled batch,
    ``(("cond",), ("uncond",))`` are two calls. In a doubled batch the rows of a part are neighbours, in the samples'
    order.
    """

    calls: tuple[tuple[Part, ...], ...]

    def parts_of(self, call: int) -> tuple[Part, ...]:
        """The parts in the batch of the ``call``-th call, counted from the start of the run."""
        return self.calls[call % len(self.calls)]

    def step_of(self, call: int) -> int:
        return call // len(self.calls)

    @property
    def parts(self) -> frozenset[Part]:
        """The parts that there are at all."""
        return frozenset(part for call in self.calls for part in call)


UNGUIDED = GuidanceLayout((("cond",),))
DOUBLED = GuidanceLayout((("uncond", "cond"),))


def observe_layout(
    model: nn.Module,
    generate: Callable[[Sequence[str]], object],
    prompts: tuple[str, str, str],
    *,
    steps: Callable[[], int],
) -> GuidanceLayout:
    """How ``generate`` lays out guidance, from two runs that differ in the first of two prompts.

    ``prompts`` are the first prompt, the other for the first, and the second; ``steps`` is asked after a run how many
    it had. What the model is given for the first sample changes in the conditional rows alone. Raises
    :class:`InputError` for a layout that is none of those known.
    """
    seen = []
    for first in prompts[:2]:
        with _Inputs(model) as inputs:
            generate([first, prompts[2]])
        seen.append(inputs.calls[: len(inputs.calls) // steps()])
    if [call.rows for call in seen[0]] != [call.rows for call in seen[1]]:
        raise InputError(f"{type(model).__name__} is called in another way for another prompt: steps cannot be told.")
    calls = tuple(_parts(before, after) for before, after in zip(*seen, strict=True))
    if all(part == "uncond" for call in calls for part in call):
        return _unprompted(model, calls)
    return GuidanceLayout(calls)


@dataclass(frozen=True)
class _Call:
    """What one call was given: every tensor with one row for each of the batch's, the image first."""

    rows: int
    tensors: tuple[Tensor, ...]

    def differs(self, other: "_Call", row: int) -> bool:
        pairs = zip(self.tensors, other.tensors, strict=False)
        return any(a.shape[1:] != b.shape[1:] or not torch.equal(a[row], b[row]) for a, b in pairs)

    def same_image(self, row: int, other: int) -> bool:
        return torch.equal(self.tensors[0][row], self.tensors[0][other])


class _Inputs:
    """Keeps what a model is given while it is open as a context."""

    def __init__(self, model: nn.Module) -> None:
        self._model, self.calls = model, list[_Call]()

    def __enter__(self) -> "_Inputs":
        self._handle = self._model.register_forward_pre_hook(self._keep, with_kwargs=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.remove()

    def _keep(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        rows = batch_rows(args, kwargs)
        found = [tensor for _, tensor in tensors_in((args, kwargs)) if tensor.ndim and tensor.shape[0] == rows]
        listed = [value for value in (*args, *kwargs.values()) if isinstance(value, list) and len(value) == rows]
        stacked = [torch.stack(value) for value in listed if _alike(value)]
        self.calls.append(_Call(rows, tuple(tensor.detach().clone() for tensor in stacked + found)))


def _alike(value: list[Any]) -> bool:
    return all(isinstance(part, Tensor) and part.shape == value[0].shape for part in value)


def _parts(before: _Call, after: _Call) -> tuple[Part, ...]:
    changed = [row for row in range(before.rows) if before.differs(after, row)]
    blocks = range(before.rows // 2)
    ordered = before.rows == 2 or all(before.same_image(0, 2 * block) for block in blocks)
    if before.rows % 2 or any(row % 2 for row in changed) or not ordered:
        raise InputError(
            f"A batch of two prompts came to the model as {before.rows} rows, of which {changed} belong to the first: "
            "neither all conditional rows and then all unconditional ones, nor the other way round. Use guidance 1."
        )
    return tuple("cond" if 2 * block in changed else "uncond" for block in blocks)


def _unprompted(model: nn.Module, calls: tuple[tuple[Part, ...], ...]) -> GuidanceLayout:
    """A model that is not told the prompt: everything is its only prediction."""
    if calls and all(len(call) == 1 for call in calls):
        return UNGUIDED
    raise InputError(
        f"The prompt changes nothing in what {type(model).__name__} is given, but its batch is doubled: which rows are "
        "conditional cannot be told. Use prompts that its tokenizer tells apart, or guidance 1."
    )
