"""Cells probed on a device by PyTorch: the one place that imports it, when a device is asked for.

docs/decisions/0015-probes-on-a-gpu.md says why ``probes`` may.
"""

from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from outcrop.data.errors import InputError
from outcrop.probes.logistic import CellFit

Column = tuple[NDArray[np.float32], NDArray[np.float32] | None]
"""The features of a cell, and what is given besides."""


def check_device(device: str) -> None:
    """Raises :class:`~outcrop.data.errors.InputError` for a device that is not there, or where PyTorch is missing."""
    _solver(device).check_device(device)


def fit_on_device(
    columns: Iterable[Column | None], device: str, **settings: Any
) -> Iterator[tuple[Column, CellFit] | None]:
    """:func:`outcrop.probes.logistic.cross_validate` with ``settings`` of each of ``columns``, ``None`` for ``None``.

    Neighbours of one width are fitted together, as many as the device holds. Raises
    :class:`~outcrop.data.errors.InputError` where it does not hold one.
    """
    found: Iterator[tuple[Column, CellFit] | None] = _solver(device).fit_columns(columns, device, **settings)
    return found


def _solver(device: str) -> ModuleType:
    try:
        from outcrop.probes.tensors import batches
    except ImportError as error:
        raise InputError(
            f"device {device!r} needs PyTorch ({error}). Install it (pip install 'outcrop[capture]'), or leave device "
            f"out: then NumPy probes on all cores."
        ) from error
    return batches
