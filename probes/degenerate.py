"""Features of which little can be expected: constant ones, and far more of them than samples."""

import warnings

import numpy as np

from outcrop.data.counted import counted
from outcrop.probes.streaming import Read

MANY_FEATURES = 50
"""Times as many features as samples from which a warning is due."""


class DegenerateWarning(UserWarning):
    """Scores that are valid but say little, with the reason."""


class FeatureCheck:
    """Looks at each cell's features in passing, and warns once of all at the end."""

    def __init__(self) -> None:
        self._constant: list[str] = []
        self._partly: list[str] = []
        self._wide: list[str] = []

    def update(self, site: str, step: int, features: Read) -> None:
        """Note what is odd about the features (n, d) of a cell."""
        n, d = features.shape
        same = (features == features[0]).all(0) if isinstance(features, np.ndarray) else features.survey.constant
        constant = int(same.sum())
        if constant == d:
            self._constant.append(f"site {site!r} at step {step}")
        elif constant:
            self._partly.append(f"{constant} of {d} at site {site!r}, step {step}")
        if d > MANY_FEATURES * n:
            self._wide.append(f"{d} for {n} at site {site!r}, step {step}")

    def merge(self, later: "FeatureCheck") -> None:
        """Add what was noted of cells that come after those of this one."""
        self._constant += later._constant
        self._partly += later._partly
        self._wide += later._wide

    def warn(self) -> None:
        """Warn of what was noted, each kind once."""
        says = (
            (
                self._constant,
                "all features are the same for all samples, so that nothing can be read there: the scores are those of "
                "the class frequencies",
            ),
            (self._partly, "some features are the same for all samples and are left out"),
            (
                self._wide,
                "there are far more features than samples: any labels fit the training rows, and few samples tell "
                "little of a property. Record with a coarser reduction, or more samples",
            ),
        )
        for cells, meaning in says:
            if cells:
                more = f" and in {counted(len(cells) - 1, 'other cell')}" if len(cells) > 1 else ""
                warnings.warn(f"{_capital(cells[0])}{more}: {meaning}.", DegenerateWarning, stacklevel=4)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
