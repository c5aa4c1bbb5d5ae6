"""Train ``outcrop:vae`` on the latents of ``outcrop:unet``'s autoencoder, and fit its prior.

Run as ``python -m outcrop.zoo.training.vae --out build/zoo``; it goes on after a kill. First the plain bound (squared
error and KL), with a classifier of latents (not the oracle that judges) asking for the labels in the redrawn picture;
then the encoder is frozen, the prior is fitted to its vectors, and a critic sharpens the decoder on old and new ones.
"""

import argparse
import logging
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from outcrop.zoo.choices import CHOICES, resolve
from outcrop.zoo.scenes import draw_scenes
from outcrop.zoo.training.latents import scene_latents
from outcrop.zoo.training.loop import Schedule, Trainer
from outcrop.zoo.training.players import Critic, LatentReader, blurred, play, train_reader
from outcrop.zoo.training.text import label_table
from outcrop.zoo.vae import CHOSEN, CODE, LATENT, CompactVae, build_vae, kind_of, label_features
from outcrop.zoo.weights import save_weights

LOG = logging.getLogger(__name__)
KL_WEIGHT = 1e-4  # per nat, against the mean squared error of 2,048 whitened numbers
RIDGE = 3.0


def train_vae(
    model: CompactVae,
    reader: LatentReader,
    latents: Tensor,
    labels: Tensor,
    trainer: Trainer,
    *,
    steps: int,
    batch: int = 48,
) -> None:
    """Squared error, KL and the classifier's loss on what is redrawn."""

    def loss(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(latents), (batch,), generator=generator)
        mean, log_variance = model.posterior(latents[rows])
        noise = torch.randn(mean.shape, generator=generator)
        redrawn = model.draw(mean + (0.5 * log_variance).exp() * noise)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        error = functional.mse_loss(redrawn, latents[rows])
        return error + KL_WEIGHT * divergence + 0.02 * reader.loss(redrawn, labels[rows])

    parts = decoder_parts(model) | {"body": model.body}
    trainer.run("vae", parts, loss, Schedule(steps, rate=2e-3, matrix_rate=0.02, decay_from=0.4))


def sharpen(
    model: CompactVae,
    reader: LatentReader,
    latents: Tensor,
    chosen: Tensor,
    trainer: Trainer,
    *,
    steps: int,
    batch: int = 32,
) -> None:
    """Move the decoder only: redraw, and satisfy the classifier and a critic with vectors of the prior.

    ``chosen`` (n, 29): the labels of ``latents``, one-hot, times 2.
    """
    torch.manual_seed(trainer.seed + 32)
    critic = Critic()
    with torch.no_grad():
        codes = torch.cat([model.posterior(part)[0] for part in latents.split(512)])

    def loss(generator: torch.Generator) -> Tensor:
        real = torch.randint(len(latents), (batch,), generator=generator)
        seen = resolve(torch.randn((batch, LATENT), generator=generator))
        labels = torch.stack([seen[:, a:b].argmax(1) for a, b in CHOICES], dim=1)
        both = model.draw(torch.cat([codes[real], model.prior(seen)]))
        redrawn, made = both.chunk(2)
        judged, fooled = play(critic, (latents[real], chosen[real]), (made, seen[:, :CHOSEN]))
        asked = reader.loss(blurred(made, generator), labels)
        return judged + 0.1 * fooled + 0.1 * asked + 2 * functional.mse_loss(redrawn, latents[real])

    schedule = Schedule(steps, rate=4e-4, matrix_rate=0.0, betas=(0.5, 0.99), ema=0.99, decay_from=0.5)
    trainer.run("vae-sharp", decoder_parts(model) | {"critic": critic}, loss, schedule)


@torch.no_grad()
def fit_prior(model: CompactVae, latents: Tensor, chosen: Tensor) -> None:
    """Means by ridge regression on labels and pairs of labels; a covariance per content and style, half pooled."""
    mean, log_variance = (
        torch.cat(x) for x in zip(*(model.posterior(part) for part in latents.split(512)), strict=True)
    )
    features = label_features(chosen / 2)
    gram = features.T @ features + RIDGE * torch.eye(features.shape[1])
    model.prior.means.copy_(torch.linalg.solve(gram, features.T @ mean))
    rest = mean - features @ model.prior.means
    pooled = rest.T @ rest / len(rest)
    kinds = kind_of(chosen)
    for kind, factor in enumerate(model.prior.factors):
        inside = kinds == kind
        own = rest[inside].T @ rest[inside] / inside.sum()
        noise = torch.diag(log_variance[inside].exp().mean(0))
        factor.copy_(torch.linalg.cholesky(0.8 * own + 0.2 * pooled + noise + 1e-6 * torch.eye(CODE)))


def decoder_parts(model: CompactVae) -> dict[str, nn.Module]:
    return {"spread": model.spread, "blocks": model.blocks, "to_latent": model.to_latent}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and the finished model")
    parser.add_argument("--images", type=int, default=24_000, help="training pictures to render")
    parser.add_argument("--reader-steps", type=int, default=500, help="steps of 64 for the classifier of latents")
    parser.add_argument("--steps", type=int, default=2_800, help="steps of 48 of the bound")
    parser.add_argument("--sharp-steps", type=int, default=500, help="steps of 32 with the critic")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    trainer = Trainer(options.out, seed=options.seed)

    latents = scene_latents(options.images, seed=options.seed + 100, folder=options.out)
    labels = label_table(draw_scenes(options.images, seed=options.seed + 100))
    chosen = torch.cat([2.0 * functional.one_hot(labels[:, k], b - a) for k, (a, b) in enumerate(CHOICES)], dim=1)
    reader = train_reader(latents, labels, trainer, steps=options.reader_steps)
    torch.manual_seed(options.seed + 30)
    model = build_vae()
    train_vae(model, reader, latents, labels, trainer, steps=options.steps)
    fit_prior(model, latents, chosen)
    sharpen(model, reader, latents, chosen, trainer, steps=options.sharp_steps)
    save_weights(model, options.out / "models" / "vae")
    LOG.info("wrote %s", options.out / "models" / "vae")


if __name__ == "__main__":
    main()
