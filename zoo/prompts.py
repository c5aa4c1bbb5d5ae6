"""Prompts for scenes: four templates, synonyms for every label, the colour named half of the time."""

import re

import numpy as np

from outcrop.zoo.scenes import Scene

TEMPLATES = (
    "a {style} {content} {layout}",
    "{layout}, a {style} {content}",
    "a {content} {layout} in {style} style",
    "picture of one {content}, {style}, {layout}",
)

# The first word of each entry is the label itself; the others are synonyms.
CONTENT_WORDS = {
    "disc": ("disc", "circle"),
    "square": ("square", "box"),
    "triangle": ("triangle", "wedge"),
    "star": ("star", "asterisk"),
    "heart": ("heart", "valentine"),
    "cross": ("cross", "plus"),
    "ring": ("ring", "hoop"),
    "crescent": ("crescent", "moon"),
}
STYLE_WORDS = {
    "flat": ("flat", "solid"),
    "outlined": ("outlined", "contoured"),
    "hatched": ("hatched", "striped"),
    "dotted": ("dotted", "stippled"),
    "watercolour": ("watercolour", "painted"),
    "neon": ("neon", "glowing"),
}
LAYOUT_WORDS = {
    "top left": ("at the top left", "in the upper left corner"),
    "top": ("at the top", "in the upper middle"),
    "top right": ("at the top right", "in the upper right corner"),
    "left": ("on the left", "at the left side"),
    "centre": ("in the centre", "in the middle"),
    "right": ("on the right", "at the right side"),
    "bottom left": ("at the bottom left", "in the lower left corner"),
    "bottom": ("at the bottom", "in the lower middle"),
    "bottom right": ("at the bottom right", "in the lower right corner"),
}


def write_prompt(scene: Scene, *, template: int = 0, synonyms: tuple[int, int, int] = (0, 0, 0), colour: bool) -> str:
    """The prompt of ``scene``; ``synonyms`` picks the word for content, style and layout."""
    noun = CONTENT_WORDS[scene.content][synonyms[0]]
    if colour:
        noun = f"{scene.colour} {noun}"
    text = TEMPLATES[template].format(
        content=noun, style=STYLE_WORDS[scene.style][synonyms[1]], layout=LAYOUT_WORDS[scene.layout][synonyms[2]]
    )
    return re.sub(r"\ba (?=[aeiou])", "an ", text)


def draw_prompt(scene: Scene, rng: np.random.Generator) -> str:
    """A prompt of ``scene``: template, synonyms and the naming of the colour are drawn (labels twice as often)."""
    a, b, c = (int(pick) for pick in rng.choice([0, 0, 1], 3))
    template = int(rng.integers(len(TEMPLATES)))
    return write_prompt(scene, template=template, synonyms=(a, b, c), colour=bool(rng.integers(2)))
