"""What modules hand around: nested tuples, lists, dictionaries and records, seen as tensors with a path to each."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

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


def _is_record(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type | Mapping)
