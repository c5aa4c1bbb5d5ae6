"""Studies with planted truths: a picture's channels say which class of each property it shows."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from outcrop.attribution.outcomes import CellInfo, Outcomes, SiteInfo, StudyRecord
from outcrop.attribution.readouts import FloatArray, Images

CLASSES = {"content": ("cat", "dog", "owl", "fox"), "style": ("ink", "oil", "pen"), "layout": ("up", "mid", "low")}
STEP = 40
"""Grey levels between two classes."""
SITES = ("down.0", "mid", "up.0", "up.1")

Codes: TypeAlias = NDArray[np.int64]
Follow: TypeAlias = Mapping[str, Mapping[str, float]]
"""Per site and property the share of pairs in which C takes the donor's class."""


class ChannelReader:
    """Reads the planted classes: content off red, style off green, layout off blue, with certainty ``sure``."""

    classes = CLASSES

    def __init__(self, sure: float = 0.98) -> None:
        self.sure = sure

    def probabilities(self, images: Images) -> dict[str, FloatArray]:
        result = {}
        for channel, (name, names) in enumerate(CLASSES.items()):
            code = np.rint(images[..., channel].mean((1, 2)) / STEP).astype(int)
            wrong = (1 - self.sure) / (len(names) - 1)
            result[name] = np.where(code[:, None] == np.arange(len(names)), self.sure, wrong)
        return result


def paint_codes(codes: Codes) -> Images:
    """Pictures (..., 2, 2, 3) of class codes (..., property)."""
    return np.broadcast_to((STEP * codes)[..., None, None, :], (*codes.shape[:-1], 2, 2, 3)).astype(np.uint8)


def make_outcomes(
    follow: Follow, *, n: int = 60, seed: int = 0, cells: tuple[CellInfo, ...] | None = None, stray: float = 0.0
) -> Outcomes:
    """One cell per site of ``follow`` (or ``cells``, of which a control follows nothing).

    Donors and receivers differ in every property. ``stray``: share of pictures whose properties are drawn anew.
    """
    rng = np.random.default_rng(seed)
    sizes = np.array([len(names) for names in CLASSES.values()])
    receivers = rng.integers(sizes, size=(n, 3))
    donors = (receivers + rng.integers(1, sizes, size=(n, 3))) % sizes
    made_of = cells or tuple(CellInfo(intervention="patch", site=site, window="0-9") for site in follow)
    made = []
    for cell in made_of:
        chances = follow.get(cell.site, {}) if cell.control == "none" else {}
        chance = np.array([chances.get(name, 0.0) for name in CLASSES])
        codes = np.where(rng.random((n, 3)) < chance, donors, receivers)
        made.append(np.where(rng.random((n, 3)) < stray, rng.integers(sizes, size=(n, 3)), codes))
    pairs = {"a_prompt": "a", "b_prompt": "b", "a_seed": np.arange(n), "b_seed": np.arange(n)}
    for side, codes in (("a", donors), ("b", receivers)):
        for number, (name, names) in enumerate(CLASSES.items()):
            pairs[f"{side}_{name}"] = np.array(names)[codes[:, number]]
    table = pd.DataFrame(pairs, index=pd.Index(np.arange(n), name="pair"))
    depth = np.linspace(0, 1, len(SITES))
    sites = tuple(
        SiteInfo(name=name, role="block", depth=float(at), stream="image", shape=(4,))
        for name, at in zip(SITES, depth, strict=True)
    )
    record = StudyRecord(model="planted", steps=10, sites=sites, cells=made_of)
    return Outcomes(record, table, paint_codes(np.concatenate(made)), paint_codes(donors), paint_codes(receivers))


@pytest.fixture
def new_outcomes() -> Callable[..., Outcomes]:
    return make_outcomes


@pytest.fixture
def reader() -> ChannelReader:
    return ChannelReader()
