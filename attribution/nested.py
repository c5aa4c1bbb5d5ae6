"""Writing into what modules hand around: nested tuples, lists, dictionaries and records, always as a new value."""

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from outcrop.capture.outputs import Path, follow, tensors_in
from outcrop.capture.taps import Tap, output_tensor
from outcrop.data.errors import DataError


def put(value: Any, path: Path, new: Tensor) -> Any:
    """``value`` with ``new`` at ``path``; what lies elsewhere is shared with it."""
    if not path:
        return new
    step, *rest = path
    inner = put(follow(value, (step,)), tuple(rest), new)
    return _with(value, step, inner)


def rewrite(output: Any, tap: Tap, *, rows: int, change: Callable[[Tensor], None]) -> Any:
    """The output with a copy in the place that ``tap`` reads, after ``change`` wrote into the copy's (row, *feature).

    The output itself is left as it is. Raises :class:`DataError` where the module put out no tensor.
    """
    path = tap.path
    if path is None:
        first = output_tensor(output)
        path = next((place for place, tensor in tensors_in(output) if tensor is first), None)
    tensor = None if path is None else follow(output, path)
    if path is None or not isinstance(tensor, Tensor):
        raise DataError(f"{tap.module} put out no tensor at {tap.path}: there is nothing to intervene on.")
    fresh = tensor.clone()
    view = dataclasses.replace(tap, path=()).read(fresh, rows=rows)
    if view is None or view.untyped_storage().data_ptr() != fresh.untyped_storage().data_ptr():
        raise DataError(f"What {tap.module} puts out cannot be written to as a map.")
    change(view)
    return put(output, path, fresh)


def map_rows(value: Any, rows: int, pick: Callable[[Tensor], Tensor]) -> Any:
    """``value`` with ``pick`` applied to every tensor with one row for each of ``rows``.

    A list of ``rows`` tensors is picked from as if it were stacked.
    """
    if isinstance(value, Tensor):
        return pick(value) if value.ndim and value.shape[0] == rows else value
    if isinstance(value, list) and len(value) == rows and value and all(isinstance(part, Tensor) for part in value):
        import torch

        return [value[int(row)] for row in pick(torch.arange(rows))]
    for step in _steps(value):
        value = _with(value, step, map_rows(follow(value, (step,)), rows, pick))
    return value


def _steps(value: Any) -> list[int | str]:
    if isinstance(value, Mapping):
        return list(value)
    if isinstance(value, tuple | list):
        return list(range(len(value)))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return list(vars(value))
    return []


def _with(value: Any, step: int | str, inner: Any) -> Any:
    """A shallow copy of ``value`` with ``inner`` at ``step``."""
    if isinstance(value, tuple):
        parts = [inner if place == step else part for place, part in enumerate(value)]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    fresh = copy.copy(value)
    if isinstance(fresh, list | dict):
        fresh[step] = inner  # type: ignore[index]  # a step is of the kind that its value has
    else:
        object.__setattr__(fresh, str(step), inner)
    return fresh
