"""Finished panels on disk: a file for each, named after all that decides it."""

import hashlib
import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from outcrop.data.atomic import write_atomic
from outcrop.viz.embedding.geometry import Float64Array
from outcrop.viz.embedding.spec import AtlasSpec

FORMAT = 1


class Panel(NamedTuple):
    """Points (n, 2), and how far they can be trusted."""

    points: Float64Array
    trustworthiness: float


def identity(dataset: str, ids: Sequence[str], spec: AtlasSpec) -> str:
    """What all panels of an atlas share: the data set, the samples, the settings, the version of Outcrop."""
    settings = [spec.method, spec.neighbours, spec.components, spec.min_distance, spec.seed]
    return _digest([FORMAT, metadata.version("outcrop"), dataset, list(ids), settings])


def panel_key(shared: str, site: str, step: int, beside: Sequence[str]) -> str:
    """The name of a panel: what all share, its place, and the keys of the panels that it was turned towards."""
    return _digest([shared, site, step, list(beside)])


class PanelCache:
    """Panels by their keys in ``folder``; without one, nothing is kept.

    A file holds ``points`` and ``trustworthiness`` as safetensors; site and step stand in its JSON header.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def load(self, key: str) -> Panel | None:
        """None for a panel that is not there, or damaged: it is made again."""
        if self._folder is None:
            return None
        try:
            arrays = load_file(self._path(self._folder, key))
            return Panel(arrays["points"], float(arrays["trustworthiness"][0]))
        except (OSError, SafetensorError, KeyError, IndexError):
            return None

    def store(self, key: str, panel: Panel, **place: object) -> None:
        """Raises :class:`~outcrop.data.errors.StorageError` when the disk refuses."""
        if self._folder is None:
            return
        arrays = {"points": panel.points, "trustworthiness": np.array([panel.trustworthiness])}
        whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        write_atomic(self._path(self._folder, key), save(whole, metadata={"panel": json.dumps(place)}))

    @staticmethod
    def _path(folder: Path, key: str) -> Path:
        return folder / f"{key}.safetensors"


def _digest(facts: list[object]) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
