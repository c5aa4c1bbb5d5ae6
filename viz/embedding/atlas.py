"""The result: a map of the same samples at every site and step."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.data.errors import InputError
from outcrop.data.patterns import near_misses
from outcrop.viz.embedding.spec import AtlasSpec
from outcrop.viz.grid import StepAxis


@dataclass(frozen=True)
class Atlas:
    """Where each sample lies at each site and step; panels beside each other are turned alike.

    ``coordinates`` (site, step, sample, 2), float32: each panel centred, with a root mean square distance of 1 from its
    centre. ``trustworthiness`` (site, step): the share of neighbours in the plane that are neighbours at the site, too,
    from 0 to 1 (Venna and Kaski 2001); NaN where a site tells no samples apart. ``sites`` are in execution order, the
    steps of ``axis`` from noisy to clean, the rows of ``samples`` (prompt, seed, image, labels; indexed by id) in the
    order of the points.
    """

    dataset: str
    spec: AtlasSpec
    sites: tuple[str, ...]
    axis: StepAxis
    samples: pd.DataFrame
    label_names: tuple[str, ...]
    coordinates: NDArray[np.float32]
    trustworthiness: NDArray[np.float64]

    @property
    def steps(self) -> tuple[int, ...]:
        """The indices of the steps, in the order of the panels."""
        return self.axis.steps

    @property
    def sample_ids(self) -> tuple[str, ...]:
        return tuple(str(name) for name in self.samples.index)

    @property
    def labels(self) -> pd.DataFrame:
        """The labels of the samples."""
        return self.samples[list(self.label_names)]

    def at(self, site: str, step: int) -> NDArray[np.float32]:
        """The points (sample, 2) of one panel. Raises :class:`InputError` for a site or step that is not there."""
        points: NDArray[np.float32] = self.coordinates[self.place(site, step)]
        return points

    def place(self, site: str, step: int) -> tuple[int, int]:
        """Where a panel stands in the arrays. Raises :class:`InputError` for a site or step that is not there."""
        if site not in self.sites:
            raise InputError(f"The atlas has no site {site!r}.{near_misses(site, self.sites)}")
        if step not in self.steps:
            raise InputError(f"The atlas has no step {step}. It has {', '.join(map(str, sorted(self.steps)))}.")
        return self.sites.index(site), self.steps.index(step)

    def property_values(self, name: str) -> pd.Series:
        """A label of the samples. Raises :class:`InputError`, naming near misses, for one that is not there."""
        if name not in self.label_names:
            raise InputError(f"The atlas has no property {name!r}.{near_misses(str(name), self.label_names)}")
        return self.samples[name]
