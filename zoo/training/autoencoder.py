"""Train the autoencoder: 64 x 64 x 3 pictures to whitened 16 x 16 x 8 latents."""

import torch
from diffusers import AutoencoderTiny
from torch import Tensor, nn
from torch.nn import functional

from outcrop.zoo.scenes import LAYOUTS, Scene
from outcrop.zoo.training.data import SceneSet
from outcrop.zoo.training.loop import LossFunction, Schedule, Trainer

LATENT_CHANNELS = 8
WIDTH = 32
WHOLE_PICTURES = 0.25
BLOCKS = (1, 1, 1)


def build_autoencoder() -> AutoencoderTiny:
    return AutoencoderTiny(
        encoder_block_out_channels=(WIDTH,) * len(BLOCKS),
        decoder_block_out_channels=(WIDTH,) * len(BLOCKS),
        num_encoder_blocks=BLOCKS,
        num_decoder_blocks=BLOCKS[::-1],
        latent_channels=LATENT_CHANNELS,
        scaling_factor=1.0,
    )


def train_autoencoder(data: SceneSet[Scene], trainer: Trainer, *, steps: int) -> AutoencoderTiny:
    """Train, whiten the latents, and let the decoder settle on slightly noisy ones. Returns the model in eval mode."""
    torch.manual_seed(trainer.seed)
    model = build_autoencoder()
    trainer.run(
        "autoencoder", {"model": model}, _loss(model, data, noise=0.0), Schedule(steps, rate=2e-3, decay_from=0.5)
    )
    whiten(model, data.images[:2048])
    model.encoder.requires_grad_(requires_grad=False)
    settle = Schedule(steps // 5, rate=3e-4, matrix_rate=0.005, decay_from=0.2)
    trainer.run("decoder", {"decoder": model.decoder}, _loss(model, data, noise=0.1), settle)
    return model.eval()


def _loss(model: AutoencoderTiny, data: SceneSet[Scene], *, noise: float) -> LossFunction:
    """L1 and L2 on pixels, L1 on their differences (which keeps strokes sharp)."""
    cells = torch.tensor([divmod(LAYOUTS.index(scene.layout), 3) for scene in data.scenes])

    def loss(generator: torch.Generator) -> Tensor:
        pixels = to_signed(_draw(data.images, cells, generator))
        latents = model.encode(pixels).latents
        latents = latents + noise * torch.randn(latents.shape, generator=generator)
        error: Tensor = model.decode(latents).sample - pixels
        slopes = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
        return error.abs().mean() + 0.5 * slopes + error.square().mean()

    return loss


def _draw(images: Tensor, cells: Tensor, generator: torch.Generator) -> Tensor:
    """Mostly 24 pieces of 32 x 32 around the object, where the strokes are; every fourth time 6 whole pictures."""
    if torch.rand((), generator=generator) < WHOLE_PICTURES:
        return images[torch.randint(len(images), (6,), generator=generator)]
    rows = torch.randint(len(images), (24,), generator=generator)
    shift = torch.randint(-6, 7, (24, 2), generator=generator)
    corners = (cells[rows] * 18 - 2 + shift).clamp(0, 32).tolist()
    places = zip(rows.tolist(), corners, strict=True)
    return torch.stack([images[row, :, y : y + 32, x : x + 32] for row, (y, x) in places])


def to_signed(images: Tensor) -> Tensor:
    return images.float() / 127.5 - 1


@torch.no_grad()
def encode(model: AutoencoderTiny, images: Tensor, *, batch: int = 64) -> Tensor:
    """Latents (n, 8, 16, 16) of uint8 images (n, 3, 64, 64)."""
    return torch.cat([model.encode(to_signed(part)).latents for part in images.split(batch)])


@torch.no_grad()
def whiten(model: AutoencoderTiny, images: Tensor) -> None:
    """Fold 'centre and scale each latent channel' into the last encoder and the first decoder convolution.

    The decoder's soft clamp at +-3 comes before its first convolution, so it has to settle afterwards.
    """
    latents = encode(model, images)
    mean, std = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    last, first = model.encoder.layers[-1], model.decoder.layers[0]
    assert isinstance(last, nn.Conv2d)
    assert isinstance(first, nn.Conv2d)
    assert last.bias is not None
    assert first.bias is not None
    first.bias += first.weight.sum((2, 3)) @ mean
    first.weight *= std[None, :, None, None]
    last.bias -= mean
    last.weight /= std[:, None, None, None]
    last.bias /= std


@torch.no_grad()
def psnr(model: AutoencoderTiny, images: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of reconstructions of uint8 images."""
    decoded = torch.cat([model.decode(part).sample for part in encode(model, images).split(64)]).clamp(-1, 1)
    return float(-10 * torch.log10(functional.mse_loss(decoded, to_signed(images)) / 4))
