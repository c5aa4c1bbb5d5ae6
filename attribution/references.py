"""What a site puts out on average, over the pictures of a study: the reference of mean and noise ablations."""

import numpy as np
import torch
from numpy.typing import NDArray

from outcrop.attribution.edits import Moment, Reference
from outcrop.attribution.pairs import as_sample
from outcrop.attribution.prepare import Study
from outcrop.capture.guidance import Half
from outcrop.capture.hooks import Recorder
from outcrop.capture.reduction import Reduction
from outcrop.capture.sites import Site

SAMPLES_AT_ONCE = 8
"""Whole activations of all steps lie in memory for so many samples."""


def collect_references(study: Study) -> dict[str, Reference]:
    """Means and standard deviations over all donors and receivers, for the sites that are asked for."""
    wanted = {action.site for cell in study.cells for action in cell.actions if action.needs_reference}
    sites = [site for site in study.sites if site in wanted]
    if not sites:
        return {}
    sides = [side for pair in study.pairs for side in (pair.donor, pair.receiver)]
    half: Half = "both" if len(study.parts) > 1 else study.parts[0]
    recorder = Recorder(
        study.model,
        sites,
        steps=range(study.moments),
        reduction=Reduction("full"),
        dtype="float32",
        half=half,
        layout=study.layout,
    )
    sums = [_Sums() for _ in sites]
    with recorder:
        for first in range(0, len(sides), SAMPLES_AT_ONCE):
            batch = [as_sample(side) for side in sides[first : first + SAMPLES_AT_ONCE]]
            recorder.begin(len(batch))
            study.source.generate(batch, steps=study.spec.steps, guidance=study.guidance, **study.spec.size)
            values = recorder.take()
            for site, total in zip(sites, sums, strict=True):
                total.add(values[site.name].astype(np.float64))
    return {site.name: _reference(study, site, total) for site, total in zip(sites, sums, strict=True)}


class _Sums:
    """Running sums over samples of (step, sample, ...)."""

    def __init__(self) -> None:
        self.count, self.first, self.second = 0, np.zeros(()), np.zeros(())

    def add(self, values: NDArray[np.float64]) -> None:
        self.count += values.shape[1]
        self.first = self.first + values.sum(1)
        self.second = self.second + (values**2).sum(1)


def _reference(study: Study, site: Site, sums: _Sums) -> Reference:
    mean = sums.first / sums.count
    deviation = np.sqrt(np.maximum(sums.second / sums.count - mean**2, 0))
    shape = (study.moments, len(study.parts), *site.shape)
    means, deviations = (torch.from_numpy(part.reshape(shape)).float() for part in (mean, deviation))
    moments = [(step, place) for step in range(study.moments) for place in range(len(study.parts))]

    def by_moment(values: torch.Tensor) -> dict[Moment, torch.Tensor]:
        return {Moment(step, study.parts[place]): values[step, place] for step, place in moments}

    return Reference(by_moment(means), by_moment(deviations))
