"""Labellers that run a network of ``transformers``: classifiers, zero-shot CLIP, detectors. Local folders or hub ids.

Weights are read as safetensors only, and no code that comes with a model is run.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from outcrop.data.errors import InputError
from outcrop.data.label_writer import provenance
from outcrop.data.labellers import Pixels, Reading
from outcrop.data.maps import map_from_mask


class _NetworkLabeller:
    """What the three share: the model and its processor, loaded when they are first needed."""

    architecture = ""

    def __init__(self, model: str, *, name: str, device: str = "cpu", least: float = 0.0) -> None:
        self.model, self.name, self.device, self.least = model, name, device, least

    @property
    def provenance(self) -> Mapping[str, Any]:
        shown = Path(self.model).name if Path(self.model).exists() else self.model
        return provenance(
            type(self).__name__, "torch", "transformers", model=shown, least=self.least, **self._settings()
        )

    def _settings(self) -> dict[str, Any]:
        return {"weights": self._fingerprint}

    @cached_property
    def _fingerprint(self) -> str:
        """Of the weights as they are loaded."""
        import hashlib

        digest = hashlib.sha256()
        for name, tensor in sorted(self._network.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().float().numpy().tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def _network(self) -> Any:
        import transformers

        try:
            kind = getattr(transformers, self.architecture)
            network = kind.from_pretrained(self.model, use_safetensors=True, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{self.model} does not load as {self.architecture}: {error}") from error
        return network.to(self.device).eval()

    @cached_property
    def _processor(self) -> Any:
        from transformers import AutoImageProcessor

        try:
            return AutoImageProcessor.from_pretrained(self.model, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{self.model} has no image processor: {error}") from error

    def _inputs(self, pixels: Pixels) -> Any:
        return self._processor(images=list(pixels), return_tensors="pt").to(self.device)


class ClassifierLabeller(_NetworkLabeller):
    """The class of highest probability by an image classifier; unknown below ``least``."""

    architecture = "AutoModelForImageClassification"

    def __init__(self, model: str, *, property_name: str = "class", name: str = "classifier", **options: Any) -> None:
        super().__init__(model, name=name, **options)
        self.property_name = property_name

    def label(self, pixels: Pixels) -> Mapping[str, Reading]:
        import torch

        with torch.no_grad():
            probabilities = self._network(**self._inputs(pixels)).logits.float().softmax(-1).cpu().numpy()
        names = [self._network.config.id2label[k] for k in range(probabilities.shape[1])]
        return {self.property_name: _best(probabilities, names, self.least)}


class ZeroShotLabeller(_NetworkLabeller):
    """The text that fits a picture best, by CLIP or a kin of it: ``texts`` are filled into ``template``."""

    architecture = "AutoModel"

    def __init__(
        self,
        model: str,
        property_name: str,
        texts: Sequence[str],
        *,
        template: str = "a picture of {}",
        name: str = "clip",
        **options: Any,
    ) -> None:
        super().__init__(model, name=name, **options)
        if len(set(texts)) < 2 or "{}" not in template:
            raise InputError(f"Zero-shot labels need two texts or more, and {{}} in the template. Got {list(texts)}.")
        self.property_name, self.texts, self.template = property_name, tuple(texts), template

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"texts": list(self.texts), "template": self.template}

    @cached_property
    def _tokens(self) -> Any:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(self.model, trust_remote_code=False)
        sentences = [self.template.format(text) for text in self.texts]
        return tokenizer(sentences, padding=True, return_tensors="pt").to(self.device)

    def label(self, pixels: Pixels) -> Mapping[str, Reading]:
        import torch

        with torch.no_grad():
            logits = self._network(**self._tokens, **self._inputs(pixels)).logits_per_image
        return {self.property_name: _best(logits.float().softmax(-1).cpu().numpy(), self.texts, self.least)}


class DetectorLabeller(_NetworkLabeller):
    """What an object detector finds, boxes below ``least`` left out: the class of the surest object (``object``), how
    many there are (``objects``), and a map of ``grid`` x ``grid`` cells, each with the class that covers most of it
    (``object_map``).
    """

    architecture = "AutoModelForObjectDetection"

    def __init__(
        self, model: str, *, grid: int = 8, name: str = "detector", least: float = 0.5, **options: Any
    ) -> None:
        super().__init__(model, name=name, least=least, **options)
        self.grid = grid

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"grid": self.grid}

    def label(self, pixels: Pixels) -> Mapping[str, Reading]:
        import torch

        size = pixels.shape[1:3]
        with torch.no_grad():
            found = self._processor.post_process_object_detection(
                self._network(**self._inputs(pixels)), threshold=self.least, target_sizes=[size] * len(pixels)
            )
        names = self._network.config.id2label
        classes = ("background", *(names[k] for k in range(len(names))))
        surest = [names[int(one["labels"][one["scores"].argmax()])] if len(one["scores"]) else "" for one in found]
        maps = [self._map(one, size, len(classes)) for one in found]
        return {
            "object": Reading(np.array(surest, dtype=object)),
            "objects": Reading(np.array([len(one["scores"]) for one in found], dtype=np.int64)),
            "object_map": Reading(np.stack(maps), classes),
        }

    def _map(self, found: Mapping[str, Any], size: tuple[int, int], classes: int) -> Any:
        """The surest box lies on top."""
        mask = np.zeros(size, np.int64)
        for place in found["scores"].argsort():
            x0, y0, x1, y1 = (max(round(float(edge)), 0) for edge in found["boxes"][place])
            mask[y0:y1, x0:x1] = int(found["labels"][place]) + 1
        return map_from_mask(mask, self.grid, classes=classes)


def _best(probabilities: Any, names: Sequence[str], least: float) -> Reading:
    best = probabilities.argmax(1)
    sure = probabilities.max(1) >= least
    return Reading(np.where(sure, np.array(names, dtype=object)[best], ""))
