"""The model card of ``outcrop:unet``: text, sample grid and training curve, all from measured figures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Template
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from outcrop.zoo.scenes import CONTENTS, STYLES

CHANCE = {"content": 1 / 8, "style": 1 / 6, "layout": 1 / 9, "all": 1 / 432}
CELL, MARGIN = 128, 92


def write_card(
    summary: dict[str, Any], table: pd.DataFrame, images: NDArray[np.uint8], *, logs: Path | None, out: Path
) -> None:
    """Write ``unet.md``, ``unet-grid.png`` and, where the training's logs are at hand, ``unet-training.png``."""
    draw_grid(table, images).save(out / "unet-grid.png", optimize=True)
    if logs is not None:
        plot_training(logs, out / "unet-training.png")
    (out / "unet.md").write_text(card_text(summary))


def draw_grid(table: pd.DataFrame, images: NDArray[np.uint8]) -> Image.Image:
    """Contents down, styles across, layouts in turn; the first picture of each, none chosen."""
    sheet = Image.new("RGB", (MARGIN + CELL * len(STYLES), 24 + CELL * len(CONTENTS)), "white")
    pen = ImageDraw.Draw(sheet)
    layouts = list(dict.fromkeys(table["layout"]))
    for row, content in enumerate(CONTENTS):
        pen.text((6, 24 + CELL * row + CELL // 2 - 6), content, fill="black")
        for column, style in enumerate(STYLES):
            if row == 0:
                pen.text((MARGIN + CELL * column + 8, 6), style, fill="black")
            layout = layouts[(row * len(STYLES) + column) % len(layouts)]
            wanted = (table["content"] == content) & (table["style"] == style) & (table["layout"] == layout)
            picture = Image.fromarray(images[int(np.flatnonzero(wanted)[0])])
            enlarged = picture.resize((CELL - 4, CELL - 4), Image.Resampling.NEAREST)
            sheet.paste(enlarged, (MARGIN + CELL * column, 24 + CELL * row))
    return sheet


def plot_training(logs: Path, target: Path) -> None:
    """Loss against steps for every stage that left a log."""
    from matplotlib.figure import Figure

    stages = [
        name for name in ("autoencoder", "decoder", "text", "denoiser", "oracle") if (logs / f"{name}.jsonl").exists()
    ]
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
    text: str = Template(template, keep_trailing_newline=True).render(**summary, chance=CHANCE)
    return text
