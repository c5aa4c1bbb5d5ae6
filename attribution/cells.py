"""Cells, the conditions of a study, and grids of them: a site and a window each."""

from collections.abc import Sequence
from itertools import pairwise

from pydantic import Field

from outcrop.attribution.interventions import AnyIntervention, Window
from outcrop.attribution.outcomes import CellInfo
from outcrop.data.errors import InputError
from outcrop.data.schema import Record


class Cell(Record):
    """Interventions that act together. ``name`` stands for their sites in the table, ``control`` is what it is for."""

    interventions: tuple[AnyIntervention, ...] = Field(min_length=1)
    name: str = ""
    control: str = "none"

    @property
    def place(self) -> str:
        """What stands for its sites in the table."""
        return self.name or "+".join(dict.fromkeys(site for part in self.interventions for site in part.sites))

    def info(self, steps: int) -> CellInfo:
        """The cell as a row of the table of outcomes, in a study of ``steps``."""
        parts = self.interventions
        windows = [part.window or (0, steps - 1) for part in parts]
        first, last = min(start for start, _ in windows), max(end for _, end in windows)
        halves = {part.half for part in parts}
        strengths = [part.strength for part in parts if part.strength is not None]
        return CellInfo(
            intervention="+".join(dict.fromkeys(part.kind for part in parts)),
            site=self.place,
            window=f"{first}-{last}",
            dose=strengths[0] if strengths else None,
            half=halves.pop() if len(halves) == 1 else "both",
            control=self.control,
            interventions=tuple(part.model_dump(mode="json") for part in parts),
        )


class Grid(Record):
    """A cell for every site of the ``intervention``, every window and every dose.

    ``windows`` are the windows themselves, or how many equal ones the steps are cut into. With ``together`` the sites
    act in one cell.
    """

    intervention: AnyIntervention
    windows: int | tuple[Window, ...] = 1
    doses: tuple[float, ...] = ()
    together: bool = False
    control: str = "none"

    def expand(self, sites: Sequence[str], *, steps: int) -> list[Cell]:
        """The cells, for the names of the sites that the intervention's patterns select."""
        groups = [tuple(sites)] if self.together else [(site,) for site in sites]
        doses = self.doses or (None,)
        return [
            self._cell(group, window, dose) for window in self._windows(steps) for group in groups for dose in doses
        ]

    def _windows(self, steps: int) -> tuple[Window, ...]:
        if not isinstance(self.windows, int):
            return self.windows
        if self.windows == 1:
            return (self.intervention.window or (0, steps - 1),)
        return cut_windows(steps, self.windows)

    def _cell(self, sites: tuple[str, ...], window: Window, dose: float | None) -> Cell:
        named = self.intervention.model_copy(update={"sites": sites, "window": window})
        whole = "" if len(sites) == 1 else "+".join(self.intervention.sites)
        made = named if dose is None else named.scaled(dose)
        return Cell.model_validate({"interventions": (made,), "name": whole, "control": self.control})


def cut_windows(steps: int, count: int) -> tuple[Window, ...]:
    """``count`` windows of (almost) the same length, which together are all ``steps``."""
    if not 1 <= count <= steps:
        raise InputError(f"{steps} steps can be cut into 1 to {steps} windows. Got {count}.")
    edges = [round(k * steps / count) for k in range(count + 1)]
    return tuple((first, last - 1) for first, last in pairwise(edges))
