"""The model card of ``outcrop:unet``: text, sample grids and training curve, all from measured figures."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Template
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from outcrop.zoo.pairs import RELATIONS
from outcrop.zoo.scenes import CONTENTS, STYLES

Images = NDArray[np.uint8]

CHANCE = {"content": 1 / 8, "style": 1 / 6, "layout": 1 / 9, "all": 1 / 432}
PAIR_CHANCE = {"axis": 1 / 2, "contents": 1 / 28, "relation": 1 / 4, "style": 1 / 6, "all": 1 / (28 * 4 * 6)}
STAGES = ("autoencoder", "decoder", "text", "denoiser", "pairs", "oracle", "pair-oracle")
CELL, MARGIN, HEAD = 128, 92, 24


def write_card(
    summary: dict[str, Any],
    one: tuple[pd.DataFrame, Images],
    two: tuple[pd.DataFrame, Images],
    *,
    logs: Path | None,
    out: Path,
) -> None:
    """Write ``unet.md``, ``unet-grid.png``, ``unet-pairs.png`` and, where the training's logs are at hand,
    ``unet-training.png``. ``one`` and ``two``: table and pictures (n, 64, 64, 3) of scenes of one object and of two.
    """
    draw_grid(*one).save(out / "unet-grid.png", optimize=True)
    draw_pair_grid(*two).save(out / "unet-pairs.png", optimize=True)
    if logs is not None:
        plot_training(logs, out / "unet-training.png")
    (out / "unet.md").write_text(card_text(summary))


def draw_grid(table: pd.DataFrame, images: Images) -> Image.Image:
    """Contents down, styles across, layouts in turn; the first picture of each, none chosen."""
    layouts = list(dict.fromkeys(table["layout"]))
    rows = []
    for row, content in enumerate(CONTENTS):
        wanted = []
        for column, style in enumerate(STYLES):
            layout = layouts[(row * len(STYLES) + column) % len(layouts)]
            fits = (table["content"] == content) & (table["style"] == style) & (table["layout"] == layout)
            wanted.append(images[int(np.flatnonzero(fits)[0])])
        rows.append(wanted)
    return _sheet(rows, down=CONTENTS, across=STYLES)


def draw_pair_grid(table: pd.DataFrame, images: Images) -> Image.Image:
    """First content down, relation across, second content in turn; the first picture of each, none chosen."""
    rows = []
    for row, first in enumerate(CONTENTS):
        wanted = []
        for column, relation in enumerate(RELATIONS):
            second = CONTENTS[(row + 1 + column) % len(CONTENTS)]
            fits = (table["first"] == first) & (table["second"] == second) & (table["relation"] == relation)
            wanted.append(images[int(np.flatnonzero(fits)[0])])
        rows.append(wanted)
    down = [f"{first} ..." for first in CONTENTS]
    across = [f"{relation} (second in turn)" for relation in RELATIONS]
    return _sheet(rows, down=down, across=across)


def _sheet(rows: list[list[NDArray[np.uint8]]], *, down: Sequence[str], across: Sequence[str]) -> Image.Image:
    sheet = Image.new("RGB", (MARGIN + CELL * len(across), HEAD + CELL * len(down)), "white")
    pen = ImageDraw.Draw(sheet)
    for column, name in enumerate(across):
        pen.text((MARGIN + CELL * column + 8, 6), name, fill="black")
    for row, (name, pictures) in enumerate(zip(down, rows, strict=True)):
        pen.text((6, HEAD + CELL * row + CELL // 2 - 6), name, fill="black")
        for column, picture in enumerate(pictures):
            enlarged = Image.fromarray(picture).resize((CELL - 4, CELL - 4), Image.Resampling.NEAREST)
            sheet.paste(enlarged, (MARGIN + CELL * column, HEAD + CELL * row))
    return sheet


def plot_training(logs: Path, target: Path) -> None:
    """Loss against steps for every stage that left a log."""
    from matplotlib.figure import Figure

    stages = [name for name in STAGES if (logs / f"{name}.jsonl").exists()]
    figure = Figure(figsize=(2.6 * len(stages), 2.6), layout="constrained")
    for number, name in enumerate(stages, start=1):
        rows = [json.loads(line) for line in (logs / f"{name}.jsonl").read_text().splitlines()]
        axes = figure.add_subplot(1, len(stages), number)
        axes.plot([row["step"] for row in rows], [row["loss"] for row in rows], color="#0072b2", linewidth=1.2)
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("step", fontsize=8)
        axes.set_yscale("log")
        axes.tick_params(labelsize=7, which="both")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("training loss", fontsize=8)
    figure.savefig(target, dpi=150, metadata={"Software": None})


def card_text(summary: dict[str, Any]) -> str:
    """The card in Markdown."""
    template = Path(__file__).with_name("card.md.jinja").read_text()
    text: str = Template(template, keep_trailing_newline=True).render(**summary, chance=CHANCE, pair_chance=PAIR_CHANCE)
    return text
