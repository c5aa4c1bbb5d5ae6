from collections.abc import Callable

import numpy as np
import pytest

from outcrop.attribution.bootstrap import Resampling
from outcrop.attribution.effect_table import FewPairsWarning
from outcrop.attribution.effects import effects
from outcrop.attribution.labour import division_of_labour
from outcrop.attribution.outcomes import CellInfo, Outcomes
from outcrop.attribution.profiles import jensen_shannon
from outcrop.attribution.readouts import Classifier
from outcrop.data.errors import InputError

New = Callable[..., Outcomes]
NAMES = ("content", "style", "layout")
QUICK = Resampling(resamples=400)
EVERYTHING = dict.fromkeys(NAMES, 1.0)


def test_everything_in_one_latent_is_0(new_outcomes: New, reader: Classifier) -> None:
    table = effects(new_outcomes({"down.0": EVERYTHING, "mid": {}, "up.0": {}}, stray=0.1), [reader], resampling=QUICK)
    found = division_of_labour(table)
    assert found.index < 0.01
    assert found.high < 0.05
    assert found.left_out == ()
    assert (found.properties["entropy"] > 0.8).all()
    assert set(found.properties["top"]) == {"down.0"}


def test_few_pairs_are_warned_of(new_outcomes: New, reader: Classifier) -> None:
    table = effects(new_outcomes({"down.0": EVERYTHING, "mid": {}}, n=9), [reader], resampling=QUICK)
    with pytest.warns(FewPairsWarning, match="content 9, style 9, layout 9"):
        division_of_labour(table)


def test_everything_everywhere_is_0_too(new_outcomes: New, reader: Classifier) -> None:
    follow = dict.fromkeys(("down.0", "mid", "up.0"), EVERYTHING)
    found = division_of_labour(effects(new_outcomes(follow), [reader], resampling=QUICK))
    assert found.index == pytest.approx(0, abs=1e-9)
    assert (found.properties["gini"] < 0.01).all()
    assert found.high == pytest.approx(0, abs=1e-9)


def test_a_layer_for_each_property_is_1(new_outcomes: New, reader: Classifier) -> None:
    follow = {"down.0": {"layout": 1.0}, "mid": {"content": 0.8}, "up.0": {"style": 0.6}}
    found = division_of_labour(effects(new_outcomes(follow, stray=0.05), [reader], resampling=QUICK))
    assert found.index > 0.98
    assert found.low > 0.95
    assert list(found.properties["top"]) == ["mid", "up.0", "down.0"]
    assert (found.pairs["jensen_shannon"] > 0.9).all()
    apart = found.pairs.set_index(["property", "other"])["earth_mover"]
    assert apart["style", "layout"] > apart["content", "layout"]


def test_noise_does_not_raise_the_index_as_it_raises_a_plain_distance(new_outcomes: New, reader: Classifier) -> None:
    chances = dict(zip(("down.0", "mid", "up.0", "up.1"), (0.05, 0.1, 0.2, 0.3), strict=True))
    follow = {site: dict.fromkeys(NAMES, chance) for site, chance in chances.items()}
    plain, noise, low, high = [], [], [], []
    for seed in range(15):
        found = division_of_labour(effects(new_outcomes(follow, n=30, seed=seed), [reader], resampling=QUICK))
        plain.append(found.pairs["jensen_shannon"].mean())
        noise.append(found.pairs["jensen_shannon_noise"].mean())
        low.append(found.low)
        high.append(found.index)
    assert np.mean(high) < 0.06  # clipped at 0, hence not exactly 0 on average
    assert np.mean(np.array(low) < 1e-3) >= 0.8
    assert np.mean(plain) > 0.12
    assert np.mean(noise) == pytest.approx(np.mean(plain), rel=0.5)


def test_the_index_lies_where_the_planted_profiles_put_it(new_outcomes: New, reader: Classifier) -> None:
    chances = {"down.0": (0.6, 0.0, 0.1), "mid": (0.3, 0.2, 0.1), "up.0": (0.0, 0.7, 0.1)}
    follow = {site: dict(zip(NAMES, values, strict=True)) for site, values in chances.items()}
    truth = np.array(list(chances.values())).T
    unit = truth / np.linalg.norm(truth, axis=1, keepdims=True)
    expected = 1 - (unit @ unit.T)[np.triu_indices(3, 1)].mean()
    held = 0
    for seed in range(8):
        found = division_of_labour(effects(new_outcomes(follow, n=60, seed=seed), [reader], resampling=QUICK))
        held += found.low <= expected <= found.high
    assert held >= 6
    big = division_of_labour(effects(new_outcomes(follow, n=1000), [reader], resampling=QUICK))
    assert big.index == pytest.approx(expected, abs=0.04)


def test_a_property_without_effect_is_left_out_not_counted_as_special(new_outcomes: New, reader: Classifier) -> None:
    follow = {"mid": {"content": 1.0, "style": 1.0}, "up.0": {}}
    found = division_of_labour(effects(new_outcomes(follow, stray=0.2), [reader], resampling=QUICK))
    assert found.left_out == ("layout",)
    assert found.index < 0.02
    nothing = division_of_labour(effects(new_outcomes({"mid": {}}, stray=0.1), [reader], resampling=QUICK))
    assert np.isnan([nothing.index, nothing.low, nothing.high]).all()


def test_profiles_over_windows_and_cells_and_no_mixing(new_outcomes: New, reader: Classifier) -> None:
    sites = {"mid": {"content": 1.0}, "up.0": {"style": 1.0}}
    cells = tuple(CellInfo(intervention="patch", site=site, window=w) for site in sites for w in ("0-4", "5-9"))
    table = effects(new_outcomes(sites, cells=cells), [reader], resampling=QUICK)
    assert division_of_labour(table, over="site").index == pytest.approx(1)
    assert division_of_labour(table, over="window").index == pytest.approx(0, abs=1e-9)
    assert list(division_of_labour(table, over="cell").profiles.columns) == [
        "mid 0-4", "mid 5-9", "up.0 0-4", "up.0 5-9",
    ]  # fmt: skip
    other = CellInfo(intervention="ablation", site="mid", window="0-4")
    mixed = effects(new_outcomes(sites, cells=(*cells, other)), [reader], resampling=QUICK)
    with pytest.raises(InputError, match="one kind of intervention"):
        division_of_labour(mixed)
    assert division_of_labour(mixed, cells=range(4)).index == pytest.approx(1)


def test_jensen_shannon_of_equal_profiles_is_0() -> None:
    assert jensen_shannon(np.array([0.2, 0.3]), np.array([0.4, 0.6])) == pytest.approx(0, abs=1e-7)
