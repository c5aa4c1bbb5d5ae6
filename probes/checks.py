"""What arguments must be, told in one way: whole numbers, numbers, names."""

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import TypeGuard

import numpy as np

from outcrop.data.errors import InputError


def check_whole(name: str, value: object, *, least: int | None = None) -> None:
    """Raises :class:`InputError` unless ``value`` is a whole number, and at least ``least``."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise InputError(f"{name} must be a whole number. Got {value!r}.")
    if least is not None and value < least:
        raise InputError(f"{name} must be at least {least}. Got {value}.")


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a finite number; ``True`` and ``False`` are none."""
    return not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)


def check_sequence(name: str, value: object) -> tuple[object, ...]:
    """``value`` as a tuple. Raises :class:`InputError` for one string, and for what is no sequence."""
    if isinstance(value, str):
        raise InputError(f"{name} must be a sequence of names, not one string. Got {value!r}; write ({value!r},).")
    if not isinstance(value, Iterable):
        raise InputError(f"{name} must be a sequence. Got {value!r}; write ({value!r},).")
    return tuple(value)


def check_names(name: str, value: object) -> tuple[str, ...]:
    """``value`` as a tuple of strings. Raises :class:`InputError` for anything else."""
    found = check_sequence(name, value)
    names = tuple(own for own in found if isinstance(own, str))
    if len(names) < len(found):
        raise InputError(f"{name} must be a sequence of names. Got {found}.")
    return names


def check_wholes(name: str, value: object, *, least: int) -> tuple[int, ...]:
    """``value`` as a tuple of whole numbers, one or more. Raises :class:`InputError` for anything else."""
    found = check_sequence(name, value)
    if not found:
        raise InputError(f"{name} must name at least one. Got an empty sequence.")
    for part in found:
        check_whole(f"each of {name}", part, least=least)
    return tuple(int(part) for part in found)  # type: ignore[call-overload] # just checked


def check_codes(codes: object) -> None:
    """Raises :class:`InputError` for classes that are not numbered, such as their names."""
    if not np.issubdtype(np.asarray(codes).dtype, np.integer):
        raise InputError("codes must be the classes as numbers from 0: pandas.factorize(labels, sort=True)[0].")
