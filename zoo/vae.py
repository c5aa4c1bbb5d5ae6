"""``outcrop:vae``: a convolutional variational autoencoder whose latent is one vector of 48 numbers.

The decoder turns the vector into a latent of 8 x 16 x 16, and the decoder of ``outcrop:unet`` makes the picture of it;
there are no styles and no skips: whatever a picture shows passes through the 48 numbers. New pictures start from a
prior that is fitted to the vectors of the training pictures after training (ex-post density estimation, Ghosh et al.
2020): a mixture with one Gaussian for every combination of labels.
"""

from collections.abc import Sequence
from itertools import combinations, pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from outcrop.capture.modules import ModuleSource
from outcrop.zoo.choices import CHOICES, resolve
from outcrop.zoo.weights import build_decoder, build_encoder, load_weights

NAME = "outcrop:vae"
CODE = 48
CHOSEN = CHOICES[-1][1]
LATENT = CHOSEN + CODE
WIDTHS = (128, 96, 64)  # at 4 x 4, 8 x 8, 16 x 16
FEATURES = 1 + CHOSEN + sum((b - a) * (d - c) for (a, b), (c, d) in combinations(CHOICES, 2))


class Prior(nn.Module):
    """Gaussian numbers and a choice of labels to latent vectors: a mixture of one Gaussian per combination of labels.

    The mean is linear in the labels and in the products of two of them; the covariance (as its Cholesky factor) belongs
    to the style and content. Both are fitted, not trained.
    """

    def __init__(self) -> None:
        super().__init__()
        (a, b), (c, d) = CHOICES[0], CHOICES[1]
        self.means = nn.Parameter(torch.zeros(FEATURES, CODE), requires_grad=False)
        self.factors = nn.Parameter(torch.eye(CODE).repeat((b - a) * (d - c), 1, 1), requires_grad=False)

    def forward(self, resolved: Tensor) -> Tensor:
        """``resolved`` (n, 77) to vectors (n, 48)."""
        chosen, noise = resolved[:, :CHOSEN] / 2, resolved[:, CHOSEN:]
        spread = torch.einsum("nij,nj->ni", self.factors[kind_of(chosen)], noise)
        return label_features(chosen) @ self.means + spread


def label_features(chosen: Tensor) -> Tensor:
    """One-hot labels (n, 29) with a constant and all products of two labels (n, 348)."""
    parts = [chosen[:, a:b] for a, b in CHOICES]
    products = [(p[:, :, None] * q[:, None, :]).flatten(1) for p, q in combinations(parts, 2)]
    return torch.cat([torch.ones_like(chosen[:, :1]), *parts, *products], dim=1)


def kind_of(chosen: Tensor) -> Tensor:
    """Which content and style (n,), counted through."""
    (a, b), (c, d) = CHOICES[0], CHOICES[1]
    return chosen[:, a:b].argmax(1) * (d - c) + chosen[:, c:d].argmax(1)


class DecoderBlock(nn.Module):
    """Two 3 x 3 convolutions; before them the size is doubled, but for the first block."""

    def __init__(self, before: int, after: int, *, grows: bool) -> None:
        super().__init__()
        self.grows = grows
        self.conv0 = nn.Conv2d(before, after, 3, padding=1)
        self.norm0, self.norm1 = nn.GroupNorm(8, after), nn.GroupNorm(8, after)
        self.conv1 = nn.Conv2d(after, after, 3, padding=1)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        if self.grows:
            x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        x = self.act(self.norm0(self.conv0(x)))
        result: Tensor = self.act(self.norm1(self.conv1(x)))
        return result


class CompactVae(nn.Module):
    """Latents (n, 77) to pictures (n, 3, 64, 64) within [-1, 1]; :meth:`encode` is the way back to the 48 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.prior = Prior()
        self.spread = nn.Linear(CODE, WIDTHS[0] * 16)
        self.blocks = nn.ModuleList(
            DecoderBlock(before, after, grows=i > 0) for i, (before, after) in enumerate(pairwise((128, *WIDTHS)))
        )
        self.to_latent = nn.Conv2d(WIDTHS[-1], 8, 1)
        self.decoder = build_decoder()
        steps: list[nn.Module] = []
        for before, after in ((8, 64), (64, 128)):
            steps += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.GroupNorm(8, after), nn.SiLU()]
        self.body = nn.Sequential(*steps, nn.Flatten(), nn.Linear(128 * 16, 256), nn.SiLU(), nn.Linear(256, 2 * CODE))

    def forward(self, latents: Tensor, prompts: Sequence[str] = ()) -> Tensor:
        pictures: Tensor = self.decoder(self.draw(self.prior(resolve(latents, prompts))))
        return pictures

    def draw(self, codes: Tensor) -> Tensor:
        """Vectors (n, 48) to latents (n, 8, 16, 16) of the decoder."""
        x = self.spread(codes).unflatten(1, (WIDTHS[0], 4, 4))
        for block in self.blocks:
            x = block(x)
        latents: Tensor = self.to_latent(x)
        return latents

    def posterior(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance, (n, 48) each, for latents (n, 8, 16, 16)."""
        mean, log_variance = self.body(latents).chunk(2, dim=1)
        return mean, log_variance.clamp(-12, 4)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Posterior means (n, 48) of pictures (n, 3, 64, 64) within [-1, 1]."""
        return self.posterior(build_encoder()(images))[0]


def build_vae() -> CompactVae:
    """The model, untrained; its outermost encoder and decoder are those of ``outcrop:unet``."""
    return CompactVae().eval()


def source(folder: Path | None = None) -> ModuleSource:
    """``outcrop:vae`` as a source of images. Raises :class:`InputError` where no weights are shipped."""
    model = build_vae()
    load_weights(model, name=NAME, folder=folder)
    return ModuleSource(model, latent=(LATENT,), takes_prompts=True)
