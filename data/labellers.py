"""What reads labels off pictures, and how it is applied to a data set.

A labeller is anything with a ``name``, a ``provenance`` and ``label(pixels)``; :class:`ImageStatistics` is one. Those
that run a network live where PyTorch may: ``outcrop.zoo.labeller`` and ``outcrop.capture.labellers``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.data.dataset import Dataset
from outcrop.data.errors import InputError
from outcrop.data.label_writer import NewLabel, provenance

Pixels = NDArray[np.uint8]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Reading:
    """One property as it was read: ``values`` (n,) of text, whole numbers or floats, or (n, row, column) of codes into
    ``classes``, -1 where nothing is.
    """

    values: NDArray[Any]
    classes: tuple[str, ...] = ()


class Labeller(Protocol):
    """``label`` takes pictures (n, height, width, 3) and gives a reading for each property, the same for the same
    pixels, whatever stands beside them in the batch.
    """

    @property
    def name(self) -> str: ...
    @property
    def provenance(self) -> Mapping[str, Any]: ...
    def label(self, pixels: Pixels) -> Mapping[str, Reading]: ...


def read_labels(
    ds: Dataset, labeller: Labeller, *, batch: int = 32, progress: Progress | None = None
) -> list[NewLabel]:
    """Labels of every picture of ``ds``, named ``PROPERTY:LABELLER``. A property that the prompts ask for by the same
    name is noted as the one that is realised. Raises :class:`InputError` where pictures differ in size.
    """
    parts: dict[str, list[Reading]] = {}
    for start in range(0, len(ds), batch):
        pictures = [np.asarray(picture) for picture in ds.images(list(ds.samples.index[start : start + batch]))]
        if len({picture.shape for picture in pictures}) != 1:
            raise InputError(f"The pictures of {ds.path} differ in size. Label data sets of one size.")
        for name, reading in labeller.label(np.stack(pictures)).items():
            parts.setdefault(name, []).append(reading)
        if progress:
            progress(min(start + batch, len(ds)), len(ds))
    return [_new_label(ds, labeller, name, readings) for name, readings in parts.items()]


def _new_label(ds: Dataset, labeller: Labeller, name: str, readings: list[Reading]) -> NewLabel:
    values = np.concatenate([reading.values for reading in readings])
    is_map = values.ndim == 3
    plain = pd.Series(list(values) if is_map else values, index=ds.samples.index)
    return NewLabel(
        name=f"{name}:{labeller.name}",
        values=plain,
        provenance=labeller.provenance,
        realises=name if name in ds.info.labels else None,
        is_map=is_map,
        classes=readings[0].classes,
    )


@dataclass(frozen=True)
class ImageStatistics:
    """Continuous properties of the pixels themselves, without any network.

    ``mean_red``, ``mean_green``, ``mean_blue``: in [0, 1]. ``brightness``, ``contrast``: mean and standard deviation of
    luma (BT.601). ``edge_density``: the share of pixels whose Sobel gradient of luma exceeds ``edge``. ``saliency_x``,
    ``saliency_y``: the centre of mass, in [0, 1] from the left and from the top, of each pixel's colour distance from
    the picture's mean colour (Achanta et al. 2009, without their blur).
    """

    edge: float = 0.5
    name: str = field(default="pixels", init=False)

    @property
    def provenance(self) -> Mapping[str, Any]:
        return provenance("image statistics", "numpy", edge=self.edge)

    def label(self, pixels: Pixels) -> Mapping[str, Reading]:
        colours = pixels.astype(np.float64) / 255
        luma = colours @ np.array([0.299, 0.587, 0.114])
        means = colours.mean((1, 2))
        saliency = np.linalg.norm(colours - means[:, None, None], axis=-1)
        x, y = _centroids(saliency)
        values = {
            "mean_red": means[:, 0],
            "mean_green": means[:, 1],
            "mean_blue": means[:, 2],
            "brightness": luma.mean((1, 2)),
            "contrast": luma.std((1, 2)),
            "edge_density": (_gradient(luma) > self.edge).mean((1, 2)),
            "saliency_x": x,
            "saliency_y": y,
        }
        return {name: Reading(value) for name, value in values.items()}


def _gradient(luma: NDArray[np.float64]) -> NDArray[np.float64]:
    """Length of the Sobel gradient, scaled so that a step from 0 to 1 along an axis gives 4."""
    padded = np.pad(luma, ((0, 0), (1, 1), (1, 1)), mode="edge")
    smooth = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    across = smooth[:, :, 2:] - smooth[:, :, :-2]
    smooth = padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]
    down = smooth[:, 2:] - smooth[:, :-2]
    return np.hypot(across, down)


def _centroids(weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres x and y in [0, 1]; the middle for a picture without any weight."""
    height, width = weights.shape[1:]
    total = weights.sum((1, 2))
    flat = total < 1e-9
    total = np.where(flat, 1, total)
    x = (weights.sum(1) @ ((np.arange(width) + 0.5) / width)) / total
    y = (weights.sum(2) @ ((np.arange(height) + 0.5) / height)) / total
    return np.where(flat, 0.5, x), np.where(flat, 0.5, y)
