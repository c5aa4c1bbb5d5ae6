"""One property of a probe table as arrays: sites in execution order by steps from noisy to clean."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.data.errors import InputError

Array = NDArray[np.float64]
Value = Literal["accuracy", "selectivity"]
StepKind = Literal["noise", "timestep", "step", "head"]
"""What the columns of a grid are: steps on one of three scales, or the heads of attentions."""

INTERVALS: dict[Value, tuple[str, str]] = {
    "accuracy": ("low", "high"),
    "selectivity": ("selectivity_low", "selectivity_high"),
}


@dataclass(frozen=True)
class StepAxis:
    """The steps of a table from noisy to clean: ``steps`` (their indices), and where they lie on the ``kind`` scale."""

    steps: tuple[int, ...]
    kind: StepKind
    positions: Array

    def column(self, step: int) -> int:
        """The column of a step index. Raises ``InputError`` for a step that was not probed."""
        if step not in self.steps:
            raise InputError(
                f"expected the index of a probed step ({', '.join(map(str, sorted(self.steps)))}); got {step}. "
                "Choose one of these, or probe that step too."
            )
        return self.steps.index(step)


@dataclass(frozen=True)
class PropertyGrid:
    """One property: ``values``, ``low`` and ``high`` are (site, step), NaN where a cell was not probed.

    ``control`` is the accuracy on the control task, with its own interval (NaN where the table has none).
    ``bottom`` and ``top`` bound the meaningful range: chance to 1 for accuracy, 0 to 1 - chance for selectivity.
    """

    name: str
    value: Value
    sites: tuple[str, ...]
    axis: StepAxis
    values: Array
    low: Array
    high: Array
    control: Array
    control_low: Array
    control_high: Array
    chance: float
    majority: float

    @property
    def bottom(self) -> float:
        return self.chance if self.value == "accuracy" else 0.0

    @property
    def top(self) -> float:
        return 1.0 if self.value == "accuracy" else 1.0 - self.chance

    @property
    def floor(self) -> float:
        """What knowing nothing about the image achieves: the larger of chance and majority; 0 for selectivity."""
        return max(self.chance, self.majority) if self.value == "accuracy" else 0.0

    @property
    def unclear(self) -> NDArray[np.bool_]:
        """Cells (site, step) whose interval reaches down to the floor: nothing is shown to be decodable there."""
        return np.asarray(np.isfinite(self.values) & ~(self.low > self.floor), dtype=bool)

    @property
    def best(self) -> tuple[int, int]:
        """Row and column of the largest value; among equals the earliest site, then the noisiest step."""
        flat = int(np.argmax(np.where(np.isfinite(self.values), self.values, -np.inf)))
        row, column = divmod(flat, self.values.shape[1])
        return row, column


def site_order(frame: pd.DataFrame) -> tuple[str, ...]:
    """All sites of ``frame`` in execution order (input of the network first)."""
    first = frame.drop_duplicates("site").sort_values("order", kind="stable")
    return tuple(str(site) for site in first["site"])


def step_axis(frame: pd.DataFrame) -> StepAxis:
    """The steps from noisy to clean, on the noise scale where the table has one, else by timestep, else by index."""
    table = frame.drop_duplicates("step").sort_values("step", kind="stable")
    steps = table["step"].to_numpy(dtype=np.int64)
    kinds: tuple[StepKind, ...] = ("noise", "timestep")
    for kind in kinds:
        positions = table[kind].to_numpy(dtype=np.float64, na_value=np.nan)
        if np.isfinite(positions).all():
            order = np.argsort(-positions, kind="stable")
            return StepAxis(tuple(int(step) for step in steps[order]), kind, positions[order])
    return StepAxis(tuple(int(step) for step in steps), "step", steps.astype(np.float64))


def property_grid(frame: pd.DataFrame, name: str, *, value: Value = "accuracy") -> PropertyGrid:
    """The cells of property ``name`` on the sites and steps of the whole ``frame`` (so that panels share their axes).

    Raises ``InputError`` for a value that is not drawn, and for a property without a single finite value.
    """
    if value not in tuple(INTERVALS):
        raise InputError(f"expected value to be one of {', '.join(INTERVALS)}; got {value!r}.")
    sites, axis = site_order(frame), step_axis(frame)
    rows = frame[frame["property"] == name]
    low, high = INTERVALS[value]

    def cells(column: str) -> Array:
        if column not in rows.columns:
            return np.full((len(sites), len(axis.steps)), np.nan)
        table = rows.pivot(index="site", columns="step", values=column)
        return table.reindex(index=list(sites), columns=list(axis.steps)).to_numpy(dtype=np.float64, na_value=np.nan)

    values = cells(value)
    if not np.isfinite(values).any():
        raise InputError(f"expected a finite {value} for property {name!r} in at least one cell; got none.")
    return PropertyGrid(
        name, value, sites, axis, values, cells(low), cells(high),
        cells("control"), cells("control_low"), cells("control_high"),
        chance=float(rows["chance"].max()), majority=float(rows["majority"].max()),
    )  # fmt: skip
