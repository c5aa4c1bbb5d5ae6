"""The transfer matrix: where a probe was fitted (rows) against where it was tested (columns)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from outcrop.data.errors import InputError
from outcrop.viz import labels, site_names
from outcrop.viz.accepts import TRANSFER, accept_frame
from outcrop.viz.matrix import Matrix, draw_matrix


def plot_transfer(frame: pd.DataFrame, *, chance: float, title: str = "") -> Figure:
    """Draw the result of ``outcrop.probes.transfer_matrix``: accuracy from ``chance`` to 1, in the order of the fits.

    Up to 16 cells a side the numbers stand in them, bold where a probe is tested at home. Raises ``InputError`` for
    missing columns, for a frame without rows, and for one that is not a full square.
    """
    values, cells = _square(accept_frame("plot_transfer", frame, TRANSFER))
    _check_chance(chance)
    names, shared = _names(cells)
    where = f" ({shared})" if shared else ""
    matrix = Matrix(
        values, names, names, labels.FITTED_AT + where, labels.TESTED_AT + where, labels.ACCURACY,
        labels.TRANSFER_NOTE, low=chance, low_name=labels.CHANCE,
    )  # fmt: skip
    return draw_matrix(matrix, title=title or labels.TRANSFER_TITLE, name="transfer")


def _check_chance(chance: object) -> None:
    if not isinstance(chance, int | float) or not 0 <= chance < 1:
        raise InputError(f"chance must be the accuracy of a guess, from 0 to below 1. Got {chance!r}.")


def _square(frame: pd.DataFrame) -> tuple[np.ndarray, list[tuple[str, int]]]:
    """Accuracies (fitted, tested) and the cells, in the order in which they were fitted."""
    fitted = [(str(site), int(step)) for site, step in zip(frame["site"], frame["step"], strict=True)]
    tested = [(str(site), int(step)) for site, step in zip(frame["tested_site"], frame["tested_step"], strict=True)]
    cells = list(dict.fromkeys(fitted))
    whole = len(set(zip(fitted, tested, strict=True))) == len(cells) ** 2 == len(frame)
    if set(tested) != set(cells) or not whole:
        raise InputError(f"expected each of {len(cells)} cells tested once at each; got {len(frame)} rows.")
    place = {cell: number for number, cell in enumerate(cells)}
    values = np.full((len(cells), len(cells)), np.nan)
    values[[place[cell] for cell in fitted], [place[cell] for cell in tested]] = frame["accuracy"].to_numpy(np.float64)
    return values, cells


def _names(cells: list[tuple[str, int]]) -> tuple[list[str], str]:
    """Site and step of each cell, less what all of them share; and that."""
    short = site_names.short_site_names(list(dict.fromkeys(site for site, _ in cells)))
    if len({site for site, _ in cells}) == 1:
        return [f"step {step}" for _, step in cells], short[cells[0][0]]
    if len({step for _, step in cells}) == 1:
        return [short[site] for site, _ in cells], f"step {cells[0][1]}"
    return [f"{short[site]}, step {step}" for site, step in cells], ""
