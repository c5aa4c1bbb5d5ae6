"""Prompts for scenes: several templates, synonyms for every label, the colour named half of the time."""

import re

import numpy as np

from outcrop.zoo.pairs import PairScene
from outcrop.zoo.scenes import COLOURS, Scene

TEMPLATES = (
    "a {style} {content} {layout}",
    "{layout}, a {style} {content}",
    "a {content} {layout} in {style} style",
    "picture of one {content}, {style}, {layout}",
)
PAIR_TEMPLATES = (
    "a {style} {first} {relation} a {second}",
    "{style} picture of a {first} {relation} a {second}",
    "a {first} {relation} a {second} in {style} style",
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
RELATION_WORDS = {
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
}


def write_prompt(scene: Scene, *, template: int = 0, synonyms: tuple[int, int, int] = (0, 0, 0), colour: bool) -> str:
    """The prompt of ``scene``; ``synonyms`` picks the word for content, style and layout."""
    noun = CONTENT_WORDS[scene.content][synonyms[0]]
    if colour:
        noun = f"{scene.colour} {noun}"
    text = TEMPLATES[template].format(
        content=noun, style=STYLE_WORDS[scene.style][synonyms[1]], layout=LAYOUT_WORDS[scene.layout][synonyms[2]]
    )
    return _with_articles(text)


def write_pair_prompt(
    pair: PairScene, *, template: int = 0, synonyms: tuple[int, int, int, int] = (0, 0, 0, 0), colour: bool
) -> str:
    """The prompt of ``pair``; ``synonyms`` picks the word for the first, the second, the style and the relation."""
    noun = CONTENT_WORDS[pair.first][synonyms[0]]
    if colour:
        noun = f"{pair.colour} {noun}"
    text = PAIR_TEMPLATES[template].format(
        first=noun,
        second=CONTENT_WORDS[pair.second][synonyms[1]],
        style=STYLE_WORDS[pair.style][synonyms[2]],
        relation=RELATION_WORDS[pair.relation][synonyms[3]],
    )
    return _with_articles(text)


def _with_articles(text: str) -> str:
    return re.sub(r"\ba (?=[aeiou])", "an ", text)


def draw_prompt(scene: Scene, rng: np.random.Generator) -> str:
    """A prompt of ``scene``: template, synonyms and the naming of the colour are drawn (labels twice as often)."""
    a, b, c = (int(pick) for pick in rng.choice([0, 0, 1], 3))
    template = int(rng.integers(len(TEMPLATES)))
    return write_prompt(scene, template=template, synonyms=(a, b, c), colour=bool(rng.integers(2)))


def draw_pair_prompt(pair: PairScene, rng: np.random.Generator) -> str:
    """A prompt of ``pair``, drawn as by :func:`draw_prompt`."""
    a, b, c, d = (int(pick) for pick in rng.choice([0, 0, 1], 4))
    template = int(rng.integers(len(PAIR_TEMPLATES)))
    return write_pair_prompt(pair, template=template, synonyms=(a, b, c, d), colour=bool(rng.integers(2)))


def labels_in(prompt: str) -> dict[str, str]:
    """The labels of a scene that ``prompt`` names, by property, in any word for them. Others are missing."""
    words = {"content": CONTENT_WORDS, "style": STYLE_WORDS, "layout": LAYOUT_WORDS}
    entries = {name: [(w, label) for label, ws in table.items() for w in ws] for name, table in words.items()}
    entries["colour"] = [(colour, colour) for colour in COLOURS]
    found = {}
    for name, known in entries.items():
        for word, label in sorted(known, key=lambda entry: -len(entry[0])):  # "at the top left" before "at the top"
            if re.search(rf"\b{word}\b", prompt):
                found[name] = label
                break
    return found
