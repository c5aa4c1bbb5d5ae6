"""Signed distance functions of the eight shapes (negative inside, about one unit in radius).

Every function takes ``x`` and ``y`` (arrays of one shape, in units of the object's radius, y downwards)
and returns the signed distance in the same units: exact for round shapes and polygons.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Shape = Callable[[Array, Array], Array]


def polygon(vertices: NDArray[np.float64]) -> Shape:
    """The distance function of the closed polygon through ``vertices`` (n, 2).

    The distance is the least over the edges; the sign comes from the crossing number of a horizontal ray.
    """
    starts = vertices.astype(np.float32)
    edges = np.roll(starts, -1, axis=0) - starts

    def distance(x: Array, y: Array) -> Array:
        nearest = np.full(x.shape, np.inf, np.float32)
        inside = np.zeros(x.shape, bool)
        for (x0, y0), (ex, ey) in zip(starts, edges, strict=True):
            dx, dy = x - x0, y - y0
            along = np.clip((dx * ex + dy * ey) / (ex * ex + ey * ey), 0, 1)
            nearest = np.minimum(nearest, np.square(dx - along * ex) + np.square(dy - along * ey))
            if ey != 0:
                inside ^= ((dy >= 0) != (dy - ey >= 0)) & (dx < dy * ex / ey)
        return np.where(inside, -1, 1).astype(np.float32) * np.sqrt(nearest)

    return distance


def _turned(count: int, radii: tuple[float, ...]) -> NDArray[np.float64]:
    """``count`` vertices around the origin, the first one at the top, with the radii in rotation."""
    angle = 2 * np.pi * np.arange(count) / count
    radius = np.resize(radii, count)
    return np.stack([radius * np.sin(angle), -radius * np.cos(angle)], axis=1)


def _heart_outline() -> NDArray[np.float64]:
    t = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    across = 16 * np.sin(t) ** 3
    up = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([across, -up - 2.5], axis=1) / 16.5


def _cross_outline(long: float, short: float) -> NDArray[np.float64]:
    corner = [(short, -long), (short, -short), (long, -short)]
    quarter = np.array(corner)
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    arms = [quarter]
    for _ in range(3):
        arms.append(arms[-1] @ turn)
    return np.concatenate(arms)


def disc(x: Array, y: Array) -> Array:
    """A filled circle."""
    return np.hypot(x, y) - np.float32(0.92)


def ring(x: Array, y: Array) -> Array:
    """A circle with a round hole."""
    return np.abs(np.hypot(x, y) - np.float32(0.7)) - np.float32(0.25)


def crescent(x: Array, y: Array) -> Array:
    """A circle with a bite taken by another; exact but for the two tips."""
    body = np.hypot(x, y) - np.float32(0.96)
    bite = np.hypot(x - np.float32(0.5), y + np.float32(0.12)) - np.float32(0.78)
    sickle: Array = np.maximum(body, -bite)
    return sickle


SHAPES: dict[str, Shape] = {
    "disc": disc,
    "square": polygon(0.78 * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])),
    "triangle": polygon(_turned(3, (1.1,)) + np.array([0.0, 0.22])),
    "star": polygon(_turned(10, (1.1, 0.48))),
    "heart": polygon(_heart_outline()),
    "cross": polygon(_cross_outline(0.95, 0.32)),
    "ring": ring,
    "crescent": crescent,
}
