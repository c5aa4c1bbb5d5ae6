"""Measure the shipped text-to-image model and write its card.

Run as ``python -m outcrop.zoo.training.evaluate --out docs/models``.

Every combination of content, style and layout is generated with fixed seeds; the oracle, which never saw a generated
picture, says what it shows. The agreement with the prompt is given with a 95 % Wilson interval.
"""

import argparse
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.capture.source import open_source
from outcrop.data.samples import Sample
from outcrop.zoo.oracle import CLASSES, Oracle, load_oracle
from outcrop.zoo.prompts import write_prompt
from outcrop.zoo.scenes import COLOURS, CONTENTS, LAYOUTS, STYLES, Scene, draw_scenes, render
from outcrop.zoo.training.card import write_card

LOG = logging.getLogger(__name__)
PROPERTIES = ("content", "style", "layout")
STEPS, GUIDANCE, BATCH = 20, 3.0, 48
Z = 1.959964  # of a two-sided 95 % interval


@dataclass(frozen=True)
class Evaluation:
    """``table``: a row per generated picture with what was asked and what the oracle read; ``images`` uint8."""

    table: pd.DataFrame
    images: NDArray[np.uint8]
    oracle: dict[str, float]

    def agreement(self, column: str) -> tuple[float, float, float]:
        """Share of pictures that show the ``column`` that was asked for, and its interval."""
        return wilson(self.hits(column))

    def hits(self, column: str) -> NDArray[np.bool_]:
        """One truth value per picture; ``column`` ``"all"`` asks for the three properties at once."""
        if column == "all":
            together: NDArray[np.bool_] = np.logical_and.reduce([self.hits(name) for name in PROPERTIES])
            return together
        hits: NDArray[np.bool_] = (self.table[column] == self.table[f"read_{column}"]).to_numpy(dtype=np.bool_)
        return hits

    def summary(self) -> dict[str, Any]:
        """Plain numbers for ``json``."""
        names = (*PROPERTIES, "all")
        classes = {
            name: {value: float(self.hits(name)[self.table[name] == value].mean()) for value in CLASSES[name]}
            for name in PROPERTIES
        }
        return {
            "images": len(self.table),
            "steps": STEPS,
            "guidance": GUIDANCE,
            "agreement": {name: self.agreement(name) for name in names},
            "by_class": classes,
            "oracle_on_held_out_renders": self.oracle,
        }


def wilson(hits: NDArray[np.bool_]) -> tuple[float, float, float]:
    """A proportion with its 95 % score interval (Wilson 1927): (share, low, high)."""
    n, share = len(hits), float(hits.mean())
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return share, float(centre - half), float(centre + half)


def evaluate(model: str, *, rounds: int, seed: int = 50_000) -> Evaluation:
    """Generate the factorial grid ``rounds`` times (432 pictures each) and read it with the oracle."""
    source, oracle = open_source(model), load_oracle()
    colours = tuple(COLOURS)
    scenes = [
        Scene(content, style, layout, colours[number % len(colours)], seed + number)
        for number, (_, content, style, layout) in enumerate(
            (turn, c, s, p) for turn in range(rounds) for c in CONTENTS for s in STYLES for p in LAYOUTS
        )
    ]
    prompts = [write_prompt(scene, template=k % 4, colour=k % 2 == 0) for k, scene in enumerate(scenes)]
    parts = []
    for start in range(0, len(scenes), BATCH):
        batch = [
            Sample(id="0" * 16, prompt=prompt, seed=scene.seed)
            for prompt, scene in zip(prompts[start : start + BATCH], scenes[start : start + BATCH], strict=True)
        ]
        parts.append(source.generate(batch, steps=STEPS, guidance=GUIDANCE))
        LOG.info("generated %d of %d", min(start + BATCH, len(scenes)), len(scenes))
    images = np.concatenate(parts)
    table = pd.DataFrame({name: [getattr(scene, name) for scene in scenes] for name in PROPERTIES})
    table["prompt"], table["seed"] = prompts, [scene.seed for scene in scenes]
    for name, (read, confidence) in oracle.read(images / 255.0).items():
        table[f"read_{name}"], table[f"confidence_{name}"] = read, confidence
    return Evaluation(table, images, check_oracle(oracle))


def check_oracle(oracle: Oracle, *, n: int = 2000, seed: int = 999) -> dict[str, float]:
    """Accuracy of the oracle on rendered pictures that it was not trained on."""
    scenes = draw_scenes(n, seed=seed)
    read = oracle.read(render(scenes).images)
    return {name: float(np.mean([getattr(s, name) for s in scenes] == read[name][0])) for name in read}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="outcrop:unet")
    parser.add_argument("--rounds", type=int, default=2, help="how often the grid of 432 pictures is generated")
    parser.add_argument("--logs", type=Path, help="folder of the training logs, for the training curve")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    result = evaluate(options.model, rounds=options.rounds)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "unet.json").write_text(json.dumps(result.summary(), indent=1) + "\n")
    write_card(result.summary(), result.table, result.images, logs=options.logs, out=options.out)
    LOG.info("agreement %s", result.summary()["agreement"])


if __name__ == "__main__":
    main()
