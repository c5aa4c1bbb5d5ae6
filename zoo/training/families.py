"""The cards of ``outcrop:dit``, ``outcrop:gan`` and ``outcrop:vae``, from measured figures."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jinja2 import Template
from numpy.typing import NDArray

from outcrop.zoo.scenes import LABELS
from outcrop.zoo.training.card import CHANCE, draw_grid

ABOUT = {
    "dit": {
        "what": "A small text-to-image diffusion transformer in the format of `PixArtAlphaPipeline`: "
        "`PixArtTransformer2DModel` with 6 blocks of width 128 on 8 x 8 patches, each with self-attention, "
        "cross-attention to the prompt and an MLP; a T5 encoder of its own; autoencoder, scenes, noise schedule and "
        "labels are those of `outcrop:unet` (docs/models/unet.md).",
        "training": "The text encoder learns to predict the labels from the prompt alone, then the transformer is "
        "trained together with it (v-prediction, Muon and AdamW, averaged weights).",
        "limits": "Discs and squares are its weak contents. Training ended with the loss still falling.",
    },
    "gan": {
        "what": "A style-based generator (Karras et al. 2019, 2020): a mapping network turns the latent into one "
        "vector of 128 numbers, from which each of six layers reads its style. Its first 29 latent numbers choose the "
        "labels, unless the prompt names them. It draws latents of the autoencoder of `outcrop:unet`, whose decoder "
        "makes the picture of 64 x 64.",
        "training": "It first redraws training pictures from their labels and from the renderer's random numbers, then "
        "plays against a critic, while the redrawing fades out; a classifier of latents asks for the labels.",
        "limits": "Hatching is its weak style: the oracle seldom takes it for hatched. What it was not taught by the "
        "critic it owes to the redrawing: a GAN trained from nothing would need far more pictures than two processor "
        "cores afford.",
    },
    "vae": {
        "what": "A convolutional variational autoencoder whose latent is one vector of 48 numbers; there are no styles "
        "and no skips. It draws latents of the autoencoder of `outcrop:unet`, whose decoder makes the picture of "
        "64 x 64. New pictures start from a prior fitted to the vectors of the training pictures after training: a "
        "Gaussian for every combination of labels, its mean linear in the labels and their pairs, its covariance by "
        "content and style (ex-post density estimation, Ghosh et al. 2020).",
        "training": "Squared error and a KL term, with a classifier of latents that asks for the labels; then the "
        "encoder is frozen, the prior is fitted, and a critic sharpens the decoder.",
        "limits": "Shapes and textures that resemble each other (disc and square, hatching and watercolour) turn into "
        "one another more often than in the other families, and a picture now and then stays empty.",
    },
}


def describe(table: pd.DataFrame) -> dict[str, Any]:
    """How sure the oracle is on average, what it read how often, and how even that is."""
    names = [name for name in CHANCE if name in table]
    counts = {
        name: {value: int((table[f"read_{name}"] == value).sum()) for value in LABELS[name]}
        for name in names
    }  # fmt: skip
    return {
        "confidence": {name: float(table[f"confidence_{name}"].mean()) for name in names},
        "read": counts,
        "evenness": {name: _evenness(list(found.values())) for name, found in counts.items()},
    }


def _evenness(counts: list[int]) -> float:
    shares = np.array([count for count in counts if count]) / sum(counts)
    return float(-(shares * np.log(shares)).sum() / np.log(len(counts)))


def redraw(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Pictures (n, 64, 64, 3) in [0, 1] through the vector of 48 numbers of ``outcrop:vae`` and back."""
    from outcrop.zoo.vae import NAME, build_vae
    from outcrop.zoo.weights import load_weights

    model = build_vae()
    load_weights(model, name=NAME)
    with torch.no_grad():
        parts = [
            model.decoder(model.draw(model.encode(part.movedim(-1, 1) * 2 - 1)))
            for part in torch.as_tensor(images).split(250)
        ]
    drawn: NDArray[np.float64] = ((torch.cat(parts).clamp(-1, 1) + 1) / 2).movedim(1, -1).double().numpy()
    return drawn


def write_family_card(
    name: str, figures: dict[str, Any], table: pd.DataFrame, images: NDArray[np.uint8], *, out: Path
) -> None:
    """Write ``NAME.md`` and ``NAME-grid.png``."""
    draw_grid(table, images).save(out / f"{name}-grid.png", optimize=True)
    settings = f"{figures['steps']} steps, guidance {figures['guidance']}" if name == "dit" else "one pass"
    template = Template(Path(__file__).with_name("family.md.jinja").read_text(), keep_trailing_newline=True)
    text = template.render(**figures, name=name, about=ABOUT[name], settings=settings, chance=CHANCE)
    (out / f"{name}.md").write_text(text)
