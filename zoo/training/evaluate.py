"""Measure a shipped model (``--model outcrop:unet`` by default) and write its card.

Run as ``python -m outcrop.zoo.training.evaluate --out docs/models``.

Every combination of content, style and layout, and every ordered pair of contents in every relation, is generated with
fixed seeds; the oracles, which never saw a generated picture, say what it shows. The agreement with the prompt is given
with a 95 % Wilson interval.
"""

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.capture.modules import ModuleSource
from outcrop.capture.source import DiffusersSource, open_source
from outcrop.data.samples import Sample
from outcrop.zoo.oracle import Oracle, load_oracle, load_pair_oracle
from outcrop.zoo.pairs import RELATIONS, PairScene, as_shown, draw_pairs, render_pairs
from outcrop.zoo.prompts import write_pair_prompt, write_prompt
from outcrop.zoo.scenes import COLOURS, CONTENTS, LABELS, LAYOUTS, STYLES, Scene, draw_scenes, render
from outcrop.zoo.training.card import write_card
from outcrop.zoo.training.families import ABOUT, describe, redraw, write_family_card

LOG = logging.getLogger(__name__)
PROPERTIES = ("content", "style", "layout")
STEPS, GUIDANCE, BATCH, HELD_OUT = 20, 3.0, 48, 2000
Z = 1.959964  # of a two-sided 95 % interval

Hits = NDArray[np.bool_]


@dataclass(frozen=True)
class Evaluation:
    """``table``: a row per generated picture with what was asked and what the oracle read (``read_*``); ``images``
    uint8; ``oracle``: its accuracy on held-out renders.
    """

    table: pd.DataFrame
    images: NDArray[np.uint8]
    oracle: dict[str, float]

    def hits(self, *columns: str) -> Hits:
        """One truth value per picture: does it show all of ``columns`` as asked?"""
        right = [(self.table[name] == self.table[f"read_{name}"]).to_numpy(dtype=np.bool_) for name in columns]
        together: Hits = np.logical_and.reduce(right)
        return together


def wilson(hits: Hits) -> tuple[float, float, float]:
    """A proportion with its 95 % score interval (Wilson 1927): (share, low, high)."""
    n, share = len(hits), float(hits.mean())
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return share, float(centre - half), float(centre + half)


def summary(one: Evaluation) -> dict[str, Any]:
    """Plain numbers for ``json``: pictures of one object."""
    classes = {
        name: {value: float(one.hits(name)[one.table[name] == value].mean()) for value in LABELS[name]}
        for name in PROPERTIES
    }
    return {
        "images": len(one.table),
        "steps": STEPS,
        "guidance": GUIDANCE,
        "agreement": {name: wilson(one.hits(name)) for name in PROPERTIES} | {"all": wilson(one.hits(*PROPERTIES))},
        "by_class": classes,
        "oracle_on_held_out_renders": one.oracle,
    }


def pair_summary(two: Evaluation) -> dict[str, Any]:
    """The same for pictures of two objects."""
    found = {"images": len(two.table), "agreement": pair_agreement(two), "oracle_on_held_out_renders": two.oracle}
    return {"pairs": found}


def family_summary(name: str, one: Evaluation) -> dict[str, Any]:
    """The same for another family, with what the oracle is sure of, and, for the VAE, how well it redraws."""
    figures = summary(one) | describe(one.table)
    if name == "vae":
        scenes = draw_scenes(HELD_OUT, seed=999)
        read = load_oracle().read(redraw(render(scenes).images))
        right = {key: np.array([getattr(scene, key) for scene in scenes]) == read[key][0] for key in PROPERTIES}
        figures |= {"redrawn_images": HELD_OUT, "redrawn": {key: wilson(hits) for key, hits in right.items()}}
    return figures


def pair_agreement(two: Evaluation) -> dict[str, tuple[float, float, float]]:
    """``axis``: side by side or stacked, as asked; ``contents``: both are there, in whatever places; ``relation``: of
    these pictures, the share where they stand as asked.
    """
    table = two.table
    swapped = (table["near"] == table["read_far"]) & (table["far"] == table["read_near"])
    both = two.hits("near", "far") | swapped.to_numpy(dtype=np.bool_)
    return {
        "axis": wilson(two.hits("axis")),
        "contents": wilson(both),
        "relation": wilson(two.hits("axis", "near", "far")[both]),
        "style": wilson(two.hits("style")),
        "all": wilson(two.hits("axis", "near", "far", "style")),
    }


def evaluate_one(model: str, *, rounds: int, seed: int = 50_000) -> Evaluation:
    """Generate the factorial grid of one object ``rounds`` times (432 pictures each) and read it with the oracle."""
    colours = tuple(COLOURS)
    scenes = [
        Scene(content, style, layout, colours[number % len(colours)], seed + number)
        for number, (_, content, style, layout) in enumerate(
            (turn, c, s, p) for turn in range(rounds) for c in CONTENTS for s in STYLES for p in LAYOUTS
        )
    ]
    prompts = [write_prompt(scene, template=k % 4, colour=k % 2 == 0) for k, scene in enumerate(scenes)]
    held_out = draw_scenes(HELD_OUT, seed=999)
    oracle = load_oracle()
    accuracy = check_oracle(oracle, render(held_out).images, held_out)
    return _evaluate(open_source(model), prompts, [scene.seed for scene in scenes], scenes, oracle, accuracy)


def evaluate_two(model: str, *, seed: int = 60_000) -> Evaluation:
    """Generate every ordered pair of contents in every relation twice (448 pictures), styles in turn."""
    colours = tuple(COLOURS)
    scenes = [
        PairScene(first, second, relation, STYLES[k % len(STYLES)], colours[(k // 7) % len(colours)], seed + k)
        for k, (_, first, second, relation) in enumerate(
            (turn, a, b, r) for turn in range(2) for a in CONTENTS for b in CONTENTS if a != b for r in RELATIONS
        )
    ]
    prompts = [write_pair_prompt(pair, template=k % 3, colour=k % 2 == 0) for k, pair in enumerate(scenes)]
    shown = [as_shown(pair) for pair in scenes]
    held_out = draw_pairs(HELD_OUT, seed=999)
    oracle = load_pair_oracle()
    accuracy = check_oracle(oracle, render_pairs(held_out).images, [as_shown(pair) for pair in held_out])
    found = _evaluate(open_source(model), prompts, [pair.seed for pair in scenes], shown, oracle, accuracy)
    asked = {name: [getattr(pair, name) for pair in scenes] for name in ("first", "second", "relation")}
    return replace(found, table=found.table.assign(**asked))


def _evaluate(
    source: DiffusersSource | ModuleSource,
    prompts: Sequence[str],
    seeds: Sequence[int],
    shown: Sequence[object],
    oracle: Oracle,
    accuracy: dict[str, float],
) -> Evaluation:
    """Generate, and set what the oracle reads beside the labels in ``shown``."""
    samples = [Sample(id="0" * 16, prompt=prompt, seed=seed) for prompt, seed in zip(prompts, seeds, strict=True)]
    steps, guidance = (1, 1.0) if isinstance(source, ModuleSource) else (STEPS, GUIDANCE)
    parts = []
    for start in range(0, len(samples), BATCH):
        parts.append(source.generate(samples[start : start + BATCH], steps=steps, guidance=guidance))
        LOG.info("generated %d of %d", min(start + BATCH, len(samples)), len(samples))
    images = np.concatenate(parts)
    table = pd.DataFrame({name: [getattr(scene, name) for scene in shown] for name in oracle.classes})
    table["prompt"], table["seed"] = prompts, seeds
    for name, (read, confidence) in oracle.read(images / 255.0).items():
        table[f"read_{name}"], table[f"confidence_{name}"] = read, confidence
    return Evaluation(table, images, accuracy)


def check_oracle(oracle: Oracle, images: NDArray[np.float32], shown: Sequence[object]) -> dict[str, float]:
    """Accuracy of the oracle on rendered pictures that it was not trained on, per label."""
    read = oracle.read(images)
    return {name: float(np.mean([getattr(s, name) for s in shown] == read[name][0])) for name in read}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="outcrop:unet")
    parser.add_argument("--rounds", type=int, default=2, help="how often the grid of 432 pictures is generated")
    parser.add_argument("--logs", type=Path, help="folder of the training logs, for the training curve")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options.out.mkdir(parents=True, exist_ok=True)
    name = options.model.removeprefix("outcrop:")
    one = evaluate_one(options.model, rounds=options.rounds)
    if name in ABOUT:
        figures = family_summary(name, one)
        write_family_card(name, figures, one.table, one.images, out=options.out)
    else:
        two = evaluate_two(options.model)
        figures = summary(one) | pair_summary(two)
        write_card(figures, (one.table, one.images), (two.table, two.images), logs=options.logs, out=options.out)
    (options.out / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n")
    LOG.info("agreement %s", figures["agreement"])


if __name__ == "__main__":
    main()
