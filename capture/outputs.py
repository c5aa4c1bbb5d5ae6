"""What modules hand around: nested tuples, lists, dictionaries and records, seen as tensors with a path to each."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from outcrop.data.errors import InputError

Path = tuple[int | str, ...]
"""Steps into a nested value: an index into a sequence, a key, or the name of a field."""


def tensors_in(value: object, path: Path = ()) -> Iterator[tuple[Path, Tensor]]:
    """Every tensor of a nested value with its path, in order."""
    if isinstance(value, Tensor):
        yield path, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from tensors_in(part, (*path, key))
    elif isinstance(value, tuple | list):
        for index, part in enumerate(value):
            yield from tensors_in(part, (*path, index))
    elif _is_record(value):
        for name in vars(value):
            yield from tensors_in(getattr(value, name), (*path, name))


def follow(value: Any, path: Path) -> object:
    """What lies at ``path``, or ``None`` if there is no such place."""
    for step in path:
        try:
            value = getattr(value, str(step)) if _is_record(value) else value[step]
        except (KeyError, IndexError, TypeError, AttributeError):
            return None
    return value


def batch_rows(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """Rows of the batch that a model is given: its first argument that is a tensor, or a list of one tensor a row."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, list) and value and isinstance(value[0], Tensor):
            return len(value)
        tensor = next((tensor for _, tensor in tensors_in(value)), None)
        if tensor is not None:
            return int(tensor.shape[0])
    raise InputError("The model was called without a tensor: the rows of its batch are not known.")


def _is_record(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type | Mapping)
