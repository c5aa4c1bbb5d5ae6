"""Activations as whole numbers of one byte, with a centre and a step for each channel, in each shard and at each step.

A value is stored as the nearest of 255 levels that span what its channel shows in its shard at that step: it comes back
within half a level, 1/508 of that span. The affine form is the usual one of quantised tensors (Jacob et al. 2018,
arXiv:1712.05877, eq. 1), with the middle of the span in the place of a zero point.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

LEVELS = 127
"""Codes are -LEVELS to LEVELS."""


def channel_shape(shape: tuple[int, ...], half: Literal["cond", "uncond", "both"]) -> tuple[int, ...]:
    """``shape`` of a sample at a site with 1 for every axis but the channels, which have a scale each.

    The channels are the last axis of (token, channel), and the first of all else; where ``half`` is ``both``, each half
    has its own.
    """
    lead = int(half == "both")
    own = shape[lead:]
    channels = len(own) - 1 if len(own) == 2 else 0
    return (*shape[:lead], *(extent if axis == channels else 1 for axis, extent in enumerate(own)))


def encode(values: NDArray[np.floating], channels: tuple[int, ...]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Codes (sample, *feature) of finite ``values`` (sample, *feature), and scales (2, *channels): centre and step.

    Codes of decoded codes are the same codes.

    >>> codes, scales = encode(np.array([[0.0, 5.0], [2.54, 5.0]], "<f4"), (2,))
    >>> codes.tolist(), scales.round(2).tolist()
    ([[-127, 0], [127, 0]], [[1.27, 5.0], [0.01, 0.0]])
    """
    axes = (0, *(1 + axis for axis, extent in enumerate(channels) if extent == 1))
    low, high = (found.reshape(channels).astype(np.float64) for found in (values.min(axes), values.max(axes)))
    scales = np.stack([(low + high) / 2, (high - low) / (2 * LEVELS)]).astype("<f4")
    step = np.where(scales[1] > 0, scales[1], 1)
    codes = np.clip(np.rint((values - scales[0]) / step), -LEVELS, LEVELS)
    return codes.astype(np.int8), scales


def decode(codes: NDArray[np.generic], scales: NDArray[np.generic]) -> NDArray[np.float32]:
    """Values (sample, *feature) of ``codes``: centre + step * code."""
    result = codes.astype("<f4")
    result *= scales[1]
    result += scales[0]
    return result
