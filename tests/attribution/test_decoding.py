"""Recipes about what can be decoded, on recordings with planted truths."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from outcrop.attribution.recipes.decoding import grid_cells, peak_noise, platonic, position_leak
from outcrop.data.errors import InputError
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.sweep import probe

QUICK = ProbeSpec(properties=("content",), controls=1, folds=3, strengths=(0.1,), bootstraps=200)
SITES = ("early", "late")


@dataclass
class Recorded:
    """A recording in memory: standard noise, plus ``planted`` (site, step)."""

    n: int = 120
    steps_taken: int = 3
    shape: tuple[int, ...] = (8,)
    planted: dict[tuple[str, int], NDArray[np.float64]] = field(default_factory=dict)
    uuid: str = "u"

    @property
    def samples(self) -> pd.DataFrame:
        rows = np.arange(self.n)
        names = {"prompt": [f"p{k % 12}" for k in rows], "seed": rows, "template": [f"t{k % 12}" for k in rows]}
        frame = pd.DataFrame(names, index=pd.Index([f"{k:016x}" for k in rows], name="id"))
        frame["content"] = np.array(["cat", "dog", "owl"])[self.codes]
        return frame

    @property
    def codes(self) -> NDArray[np.int64]:
        return np.random.default_rng(0).integers(3, size=self.n)

    @property
    def labels(self) -> pd.DataFrame:
        return self.samples[["content"]]

    @property
    def sites(self) -> pd.DataFrame:
        table = pd.DataFrame({"role": "block", "depth": [0.0, 1.0]}, index=pd.Index(SITES, name="site"))
        table["shape"] = [list(self.shape)] * len(SITES)
        return table

    @property
    def steps(self) -> pd.DataFrame:
        count = self.steps_taken
        noise = np.linspace(95, 5, count)
        return pd.DataFrame({"timestep": 10 * noise, "log_snr": noise / 10, "noise": noise})

    def activations(self, site: str, *, step: int) -> NDArray[np.float32]:
        rng = np.random.default_rng([SITES.index(site), step])
        values = rng.standard_normal((self.n, *self.shape))
        return (values + self.planted.get((site, step), 0)).astype(np.float32)


def plant_at(steps: Sequence[int], strength: float) -> Recorded:
    made = Recorded()
    means = np.random.default_rng(9).standard_normal((3, 8))
    for step in steps:
        made.planted |= {(site, step): strength * means[made.codes] for site in SITES}
    return made


def test_a_peak_between_the_ends_is_found() -> None:
    verdict = peak_noise(probe(plant_at([1], 2.0), spec=QUICK), model="planted")
    assert verdict.outcome == "holds"
    assert verdict.figures.loc[0, "peak step"] == 1


@pytest.mark.parametrize("steps", [[2], [0, 1, 2], []])
def test_a_peak_at_an_end_or_none_is_none(steps: list[int]) -> None:
    assert peak_noise(probe(plant_at(steps, 2.0), spec=QUICK), model="planted").outcome == "does not hold"


def test_two_steps_have_none_between_them() -> None:
    table = probe(Recorded(steps_taken=2), spec=QUICK)
    assert peak_noise(table, model="planted").outcome == "not testable on this model"


def with_positions(*sites: str) -> Recorded:
    made = Recorded(n=40, shape=(6, 2, 2))
    codes = 3 * np.random.default_rng(1).standard_normal((1, 6, 2, 2))
    made.planted = {(site, 1): codes for site in sites}
    return made


def test_positions_that_leak_early_are_found() -> None:
    assert position_leak(with_positions("early"), model="planted").outcome == "does not hold"  # not at every site
    made = with_positions(*SITES)
    made.planted["late", 1] = 0.15 * made.planted["late", 1]
    assert position_leak(made, model="planted").outcome == "holds"


def test_positions_need_maps() -> None:
    assert position_leak(Recorded(), model="planted").outcome == "not testable on this model"
    with pytest.raises(InputError, match="grid:4"):
        grid_cells(Recorded(), most=10)


def test_cells_keep_their_place() -> None:
    made = with_positions("early")
    cells = grid_cells(made, most=5)
    assert len(cells.samples) == 20
    values = cells.activations("early", step=1)
    whole = made.activations("early", step=1)[cells.chosen[0]]
    np.testing.assert_array_equal(values[:4], whole.reshape(6, 4).T)


def blend(share: float) -> Recorded:
    """A recording whose last step agrees with :func:`blend` (1) to the part ``share``."""
    made = Recorded(steps_taken=1)
    pictures = 4 * np.random.default_rng(3).standard_normal((made.n, 8))
    other = 4 * np.random.default_rng([4, round(100 * share)]).standard_normal((made.n, 8))
    made.planted = {(site, 0): share * pictures + (1 - share) * other for site in SITES}
    return made


def test_agreement_that_grows_with_capability_is_found() -> None:
    names = ("reference", "weak", "strong")
    verdict = platonic(blend(1.0), [blend(0.2), blend(0.9)], names=names)
    assert verdict.outcome == "holds"
    assert list(verdict.figures["samples"]) == [30, 60, 120]
    assert platonic(blend(1.0), [blend(0.9), blend(0.2)], names=names).outcome == "does not hold"


def test_other_pictures_cannot_be_compared() -> None:
    verdict = platonic(blend(1.0), [blend(0.5), Recorded(n=60, steps_taken=1)], names=("a", "b", "c"))
    assert verdict.outcome == "not testable on this model"
    assert "same prompts" in verdict.reason
