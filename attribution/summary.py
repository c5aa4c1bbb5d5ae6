"""A study at a glance, by pixels alone: how far each cell took the receivers towards the donors."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.attribution.outcomes import Outcomes, Pictures

SHOWN = ("intervention", "site", "window", "dose", "control", "taken")


def distance_table(study: Outcomes) -> pd.DataFrame:
    """One row a cell: ``to_donor`` and ``to_receiver``, the root mean square differences of pixels between C and A and
    between C and B over that between A and B; the median over pairs. At 0 and 1 C is the donor, at 1 and 0 nothing has
    changed. Pairs whose two pictures are the same are left out. ``taken``: the sites of a random-site control.
    """
    baseline = _distance(study.donors, study.receivers)
    differ = baseline > 0
    rows = []
    for index, cell in enumerate(study.record.cells):
        pictures = study.cell_images(index)
        row = {name: getattr(cell, name) for name in SHOWN}
        for name, others in (("to_donor", study.donors), ("to_receiver", study.receivers)):
            shares = _distance(pictures, others)[differ] / baseline[differ]
            row[name] = float(np.median(shares)) if differ.any() else np.nan
        rows.append(row)
    return pd.DataFrame(rows, columns=[*SHOWN, "to_donor", "to_receiver"])


def _distance(some: Pictures, others: Pictures) -> NDArray[np.float64]:
    return np.array([np.sqrt(((a.astype(float) - b) ** 2).mean()) for a, b in zip(some, others, strict=True)])
