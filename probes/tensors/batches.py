"""Columns in batches that fit a device."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from outcrop.data.errors import InputError
from outcrop.probes.device import Column
from outcrop.probes.logistic import CellFit
from outcrop.probes.tensors.cells import cross_validate_cells
from outcrop.probes.tensors.designs import Cells

Features = NDArray[np.float32]

MOST = 64
"""Cells at once: progress is seen and kept between batches."""

HOST_BYTES = 2**30
"""Of main memory that a batch may take."""


def check_device(device: str) -> None:
    """Raises :class:`~outcrop.data.errors.InputError` for a device that is not there."""
    instead = "leave device out: then NumPy probes on all cores."
    if device.partition(":")[0] not in {"cuda", "cpu"}:
        raise InputError(f"device must be cuda, cuda:0, cuda:1, ... or cpu. Got {device!r}. Name one, or {instead}")
    try:
        torch.zeros(1, device=device)
    except (AssertionError, RuntimeError) as error:
        raise InputError(
            f"PyTorch has no device {device!r} here ({str(error).splitlines()[0]}); it sees "
            f"{torch.cuda.device_count()} CUDA devices. Name one of them, or {instead}"
        ) from error


def fit_columns(
    columns: Iterable[Column | None], device: str, **settings: Any
) -> Iterator[tuple[Column, CellFit] | None]:
    """See :func:`outcrop.probes.device.fit_on_device`."""

    def fit(features: Sequence[Features]) -> list[CellFit]:
        with _exact_products():
            return cross_validate_cells(Cells(features, device), **settings)

    for batch in _batches(columns, device, **settings):
        there = [own for own in batch if own is not None]
        fits = iter(fit_in_parts(fit, [features for features, _ in there], device))
        for own in batch:
            yield None if own is None else (own, next(fits))


def fit_in_parts(
    fit: Callable[[Sequence[Features]], list[CellFit]], features: Sequence[Features], device: str
) -> list[CellFit]:
    """``fit`` of ``features``, of half of them at a time where ``device`` does not hold all."""
    try:
        return fit(features)
    except torch.OutOfMemoryError as error:
        if len(features) == 1:
            n, d = features[0].shape
            raise InputError(
                f"Device {device} has too little memory for a cell of {n} samples x {d} features "
                f"({str(error).splitlines()[0]}). Leave device out: NumPy works through large cells fold by fold. "
                f"Or recapture with a reduction that has fewer features."
            ) from error
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    half = len(features) // 2
    return [own for part in (features[:half], features[half:]) for own in fit_in_parts(fit, part, device)]


def _batches(columns: Iterable[Column | None], device: str, **settings: Any) -> Iterator[list[Column | None]]:
    batch: list[Column | None] = []
    width = room = 0
    for own in columns:
        if own is not None and (own[0].shape[1] != width or len(batch) >= room):
            if batch:
                yield batch
            batch, width = [], own[0].shape[1]
            room = max(1, min(MOST, _free_bytes(device) // _bytes_of_cell(own[0], **settings)))
        batch.append(own)
    if batch:
        yield batch


def _free_bytes(device: str) -> int:
    """What a batch may take."""
    if not device.startswith("cuda"):
        return HOST_BYTES
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(0.9 * (int(torch.cuda.mem_get_info(device)[0]) + unused))


def _bytes_of_cell(features: Features, **settings: Any) -> int:
    """About what a cell takes: its designs twice, and a score of weights and logits of every class."""
    n, d = features.shape
    classes: int = len(settings["targets"]) * max(len(target.classes) for target in settings["targets"])
    rank, designs = min(n, d) + 1, len(settings["splits"].inner) + 1
    return int(features.itemsize * (designs * (2 * rank * n + 20 * classes * (rank + n)) + 4 * n * d))


@contextlib.contextmanager
def _exact_products() -> Iterator[None]:
    """Products of float32 in float32, not in TF32."""
    settings = torch.backends.cuda.matmul
    before = settings.fp32_precision
    settings.fp32_precision = "ieee"
    try:
        yield
    finally:
        settings.fp32_precision = before
