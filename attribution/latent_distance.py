"""Distance in the latent of an autoencoder: a perceptual distance that needs no weights but the generator's own."""

from typing import Any

import numpy as np
import torch

from outcrop.attribution.readouts import Features, FloatArray, Images, check_images

BATCH = 64


class LatentDistance:
    """Root mean square difference of the latents that ``encoder`` (a diffusers autoencoder) makes of two pictures."""

    name = "latent"

    def __init__(self, encoder: Any, *, least: float = 0.05) -> None:
        self._encoder, self.least = encoder.eval(), least

    @torch.no_grad()
    def describe(self, images: Images) -> Features:
        """Latents (n, d)."""
        check_images(images)
        parameter = next(self._encoder.parameters())
        parts = []
        for start in range(0, len(images), BATCH):
            pixels = torch.from_numpy(np.array(images[start : start + BATCH])).permute(0, 3, 1, 2)
            output = self._encoder.encode(pixels.to(parameter.device, parameter.dtype) / 127.5 - 1)
            latents = output.latents if hasattr(output, "latents") else output.latent_dist.mode()
            parts.append(latents.flatten(1).float().cpu().numpy())
        return np.concatenate(parts)

    def distance(self, features: Features, others: Features) -> FloatArray:
        distance: FloatArray = np.sqrt(np.square(features.astype(np.float64) - others).mean(1))
        return distance
