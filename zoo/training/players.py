"""The players around the one-step models: a classifier that asks for labels, and a critic that tells real from made.

Both read latents of ``outcrop:unet``'s autoencoder, (n, 8, 16, 16), not pictures. The classifier is not the oracle that
judges the finished models: that one reads pictures, and was trained apart.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from outcrop.zoo.choices import CHOICES
from outcrop.zoo.scenes import LABELS
from outcrop.zoo.training.autoencoder import LATENT_CHANNELS
from outcrop.zoo.training.loop import Schedule, Trainer


class LatentReader(nn.Module):
    """Latents (n, 8, 16, 16) to logits per label: (n, 8), (n, 6), (n, 9), (n, 6)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(*_trunk(norm=True), nn.Flatten(), nn.Linear(96 * 16, 128), nn.ReLU())
        self.heads = nn.ModuleList(nn.Linear(128, len(names)) for names in LABELS.values())

    def loss(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy for ``labels`` (n, 4)."""
        features = self.body(latents)
        errors = [functional.cross_entropy(head(features), labels[:, k]) for k, head in enumerate(self.heads)]
        return torch.stack(errors).mean()


class Critic(nn.Module):
    """Real or made: (n, 8, 16, 16) with what was chosen (n, 29) to scores (n, 17), one of the whole and 16 of places.

    The whole is scored given the labels by projection (Miyato and Koyama 2018).
    """

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(*_trunk(norm=False))
        self.places = spectral_norm(nn.Conv2d(96, 1, 1))
        self.whole = spectral_norm(nn.Linear(96 * 16, 96))
        self.plain = spectral_norm(nn.Linear(96, 1))
        self.labels = spectral_norm(nn.Linear(CHOICES[-1][1], 96))

    def forward(self, latents: Tensor, chosen: Tensor) -> Tensor:
        maps = self.body(latents)
        features = functional.leaky_relu(self.whole(maps.flatten(1)), 0.2)
        given = (features * self.labels(chosen)).sum(1, keepdim=True)
        return torch.cat([self.plain(features) + given, self.places(maps).flatten(1)], dim=1)


def _trunk(*, norm: bool) -> list[nn.Module]:
    """(n, 8, 16, 16) to (n, 96, 4, 4), with batch or else spectral normalisation."""
    layers: list[nn.Module] = []
    for before, after, stride in ((LATENT_CHANNELS, 48, 1), (48, 64, 2), (64, 64, 1), (64, 96, 2)):
        conv = nn.Conv2d(before, after, 3, stride=stride, padding=1)
        layers += [conv, nn.BatchNorm2d(after), nn.ReLU()] if norm else [spectral_norm(conv), nn.LeakyReLU(0.2)]
    return layers


def train_reader(latents: Tensor, labels: Tensor, trainer: Trainer, *, steps: int, batch: int = 64) -> LatentReader:
    """A classifier of noisy latents: it asks the generator for its labels."""
    torch.manual_seed(trainer.seed + 21)
    reader = LatentReader()

    def loss(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(latents), (batch,), generator=generator)
        return reader.loss(blurred(latents[rows], generator), labels[rows])

    trainer.run("reader", {"reader": reader}, loss, Schedule(steps, rate=2e-3))
    return reader.requires_grad_(requires_grad=False)


def blurred(latents: Tensor, generator: torch.Generator) -> Tensor:
    strength = 0.5 * torch.rand((len(latents), 1, 1, 1), generator=generator)
    return latents + strength * torch.randn(latents.shape, generator=generator)


def play(critic: Critic, real: tuple[Tensor, Tensor], made: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Hinge losses of the critic and of the maker, for pairs of latents and what was chosen.

    Neither player moves the other: the maker is judged by a frozen copy, the critic sees detached latents.
    """
    told = functional.relu(1 - critic(*real)).mean()
    caught = functional.relu(1 + critic(made[0].detach(), made[1])).mean()
    frozen = partial(functional_call, critic, {k: v.detach() for k, v in critic.named_parameters()})
    return told + caught, -frozen(made).mean()
