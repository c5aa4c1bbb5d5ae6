"""CLIP as a readout: the class whose description lies nearest to the picture (Radford et al. 2021, section 3.1)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from outcrop.attribution.readouts import Features, FloatArray, Images, check_images
from outcrop.data.errors import InputError

BATCH = 64


class ClipZeroShot:
    """Zero-shot classes by CLIP. ``descriptions``: per property the text that stands for each class, as in
    ``{"style": {"flat": "a flat drawing", "neon": "a neon sign"}}``.

    Raises :class:`InputError` for a property with fewer than two classes.
    """

    def __init__(self, model: Any, processor: Any, descriptions: Mapping[str, Mapping[str, str]]) -> None:
        few = [name for name, texts in descriptions.items() if len(texts) < 2]
        if few or not descriptions:
            raise InputError(f"A property needs descriptions of at least two classes. Too few: {few or 'no property'}.")
        self._model, self._processor = model.eval(), processor
        self.classes: Mapping[str, tuple[str, ...]] = {name: tuple(texts) for name, texts in descriptions.items()}
        self._texts = {name: self._text_features(list(texts.values())) for name, texts in descriptions.items()}

    @classmethod
    def load(
        cls, location: str, descriptions: Mapping[str, Mapping[str, str]], *, device: str = "cpu", offline: bool = True
    ) -> "ClipZeroShot":
        """From a folder, or a hub id whose files are in the local cache (``offline=False``: also fetched).

        Raises :class:`InputError` if the weights are not there.
        """
        if location.startswith((".", "/", "~")) and not Path(location).is_dir():
            raise InputError(f"There is no folder {location} with the weights of CLIP.")
        from transformers import CLIPModel, CLIPProcessor

        try:
            model = CLIPModel.from_pretrained(location, local_files_only=offline, use_safetensors=True)
            processor = CLIPProcessor.from_pretrained(location, local_files_only=offline)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"CLIP could not be loaded from {location!r}: {reason} Give a folder with its weights in safetensors."
            ) from error
        return cls(model.to(device), processor, descriptions)

    @torch.no_grad()
    def probabilities(self, images: Images) -> dict[str, FloatArray]:
        pictures = torch.from_numpy(self.embed(images)).to(self._model.device)
        scale = self._model.logit_scale.exp()
        return {
            name: (scale * pictures @ texts.T).double().softmax(1).cpu().numpy() for name, texts in self._texts.items()
        }

    @torch.no_grad()
    def embed(self, images: Images) -> Features:
        """Unit vectors (n, d) of the pictures."""
        check_images(images)
        parts = []
        for start in range(0, len(images), BATCH):
            pixels = self._processor.image_processor(images=list(images[start : start + BATCH]), return_tensors="pt")
            output = self._model.get_image_features(pixel_values=pixels["pixel_values"].to(self._model.device))
            parts.append(_unit(output).cpu().numpy())
        return np.concatenate(parts)

    @torch.no_grad()
    def _text_features(self, texts: list[str]) -> Tensor:
        tokens = self._processor.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        return _unit(self._model.get_text_features(**tokens.to(self._model.device)))


def _unit(output: Any) -> Tensor:
    """Rows of length 1. transformers 5 wraps the features, older versions give the tensor itself."""
    tensor: Tensor = getattr(output, "pooler_output", output)
    return torch.nn.functional.normalize(tensor, dim=1)
