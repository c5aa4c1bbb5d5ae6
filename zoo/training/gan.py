"""Train ``outcrop:gan`` on the latents of ``outcrop:unet``'s autoencoder.

Run as ``python -m outcrop.zoo.training.gan --out build/zoo``; it goes on after a kill. Two processor cores do not
afford the millions of pictures of a plain GAN, so the generator starts warm: it first redraws training pictures from
their labels and from the random numbers that the renderer drew for them. Then the adversarial game begins, and this
regression fades out. A classifier of latents (not the oracle that judges) asks for the labels that were meant.
"""

import argparse
import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from outcrop.zoo.choices import CHOICES, resolve
from outcrop.zoo.gan import LATENT, StyleGenerator, build_gan
from outcrop.zoo.scenes import Scene, draw_scenes
from outcrop.zoo.training.latents import scene_latents
from outcrop.zoo.training.loop import Schedule, Trainer
from outcrop.zoo.training.players import Critic, LatentReader, blurred, play, train_reader
from outcrop.zoo.training.text import label_table
from outcrop.zoo.weights import save_weights

LOG = logging.getLogger(__name__)
DRAWS = 17  # random numbers behind a scene: jitter 2, size, rotation, shade 3, paper 4, night 4, phases 2
FADING = 0.5  # of the adversarial steps, until the regression has gone


def nuisance(scenes: list[Scene]) -> Tensor:
    """What the renderer draws for each scene (n, 17), each number made Gaussian."""
    drawn: NDArray[np.float64] = np.stack([np.random.default_rng(scene.seed).random(DRAWS) for scene in scenes])
    return (2**0.5 * torch.erfinv(torch.as_tensor(2 * drawn - 1))).clamp(-4, 4).float()


def resolved_latents(scenes: list[Scene], generator: torch.Generator) -> Tensor:
    """What the mapping network is to read (n, 64) in order to draw ``scenes``; the numbers left over are Gaussian."""
    labels = label_table(scenes)
    choices = [2.0 * functional.one_hot(labels[:, k], b - a) for k, (a, b) in enumerate(CHOICES)]
    free = torch.randn((len(scenes), LATENT - CHOICES[-1][1] - DRAWS), generator=generator)
    return torch.cat([*choices, nuisance(scenes), free], dim=1)


def warm_up(
    model: StyleGenerator, codes: Tensor, latents: Tensor, trainer: Trainer, *, steps: int, batch: int = 48
) -> None:
    """Redraw ``latents`` (n, 8, 16, 16) from ``codes`` (n, 64), by least squares."""

    def loss(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(latents), (batch,), generator=generator)
        return functional.mse_loss(model.synthesise(model.mapping(codes[rows])), latents[rows])

    trainer.run("gan-warm", trained_parts(model), loss, Schedule(steps, rate=2e-3, matrix_rate=0.02, decay_from=0.4))


def train_gan(
    model: StyleGenerator,
    reader: LatentReader,
    codes: Tensor,
    latents: Tensor,
    trainer: Trainer,
    *,
    steps: int,
    batch: int = 48,
) -> None:
    """The adversarial game (hinge loss), both players moving at once; the regression fades out."""
    torch.manual_seed(trainer.seed + 22)
    critic = Critic()
    known = CHOICES[-1][1]

    def loss(generator: torch.Generator) -> Tensor:
        keep = max(0.0, 1 - trainer.step_of(generator) / (FADING * steps))
        real = torch.randint(len(latents), (batch,), generator=generator)
        seen = codes[real] if keep > 0 else resolve(torch.randn((batch, LATENT), generator=generator))
        made = model.synthesise(model.mapping(seen))
        labels = torch.stack([seen[:, a:b].argmax(1) for a, b in CHOICES], dim=1)
        asked = reader.loss(blurred(made, generator), labels)
        redrawn = functional.mse_loss(made, latents[real])
        judged, fooled = play(critic, (latents[real], codes[real, :known]), (made, seen[:, :known]))
        return judged + 0.1 * fooled + 0.1 * asked + 2 * keep * redrawn

    schedule = Schedule(steps, rate=4e-4, matrix_rate=0.0, betas=(0.5, 0.99), ema=0.995, decay_from=0.6)
    trainer.run("gan", trained_parts(model) | {"critic": critic}, loss, schedule)


def trained_parts(model: StyleGenerator) -> dict[str, nn.Module]:
    """Everything but the decoder."""
    holder = nn.Module()
    holder.constant = model.constant
    return {"mapping": model.mapping, "layers": model.layers, "to_latent": model.to_latent, "constant": holder}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and the finished model")
    parser.add_argument("--images", type=int, default=24_000, help="training pictures to render")
    parser.add_argument("--reader-steps", type=int, default=500, help="steps of 64 for the classifier of latents")
    parser.add_argument("--warm-steps", type=int, default=3_000, help="steps of 48 of regression")
    parser.add_argument("--steps", type=int, default=1_000, help="steps of 48 of the adversarial game")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    trainer = Trainer(options.out, seed=options.seed)

    scenes = draw_scenes(options.images, seed=options.seed + 100)
    latents = scene_latents(options.images, seed=options.seed + 100, folder=options.out)
    codes = resolved_latents(scenes, torch.Generator().manual_seed(options.seed))
    reader = train_reader(latents, label_table(scenes), trainer, steps=options.reader_steps)
    torch.manual_seed(options.seed + 20)
    model = build_gan()
    warm_up(model, codes, latents, trainer, steps=options.warm_steps)
    train_gan(model, reader, codes, latents, trainer, steps=options.steps)
    save_weights(model, options.out / "models" / "gan")
    LOG.info("wrote %s", options.out / "models" / "gan")


if __name__ == "__main__":
    main()
