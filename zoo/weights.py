"""Weights of the shipped models that are modules of this package, not pipelines: one safetensors file, float16."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from outcrop.capture.loading import quiet_loading
from outcrop.data.errors import InputError

MODELS = Path(__file__).parent / "models"
FILE = "model.safetensors"


def build_decoder() -> nn.Module:
    """The decoder of ``outcrop:unet``'s autoencoder, with its weights: (n, 8, 16, 16) to (n, 3, 64, 64) in [-1, 1]."""
    decoder: nn.Module = load_autoencoder().decoder
    return decoder


def build_encoder() -> nn.Module:
    """The encoder of ``outcrop:unet``'s autoencoder, with its weights: (n, 3, 64, 64) in [-1, 1] to (n, 8, 16, 16)."""
    encoder: nn.Module = load_autoencoder().encoder
    return encoder


def load_autoencoder() -> Any:
    """The autoencoder of ``outcrop:unet``, frozen, in float32."""
    from diffusers import AutoencoderTiny

    with quiet_loading():
        model = AutoencoderTiny.from_pretrained(MODELS / "unet", subfolder="vae", dtype=torch.float32)
    return model.eval().requires_grad_(requires_grad=False)


def load_weights(model: nn.Module, *, name: str, folder: Path | None = None) -> None:
    """Read the weights into ``model``, as float32. Raises :class:`InputError` where ``folder`` (that of the shipped
    models when it is left out) has none.
    """
    from safetensors.torch import load_file

    path = (folder or MODELS / name.partition(":")[2]) / FILE
    if not path.is_file():
        raise InputError(f"No weights are shipped for {name!r}: there is no {path}. 'make train-zoo' trains them.")
    model.load_state_dict({key: _wide(value) for key, value in load_file(path).items()})


def save_weights(model: nn.Module, folder: Path) -> None:
    """Write the weights of ``model`` as float16."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in model.state_dict().items()},
        folder / FILE,
    )


def _wide(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value
