"""Latents of the training pictures, encoded once: it takes minutes."""

from pathlib import Path

from diffusers import AutoencoderTiny
from safetensors.torch import load_file, save_file
from torch import Tensor

from outcrop.zoo.training.autoencoder import encode
from outcrop.zoo.training.data import draw_scene_set
from outcrop.zoo.weights import load_autoencoder


def cached_latents(model: AutoencoderTiny, images: Tensor, cache: Path) -> Tensor:
    """Latents (n, 8, 16, 16) of uint8 images (n, 3, 64, 64), kept in the file ``cache`` for a run that goes on."""
    if not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        save_file({"latents": encode(model, images)}, cache)
    return load_file(cache)["latents"]


def scene_latents(n: int, *, seed: int, folder: Path) -> Tensor:
    """The latents of ``draw_scenes(n, seed=seed)`` by the shipped autoencoder, kept in ``folder``."""
    cache = folder / f"scenes-{n}-{seed}.safetensors"
    if cache.exists():
        return load_file(cache)["latents"]
    return cached_latents(load_autoencoder(), draw_scene_set(n, seed=seed).images, cache)
