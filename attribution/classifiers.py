"""Any torch module or scikit-learn estimator as a readout."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from outcrop.attribution.readouts import Features, FloatArray, Images, check_images
from outcrop.data.errors import InputError

BATCH = 256


class TorchClassifier:
    """A module from pixels (n, 3, height, width) to logits: a mapping per property, or one tensor for a single one.

    ``classes``: names of the classes of each property, in the order of the logits. ``prepare`` turns pixels in [0, 1]
    into what the module was trained on. The shipped oracle: ``TorchClassifier(load_oracle(), oracle.classes)``.
    """

    def __init__(
        self,
        module: nn.Module,
        classes: Mapping[str, Sequence[str]],
        *,
        prepare: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self._module, self._prepare = module.eval(), prepare
        self.classes: Mapping[str, tuple[str, ...]] = {name: tuple(names) for name, names in classes.items()}
        self._device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))

    @torch.no_grad()
    def probabilities(self, images: Images) -> dict[str, FloatArray]:
        """See :class:`Classifier`. Raises :class:`InputError` where the logits do not fit ``classes``."""
        check_images(images)
        parts: dict[str, list[FloatArray]] = {name: [] for name in self.classes}
        for start in range(0, len(images), BATCH):
            for name, logits in self._logits(images[start : start + BATCH]).items():
                parts[name].append(logits.double().softmax(1).cpu().numpy())
        return {name: np.concatenate(found) for name, found in parts.items()}

    def _logits(self, images: Images) -> dict[str, Tensor]:
        pixels = torch.from_numpy(np.array(images)).to(self._device).permute(0, 3, 1, 2).float() / 255
        output = self._module(pixels if self._prepare is None else self._prepare(pixels))
        named = dict(output) if isinstance(output, Mapping) else {next(iter(self.classes)): output}
        for name, names in self.classes.items():
            if name not in named or named[name].shape != (len(images), len(names)):
                found = {key: tuple(value.shape) for key, value in named.items()}
                raise InputError(
                    f"{type(self._module).__name__} must put out logits ({len(images)}, {len(names)}) for {name!r}. "
                    f"Got {found}."
                )
        return {name: named[name] for name in self.classes}


class SklearnClassifier:
    """Fitted scikit-learn classifiers, one per property, on ``features`` of the pictures.

    ``features``: from pictures (n, height, width, 3) to (n, d); left out, the pixels in [0, 1], flattened.
    """

    def __init__(self, estimators: Mapping[str, Any], *, features: Callable[[Images], Features] | None = None) -> None:
        for name, estimator in estimators.items():
            if not hasattr(estimator, "predict_proba") or not hasattr(estimator, "classes_"):
                raise InputError(
                    f"The estimator of {name!r} must be fitted and have predict_proba. Got {type(estimator).__name__}; "
                    "wrap it in sklearn.calibration.CalibratedClassifierCV if it has none."
                )
        self._estimators, self._features = dict(estimators), features or _pixels
        self.classes: Mapping[str, tuple[str, ...]] = {
            name: tuple(str(value) for value in estimator.classes_) for name, estimator in estimators.items()
        }

    def probabilities(self, images: Images) -> dict[str, FloatArray]:
        features = self._features(check_images(images))
        return {
            name: np.asarray(estimator.predict_proba(features), dtype=np.float64)
            for name, estimator in self._estimators.items()
        }


def _pixels(images: Images) -> Features:
    return images.reshape(len(images), -1) / np.float32(255)
