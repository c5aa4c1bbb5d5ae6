"""What a report is on: a data set, the table of its probes, and what else is known of the model."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.data.errors import InputError
from outcrop.viz import site_names
from outcrop.viz.embedding.atlas import Atlas
from outcrop.viz.grid import PropertyGrid, property_grid
from outcrop.viz.inputs import HasFrame, HasSamples, choose_properties, read_frame
from outcrop.viz.page_samples import spaced_samples
from outcrop.viz.report_effects import HasEffects, HasStudy
from outcrop.viz.report_figures import Picture, probe_pictures


@dataclass(frozen=True)
class Exhibit:
    """One data set of a report, with the table of its probes, and what else is known of the model.

    ``effects`` of interventions on the model, the ``study`` they were read from, for its pictures; ``atlas``: maps of
    the samples to show instead of principal components, where it has them.
    """

    ds: HasSamples
    table: HasFrame | pd.DataFrame
    effects: HasEffects | None = None
    study: HasStudy | None = None
    atlas: Atlas | None = None

    @cached_property
    def frame(self) -> pd.DataFrame:
        return read_frame(self.table)

    @cached_property
    def grids(self) -> list[PropertyGrid]:
        return [property_grid(self.frame, name) for name in choose_properties(self.frame, None)]

    @cached_property
    def names(self) -> dict[str, str]:
        """A short name for every site."""
        return site_names.short_site_names(self.grids[0].sites)

    @cached_property
    def pictures(self) -> list[Picture]:
        """The static figures of the probes."""
        return probe_pictures(self.table, self.grids, self.names)

    def places(self, most: int) -> NDArray[np.int64]:
        """Positions of the samples that a page shows: those of the atlas, or at most ``most``, evenly spaced.

        Raises ``InputError`` for an atlas of another data set.
        """
        if self.atlas is None:
            return spaced_samples(self.ds, most)
        if self.atlas.dataset != self.ds.uuid:
            raise InputError(f"expected an atlas of the data set {self.ds.uuid}; got one of {self.atlas.dataset}.")
        places = self.ds.samples.index.get_indexer(pd.Index(self.atlas.sample_ids)).astype(np.int64)
        if (places < 0).any():
            raise InputError("expected an atlas of samples that are in the data set; some are not. Make it anew.")
        return places

    @property
    def title(self) -> str:
        name = str(getattr(self.ds, "name", ""))
        return f"{self.ds.info.model} ({name})" if name else self.ds.info.model

    @property
    def verdicts(self) -> NDArray[np.int8] | None:
        """Of each row of the table and each sample 1 where the probe named it rightly, 0 where not, -1 where not asked.

        None where the table does not remember it, or remembers other samples.
        """
        outcomes = getattr(self.table, "outcomes", None)
        right: NDArray[np.int8] | None = None if outcomes is None else outcomes.right
        return right if right is not None and right.shape[1] == len(self.ds.samples) else None
