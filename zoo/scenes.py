"""The scene world: labelled 64 x 64 pictures of one object, with the mask and the box as ground truth.

A scene has three labels (content, style, layout) and nuisance variables (colour, size, rotation, jitter,
background). Scenes are a function of their seed: the same labels and seed give the same picture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcrop.zoo.shapes import SHAPES

SIZE = 64
CONTENTS = tuple(SHAPES)
STYLES = ("flat", "outlined", "hatched", "dotted", "watercolour", "neon")
LAYOUTS = (
    "top left", "top", "top right",
    "left", "centre", "right",
    "bottom left", "bottom", "bottom right",
)  # fmt: skip
COLOURS = {
    "red": (0.84, 0.12, 0.14),
    "orange": (0.95, 0.52, 0.05),
    "green": (0.10, 0.58, 0.22),
    "blue": (0.12, 0.30, 0.85),
    "purple": (0.52, 0.16, 0.68),
    "pink": (0.95, 0.35, 0.62),
}
LABELS = {"content": CONTENTS, "style": STYLES, "layout": LAYOUTS, "colour": tuple(COLOURS)}
CELL_CENTRES = (14.0, 32.0, 50.0)  # pixels; an object of the largest radius just fits at the border

Images = NDArray[np.float32]
Plane = NDArray[np.floating]


@dataclass(frozen=True)
class Scene:
    """One scene: its labels by name, and the seed of everything that the labels leave open."""

    content: str
    style: str
    layout: str
    colour: str
    seed: int


@dataclass(frozen=True)
class Rendered:
    """``images`` (n, 64, 64, 3) in [0, 1]; ``masks`` (n, 64, 64) bool; ``boxes`` (n, 4) as x0, y0, x1, y1 in pixels."""

    images: Images
    masks: NDArray[np.bool_]
    boxes: NDArray[np.int64]


def draw_scenes(n: int, *, seed: int) -> list[Scene]:
    """``n`` scenes with labels drawn uniformly and independently."""
    rng = np.random.default_rng(seed)
    columns = [rng.integers(len(names), size=n) for names in (CONTENTS, STYLES, LAYOUTS, COLOURS)]
    colours = tuple(COLOURS)
    seeds = rng.integers(2**62, size=n)
    return [
        Scene(CONTENTS[c], STYLES[s], LAYOUTS[p], colours[k], int(z))
        for c, s, p, k, z in zip(*columns, seeds, strict=True)
    ]


def render(scenes: Sequence[Scene]) -> Rendered:
    """Draw the scenes. Raises ``ValueError`` for a label that the world does not have."""
    pairs = [_render_one(scene) for scene in scenes]
    masks = np.stack([mask for _, mask in pairs])
    return Rendered(np.stack([image for image, _ in pairs]), masks, np.stack([box_of(m) for m in masks]))


def box_of(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The tightest box x0, y0, x1, y1 around a mask (64, 64)."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def _render_one(scene: Scene) -> tuple[Images, NDArray[np.bool_]]:
    check_labels(scene, LABELS)
    rng = np.random.default_rng(scene.seed)
    cell = LAYOUTS.index(scene.layout)
    centre = np.array([CELL_CENTRES[cell % 3], CELL_CENTRES[cell // 3]]) + rng.uniform(-2, 2, 2)
    distance, dx, dy = place(scene.content, centre, rng)
    return paint(scene.style, scene.colour, distance, (dx, dy), rng), distance < 0


def place(content: str, centre: NDArray[np.float64], rng: np.random.Generator) -> tuple[Images, Images, Images]:
    """An object of drawn size and rotation at ``centre`` (x, y): pixels (64, 64) to its outline, negative inside, and
    the offsets in x and y from its centre.
    """
    radius = rng.uniform(9.5, 12.0)
    turn = rng.uniform(-0.3, 0.3)
    ys, xs = np.mgrid[:SIZE, :SIZE].astype(np.float32) + np.float32(0.5)
    dx, dy = xs - np.float32(centre[0]), ys - np.float32(centre[1])
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    x, y = (cos * dx + sin * dy) / np.float32(radius), (-sin * dx + cos * dy) / np.float32(radius)
    return SHAPES[content](x, y) * np.float32(radius), dx, dy


def check_labels(scene: object, known: Mapping[str, Sequence[str]]) -> None:
    """Raises ``ValueError`` for a field of ``scene`` that is not among the names ``known`` for it."""
    for field, names in known.items():
        if getattr(scene, field) not in names:
            raise ValueError(f"{field} must be one of {list(names)}. Got {getattr(scene, field)!r}.")


def _cover(distance: Plane) -> Plane:
    """Anti-aliased coverage of a pixel by the region where ``distance`` (pixels) is negative."""
    coverage: Plane = np.clip(0.5 - distance, 0, 1)
    return coverage


def paint(
    style: str, colour: str, distance: Images, offsets: tuple[Images, Images], rng: np.random.Generator
) -> Images:
    """The picture (64, 64, 3) in [0, 1] of everything inside of ``distance`` in a drawn shade of ``colour``."""
    shade = np.clip(np.array(COLOURS[colour]) + rng.uniform(-0.06, 0.06, 3), 0, 1)
    return np.clip(_paint(style, distance, *offsets, shade, rng), 0, 1).astype(np.float32)


def _paint(
    style: str, distance: Images, dx: Images, dy: Images, colour: NDArray[np.float64], rng: np.random.Generator
) -> Images:
    paper = rng.uniform(0.86, 0.98) + rng.uniform(-0.03, 0.03, 3)
    night = rng.uniform(0.04, 0.14) + rng.uniform(-0.03, 0.03, 3)
    edge = np.abs(distance)
    inside = _cover(distance)
    phase = rng.uniform(0, 2 * np.pi, 2)
    if style == "flat":
        return _blend(paper, colour, inside)
    if style == "outlined":
        return _blend(paper, colour, _cover(np.abs(distance + 1.0) - 1.2))
    if style == "hatched":
        stripes = np.clip(0.5 + 1.6 * np.sin((dx + dy) * (2 * np.pi / 5.6) + phase[0]), 0, 1)
        ink = np.maximum(inside * stripes, _cover(np.abs(distance + 0.6) - 0.7))
        return _blend(paper, colour, ink)
    if style == "dotted":
        pitch = 4.4
        u, v = (dx + phase[0]) % pitch - pitch / 2, (dy + phase[1]) % pitch - pitch / 2
        dots = _cover(np.hypot(u, v) - 1.55)
        return _blend(paper, colour, inside * dots)
    if style == "watercolour":
        wave = np.sin(dx * 0.33 + phase[0]) * np.cos(dy * 0.29 + phase[1])
        wash = np.clip(0.5 - (distance + 1.2 * wave) / 3.5, 0, 1)
        rim = np.exp(-np.square((distance + 1.8 + wave) / 1.6))
        return _blend(paper, colour, wash * (0.42 + 0.14 * wave + 0.30 * rim))
    glow = np.exp(-edge / 3.2)
    core = _cover(edge - 0.9)
    lit = _blend(night, 0.25 + 0.75 * colour, 0.85 * glow)
    return _blend(lit, 0.55 + 0.45 * colour, core)


def _blend(under: NDArray[np.floating], over: NDArray[np.floating], alpha: Plane) -> Images:
    return (under + (over - under) * alpha[..., None]).astype(np.float32)
