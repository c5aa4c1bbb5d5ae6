"""Donor activations from a captured data set, in the place of a second pass."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from outcrop.capture.guidance import Part
from outcrop.capture.sites import Site
from outcrop.data.dataset import Dataset, open_dataset
from outcrop.data.errors import InputError


@dataclass(frozen=True)
class Donation:
    """A site's activations of ``rows`` of a data set; ``steps`` are its recorded steps by the study's."""

    dataset: Dataset
    site: str
    rows: tuple[int, ...]
    steps: dict[int, int]

    def at(self, step: int, part: Part) -> Tensor:
        """(n, *feature)."""
        values = self.dataset.activations(self.site, step=self.steps[step])[list(self.rows)]
        if self.dataset.info.half == "both":
            values = values[:, int(part == "cond")]
        return torch.from_numpy(np.asarray(values, np.float32))

    def of(self, pairs: Sequence[int]) -> "Donation":
        """The donors of some of the pairs."""
        return Donation(self.dataset, self.site, tuple(self.rows[pair] for pair in pairs), self.steps)


def open_donation(
    folder: str, site: Site, samples: Sequence[str], *, timesteps: Sequence[float], parts: frozenset[Part]
) -> Donation:
    """``samples`` are ids; ``timesteps`` are those of the study's steps that are written, by step.

    Raises :class:`InputError` for a data set that does not hold the site in full, the samples, a step, or a half.
    """
    ds = open_dataset(folder)
    stored = {known.name: known.shape for known in ds.info.sites}
    if stored.get(site.name, ())[-len(site.shape) :] != site.shape:
        raise InputError(f"{folder} does not hold {site.name} of shape {site.shape}: capture it with reduction full.")
    known = {name: row for row, name in enumerate(ds.samples.index)}
    missing = [name for name in samples if name not in known]
    if missing:
        raise InputError(f"{folder} has no sample {missing[0]!r}. Its first is {ds.samples.index[0]!r}.")
    if ds.info.half != "both" and parts != {ds.info.half}:
        raise InputError(f"{folder} holds the {ds.info.half} half alone. Patch half={ds.info.half!r}, or record both.")
    recorded = {float(timestep): int(step) for step, timestep in ds.steps["timestep"].items()}  # type: ignore[call-overload]  # pandas types an index as Hashable
    steps = {step: recorded.get(float(timestep), -1) for step, timestep in enumerate(timesteps)}
    return Donation(ds, site.name, tuple(known[name] for name in samples), steps)
