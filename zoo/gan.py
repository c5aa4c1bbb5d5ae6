"""``outcrop:gan``: a style-based generator with a mapping network and a style per layer (Karras et al. 2019, 2020).

A latent of 64 Gaussian numbers settles everything about a picture. Its first 29 choose the labels: the largest of eight
the content, of six the style, of nine the layout, of six the colour. Where a prompt names a label, the prompt decides.
The mapping network turns the choice and the other 35 numbers into one vector ``w``; every layer of the synthesis
network reads its style from ``w``. The synthesis makes a latent of 8 x 16 x 16, and the decoder of ``outcrop:unet`` the
picture.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from outcrop.capture.modules import ModuleSource
from outcrop.zoo.choices import resolve
from outcrop.zoo.weights import build_decoder, load_weights

NAME = "outcrop:gan"
LATENT = 64
STYLE_WIDTH = 128
WIDTHS = (128, 128, 128, 96, 96, 64, 64)  # two layers at 4 x 4, two at 8 x 8, two at 16 x 16


class ModulatedConv(nn.Module):
    """A 3 x 3 convolution whose input channels are scaled by a style, its output kept at unit variance.

    Equations 1 to 3 of Karras et al. 2020, with the scales on the activations in place of the kernels: equal, and one
    convolution for the whole batch.
    """

    def __init__(self, before: int, after: int, *, size: int = 3, demodulate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, size, size) / (before * size * size) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(after))
        self.style = nn.Linear(STYLE_WIDTH, before)
        nn.init.ones_(self.style.bias)
        self.demodulate = demodulate

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """``x`` (n, before, h, w), ``w`` (n, 128) to (n, after, h, w)."""
        scale = self.style(w)
        y = functional.conv2d(x * scale[..., None, None], self.weight, padding="same")
        if self.demodulate:
            power = scale.square() @ self.weight.square().sum((2, 3)).T
            y = y * (power + 1e-8).rsqrt()[..., None, None]
        return y + self.bias[:, None, None]


class StyledLayer(nn.Module):
    """A modulated convolution and its activation; where it ``grows``, the size is doubled before it."""

    def __init__(self, before: int, after: int, *, grows: bool) -> None:
        super().__init__()
        self.grows = grows
        self.conv = ModulatedConv(before, after)
        self.act = nn.LeakyReLU(0.2)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        if self.grows:
            x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        result: Tensor = self.act(self.conv(x, w)) * 2**0.5
        return result


class StyleGenerator(nn.Module):
    """Latents (n, 64) to pictures (n, 3, 64, 64) within [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        widths = (LATENT, STYLE_WIDTH, STYLE_WIDTH, STYLE_WIDTH)
        layers = [m for a, b in pairwise(widths) for m in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
        self.mapping = nn.Sequential(*layers)
        self.constant = nn.Parameter(torch.randn(1, WIDTHS[0], 4, 4))
        self.layers = nn.ModuleList(
            StyledLayer(before, after, grows=i in {2, 4}) for i, (before, after) in enumerate(pairwise(WIDTHS))
        )
        self.to_latent = ModulatedConv(WIDTHS[-1], 8, size=1, demodulate=False)
        self.decoder = build_decoder()

    def forward(self, latents: Tensor, prompts: Sequence[str] = ()) -> Tensor:
        pictures: Tensor = self.decoder(self.synthesise(self.mapping(resolve(latents, prompts))))
        return pictures

    def synthesise(self, w: Tensor) -> Tensor:
        """Styles (n, 128) to latents (n, 8, 16, 16) of the decoder."""
        x = self.constant.expand(len(w), -1, -1, -1)
        for layer in self.layers:
            x = layer(x, w)
        image: Tensor = self.to_latent(x, w)
        return image


def build_gan() -> StyleGenerator:
    """The generator, untrained; its decoder is that of ``outcrop:unet``."""
    return StyleGenerator().eval()


def source(folder: Path | None = None) -> ModuleSource:
    """``outcrop:gan`` as a source of images. Raises :class:`InputError` where no weights are shipped."""
    model = build_gan()
    load_weights(model, name=NAME, folder=folder)
    return ModuleSource(model, latent=(LATENT,), takes_prompts=True)
