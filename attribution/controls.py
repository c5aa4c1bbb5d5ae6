"""Controls of a study: the same intervention elsewhere, and a change as large in a direction that means nothing."""

from collections.abc import Callable, Sequence

import numpy as np
from pydantic import Field

from outcrop.attribution.cells import Cell
from outcrop.attribution.interventions import AnyIntervention, Written
from outcrop.capture.sites import Site, select_sites
from outcrop.data.errors import InputError
from outcrop.data.schema import Record

NONE, RANDOM_SITE, RANDOM_DIRECTION = "none", "random-site", "random-direction"
Fits = Callable[[AnyIntervention, Site], bool]
"""Whether an intervention can act at a site."""


class Controls(Record):
    """How many controls every cell is given.

    ``sites``: the same intervention, steps and half at another site of the same role, drawn at random. ``directions``:
    the same change with its channels turned at random, as large at every position; for interventions that write
    activations. ``seed`` draws both.
    """

    sites: int = Field(default=0, ge=0)
    directions: int = Field(default=0, ge=0)
    seed: int = Field(default=0, ge=0)


def make_controls(cells: Sequence[Cell], sites: Sequence[Site], controls: Controls, *, fits: Fits) -> list[Cell]:
    """The control cells of ``cells``, each named after the cell that it is for.

    Raises :class:`InputError` where controls are asked for that no cell can have.
    """
    rng = np.random.default_rng(controls.seed)
    made: list[Cell] = []
    tested = [cell for cell in cells if cell.control == NONE]
    for cell in tested:
        moved = [_moved(cell, sites, rng, fits) for _ in range(controls.sites)]
        turned = [_turned(cell, controls.seed + draw) for draw in range(controls.directions)]
        made += [control for control in (*moved, *turned) if control is not None]
    for kind, wanted in ((RANDOM_SITE, controls.sites), (RANDOM_DIRECTION, controls.directions)):
        if wanted and not any(cell.control == kind for cell in made):
            raise InputError(
                f"No cell of the study can have a {kind} control: there must be another site of the same role, or an "
                "intervention that writes activations."
            )
    return made


def _turned(cell: Cell, seed: int) -> Cell | None:
    records = [
        record.model_copy(update={"turned": seed}) for record in cell.interventions if isinstance(record, Written)
    ]
    if len(records) < len(cell.interventions) or any(getattr(record, "heads", None) for record in records):
        return None
    return Cell(interventions=tuple(records), name=cell.place, control=RANDOM_DIRECTION)


def _moved(cell: Cell, sites: Sequence[Site], rng: np.random.Generator, fits: Fits) -> Cell | None:
    records = []
    for record in cell.interventions:
        own = select_sites(sites, record.sites) if record.kind != "latent-swap" else []
        names: list[str] = []
        for site in own:
            taken = {*names, *(one.name for one in own)}
            others = [
                one.name for one in sites if one.role == site.role and one.name not in taken and fits(record, one)
            ]
            names += [others[int(rng.integers(len(others)))]] if others else []
        if not own or len(names) < len(own):
            return None
        records.append(record.model_copy(update={"sites": tuple(names)}))
    return Cell(interventions=tuple(records), name=cell.place, control=RANDOM_SITE)
