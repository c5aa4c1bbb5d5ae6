"""The pictures of interventions that a page shows: of each pair A (donor), B (receiver), and C of every cell."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from outcrop.viz.report_effects import HasEffects, HasStudy

MOST_PICTURES = 900  # in a page of one file
MOST_PAIRS = 4
MOST_SERVED = 60


@dataclass(frozen=True)
class ShownPairs:
    """``chosen`` pairs of ``study``. Tiles are counted: first the pictures A, then B, then C of cell after cell."""

    study: HasStudy
    cells: int
    chosen: NDArray[np.int64]

    def __len__(self) -> int:
        """How many tiles there are."""
        return len(self.chosen) * (2 + self.cells)

    @property
    def data(self) -> dict[str, Any]:
        """Prompts of the pairs, how many there are, and of how many, as the page's script reads them."""
        pairs = self.study.pairs.iloc[self.chosen]
        prompts = {name: [str(text) for text in pairs[f"{name}_prompt"]] for name in ("a", "b")}
        return {"pairs": prompts, "count": len(self.chosen), "of": len(self.study.pairs)}

    def tile(self, place: int) -> Image.Image:
        """One picture. Raises ``IndexError`` for a place that is not there."""
        if not 0 <= place < len(self):
            raise IndexError(place)
        part, pair = divmod(place, len(self.chosen))
        pictures = (
            self.study.donors if part == 0 else self.study.receivers if part == 1 else self.study.cell_images(part - 2)
        )
        return Image.fromarray(np.asarray(pictures[self.chosen[pair]]))


def choose_pairs(table: HasEffects, study: HasStudy, *, served: bool) -> ShownPairs:
    """Pairs, evenly spaced; in a page of one file so many that their pictures stay within its size."""
    cells = int(table.frame["cell"].max()) + 1
    most = MOST_SERVED if served else max(1, min(MOST_PAIRS, MOST_PICTURES // (cells + 2)))
    count = min(most, len(study.pairs))
    return ShownPairs(study, cells, np.unique(np.linspace(0, len(study.pairs) - 1, count).astype(np.int64)))
