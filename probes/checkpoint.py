"""The finished cells of a sweep on disk, so that it goes on where it was stopped."""

import dataclasses
import hashlib
import json
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from outcrop.data.atomic import write_atomic
from outcrop.data.errors import DataError
from outcrop.probes.cells import Fitted
from outcrop.probes.features import Recording
from outcrop.probes.logistic import CellFit, LinearWeights
from outcrop.probes.metrics import Metrics
from outcrop.probes.plan import Plan

PREFIX = "unfinished-"
COMPOSED = ("metrics", "weights")
"""Fields of a fit that are no single array."""


class Checkpoint:
    """A file for each finished cell, in a folder inside ``folder`` that is named after the sweep.

    A sweep is its plan, its samples and the version of Outcrop: one that differs in any of them starts anew.
    """

    def __init__(self, folder: Path, plan: Plan, recording: Recording) -> None:
        self._folder = folder / f"{PREFIX}{_identity(plan, recording)}"

    def has(self, number: int) -> bool:
        return self._path(number).exists()

    def load(self, number: int) -> Fitted:
        """What became of cell ``number``. Raises :class:`DataError` for a damaged file."""
        path = self._path(number)
        try:
            return _from_arrays(load_file(path))
        except (OSError, SafetensorError, KeyError, TypeError) as error:
            raise DataError(f"{path} is damaged: {error}. Remove it, and run `outcrop probe` again.") from error

    def store(self, number: int, fitted: Fitted) -> None:
        """Raises :class:`~outcrop.data.errors.StorageError` when the disk refuses."""
        write_atomic(self._path(number), save(_to_arrays(fitted)))

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.safetensors"


def remove_unfinished(folder: Path) -> None:
    """Remove the finished cells that sweeps have left in ``folder``."""
    for left in folder.glob(f"{PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)


def _identity(plan: Plan, recording: Recording) -> str:
    digest = hashlib.sha256()
    facts = [recording.uuid, metadata.version("outcrop"), plan.cells, dataclasses.asdict(plan.spec)]
    digest.update(json.dumps([*facts, list(map(str, recording.samples.index))], sort_keys=True).encode())
    for target in plan.targets:
        digest.update(json.dumps([target.name, target.classes]).encode() + target.codes.tobytes())
    for fold in plan.splits.folds:
        digest.update(fold.train.tobytes() + fold.test.tobytes())
    return digest.hexdigest()[:16]


def _to_arrays(fitted: Fitted) -> dict[str, NDArray[np.generic]]:
    fit = fitted.fit
    arrays: dict[str, NDArray[np.generic]] = {"width": np.array([fitted.width]), "surprise": fitted.surprise}
    for field in dataclasses.fields(fit):
        if field.name not in COMPOSED:
            arrays[field.name] = np.ascontiguousarray(getattr(fit, field.name))
    arrays["metrics"] = np.array([dataclasses.astuple(own) for own in fit.metrics])
    for number, weights in enumerate(fit.weights):
        arrays[f"coef/{number}"], arrays[f"intercept/{number}"] = weights.coef, weights.intercept
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _from_arrays(arrays: dict[str, Any]) -> Fitted:
    simple = {f.name: arrays[f.name] for f in dataclasses.fields(CellFit) if f.name not in COMPOSED}
    metrics = tuple(Metrics(*map(float, row)) for row in arrays["metrics"])
    weights = tuple(LinearWeights(arrays[f"coef/{n}"], arrays[f"intercept/{n}"]) for n in range(len(metrics)))
    fit = CellFit(metrics=metrics, weights=weights, **simple)
    return Fitted(fit, int(arrays["width"][0]), arrays["surprise"])
