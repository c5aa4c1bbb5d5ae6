"""Scenes of two objects: which stands left of, right of, above or below which.

A harder layout property than the nine places: every place of either object is as likely under each content, and only
the relation of the two tells the pictures of "a star left of a disc" and "a disc left of a star" apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcrop.zoo.scenes import COLOURS, CONTENTS, SIZE, STYLES, Images, box_of, check_labels, paint, place

RELATIONS = ("left of", "right of", "above", "below")
PAIR_LABELS = {
    "first": CONTENTS,
    "second": CONTENTS,
    "relation": RELATIONS,
    "style": STYLES,
    "colour": tuple(COLOURS),
}
AXES = ("side by side", "stacked")
SHOWN_LABELS = {"axis": AXES, "near": CONTENTS, "far": CONTENTS, "style": STYLES, "colour": tuple(COLOURS)}
DIRECTIONS = {"left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "below": (0, 1)}  # of the first, x and y
REACH = 15.0  # pixels from the middle between the two objects to either


@dataclass(frozen=True)
class PairScene:
    """``first`` stands in ``relation`` to ``second``; both in one style and colour; ``seed``: of what is left open."""

    first: str
    second: str
    relation: str
    style: str
    colour: str
    seed: int


@dataclass(frozen=True)
class ShownPair:
    """What a picture shows, however it was asked for: ``near`` stands left or on top, ``far`` opposite."""

    axis: str
    near: str
    far: str
    style: str
    colour: str


@dataclass(frozen=True)
class RenderedPairs:
    """``images`` (n, 64, 64, 3) in [0, 1]; ``masks`` (n, 2, 64, 64) bool and ``boxes`` (n, 2, 4) as x0, y0, x1, y1 in
    pixels, of the first and the second object.
    """

    images: Images
    masks: NDArray[np.bool_]
    boxes: NDArray[np.int64]


def draw_pairs(n: int, *, seed: int) -> list[PairScene]:
    """``n`` scenes with labels drawn uniformly, two different contents each."""
    rng = np.random.default_rng(seed)
    first = rng.integers(len(CONTENTS), size=n)
    second = (first + rng.integers(1, len(CONTENTS), size=n)) % len(CONTENTS)
    others = [rng.integers(len(names), size=n) for names in (RELATIONS, STYLES, COLOURS)]
    colours, seeds = tuple(COLOURS), rng.integers(2**62, size=n)
    return [
        PairScene(CONTENTS[a], CONTENTS[b], RELATIONS[r], STYLES[s], colours[k], int(z))
        for a, b, r, s, k, z in zip(first, second, *others, seeds, strict=True)
    ]


def as_shown(pair: PairScene) -> ShownPair:
    """The same for "a star left of a disc" and "a disc right of a star"."""
    across = pair.relation in ("left of", "right of")
    near, far = (pair.first, pair.second) if pair.relation in ("left of", "above") else (pair.second, pair.first)
    return ShownPair(AXES[0] if across else AXES[1], near, far, pair.style, pair.colour)


def render_pairs(pairs: Sequence[PairScene]) -> RenderedPairs:
    """Draw the scenes. Raises ``ValueError`` for a label that the world does not have, or the same content twice."""
    drawn = [_render_one(pair) for pair in pairs]
    masks = np.stack([mask for _, mask in drawn])
    boxes = np.stack([[box_of(mask) for mask in both] for both in masks])
    return RenderedPairs(np.stack([image for image, _ in drawn]), masks, boxes)


def _render_one(pair: PairScene) -> tuple[Images, NDArray[np.bool_]]:
    check_labels(pair, PAIR_LABELS)
    if pair.first == pair.second:
        raise ValueError(
            f"A pair needs two different contents, or its relation means nothing. Got {pair.first!r} twice."
        )
    rng = np.random.default_rng(pair.seed)
    direction = np.array(DIRECTIONS[pair.relation], dtype=np.float64)
    middle = SIZE / 2 + rng.uniform(-3, 3, 2)
    slack = rng.uniform(-5, 5, (2, 2)) * (direction == 0)  # across the line that joins them
    offsets = [place(pair.first, middle + REACH * direction + slack[0], rng)]
    offsets += [place(pair.second, middle - REACH * direction + slack[1], rng)]
    (one, dx, dy), (two, _, _) = offsets
    image = paint(pair.style, pair.colour, np.minimum(one, two), (dx, dy), rng)
    return image, np.stack([one < 0, two < 0])
