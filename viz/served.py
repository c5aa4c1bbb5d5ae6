"""One data set of a page that is served: what the page knows at the start, and what it asks for later."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from outcrop.viz.exhibit import Exhibit
from outcrop.viz.page_cells import cell_examples
from outcrop.viz.page_data import known_at_start
from outcrop.viz.page_pairs import ShownPairs, choose_pairs
from outcrop.viz.page_panels import HasActivations, Plane, aligned, plane_at, unit_scale
from outcrop.viz.page_samples import has_pictures

MOST_SAMPLES = 20_000  # whose prompts and labels the page knows
MOST_POINTS = 1_000  # of one panel
MOST_VALUES = 40_000_000  # that one panel is computed from


@dataclass(frozen=True)
class ServedSet:
    """``exhibit`` for a page that asks for its pictures and panels: ``data`` at the start, the rest by place.

    Each method raises ``IndexError`` for what is not there.
    """

    exhibit: Exhibit
    number: int

    @cached_property
    def places(self) -> NDArray[np.int64]:
        return self.exhibit.places(MOST_SAMPLES)

    @cached_property
    def data(self) -> dict[str, Any]:
        """What the page's script reads at the start; ``url`` stands where it is to ask."""
        exhibit, places = self.exhibit, self.places
        data = known_at_start(exhibit, places)
        if exhibit.verdicts is not None:
            for k, entry in enumerate(data["properties"]):
                entry["examples"] = {"url": f"examples/{self.number}/{k}/"}
        pictures = has_pictures(exhibit.ds, places)
        data["pictures"] = {"url": f"picture/{self.number}/"} if pictures else None
        readable = isinstance(exhibit.ds, HasActivations)
        points = [int(place) for place in self.points] if readable else []
        data["panels"] = {"url": f"panel/{self.number}/", "points": points} if readable else None
        if self.pairs is not None:
            data["effects"]["study"] = self.pairs.data | {"pictures": {"url": f"pair/{self.number}/"}}
        return data

    @cached_property
    def pairs(self) -> ShownPairs | None:
        effects, study = self.exhibit.effects, self.exhibit.study
        return None if effects is None or study is None else choose_pairs(effects, study, served=True)

    @cached_property
    def points(self) -> NDArray[np.int64]:
        """Which of ``places`` stand in each panel, so few that the widest site stays within ``MOST_VALUES``."""
        ds, grid = self.exhibit.ds, self.exhibit.grids[0]
        assert isinstance(ds, HasActivations)
        widest = max(ds.rows(site, grid.axis.steps[0], self.places[:1]).size for site in grid.sites)
        count = min(len(self.places), MOST_POINTS, max(2, MOST_VALUES // max(widest, 1)))
        return np.unique(np.linspace(0, len(self.places) - 1, count).astype(np.int64))

    def picture(self, place: int) -> Image.Image:
        """The picture of the sample at a place of ``places``."""
        if place < 0:
            raise IndexError(place)
        return self.exhibit.ds.images([str(self.exhibit.ds.samples.index[self.places[place]])])[0]

    def pair(self, place: int) -> Image.Image:
        """A tile of the study: A, B, or C of a cell, counted as in :class:`ShownPairs`."""
        if self.pairs is None:
            raise IndexError(place)
        return self.pairs.tile(place)

    def examples(self, number: int, row: int, column: int) -> list[list[int]]:
        """Places of samples that the probe of a cell named rightly, and of some that it named wrongly."""
        right = self.exhibit.verdicts
        if right is None or min(number, row, column) < 0:
            raise IndexError(number, row, column)
        frame, grid = self.exhibit.frame, self.exhibit.grids[number]
        here = (frame["site"] == grid.sites[row]) & (frame["step"] == grid.axis.steps[column])
        own = frame[here & (frame["property"] == grid.name)]
        return [[], []] if own.empty else cell_examples(right[int(own.index[0]), self.places])

    def panel(self, row: int, column: int) -> dict[str, Any]:
        """One panel: ``xy`` (sample, 2) in [-1, 1], and its ``note``; turned towards that of the best cell."""
        grid = self.exhibit.grids[0]
        plane, reference = self._plane(row, column), self._plane(*grid.best)
        points = plane.points if plane.fixed else aligned(plane.points, reference.points)
        return {"xy": np.round(unit_scale(points), 4).tolist(), "note": plane.note}

    def _plane(self, row: int, column: int) -> Plane:
        exhibit, grid = self.exhibit, self.exhibit.grids[0]
        if min(row, column) < 0 or not isinstance(exhibit.ds, HasActivations):
            raise IndexError(row, column)
        if (row, column) not in self._planes:
            cell = (grid.sites[row], grid.axis.steps[column])
            made = plane_at(exhibit.ds, cell, self.places, chosen=self.points, atlas=exhibit.atlas)
            self._planes[row, column] = made
        return self._planes[row, column]

    @cached_property
    def _planes(self) -> dict[tuple[int, int], Plane]:
        """What was asked for before: some 16 KB each."""
        return {}
