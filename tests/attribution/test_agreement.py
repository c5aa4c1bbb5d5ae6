from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from outcrop.attribution.agreement import compare_with_probes, rank_correlation
from outcrop.attribution.bootstrap import Resampling
from outcrop.attribution.effect_table import FewPairsWarning
from outcrop.attribution.effects import effects
from outcrop.attribution.outcomes import Outcomes
from outcrop.attribution.readouts import Classifier
from outcrop.data.errors import InputError
from outcrop.probes.comparison import Outcomes as Hits
from outcrop.probes.table import ProbeTable

New = Callable[..., Outcomes]
SITES = ("down.0", "mid", "up.0", "up.1")


def make_probes(accuracies: dict[str, tuple[float, ...]], *, n: int = 600, with_hits: bool = True) -> ProbeTable:
    """A table of two steps in which every accuracy is as planted."""
    rng = np.random.default_rng(0)
    rows, hits = [], []
    for name, values in accuracies.items():
        for site, accuracy in zip(SITES, values, strict=True):
            for step in range(2):
                right = rng.random(n) < accuracy
                half = 2 * np.sqrt(right.mean() * (1 - right.mean()) / n)
                found = {"accuracy": right.mean(), "low": right.mean() - half, "high": right.mean() + half}
                rows.append({"property": name, "site": site, "step": step, "chance": 0.25, **found})
                hits.append(right)
    outcomes = Hits(np.array(hits, dtype=np.int8), np.arange(n)[None] // 4) if with_hits else None
    return ProbeTable(pd.DataFrame(rows), {}, {}, outcomes)


@pytest.mark.parametrize("with_hits", [True, False])
def test_the_four_corners_are_named(new_outcomes: New, reader: Classifier, with_hits: bool) -> None:
    follow = {"down.0": {"content": 1.0}, "mid": {"content": 1.0}, "up.0": {}, "up.1": {}}
    table = effects(new_outcomes(follow), [reader], resampling=Resampling(resamples=300))
    probes = make_probes({"content": (0.95, 0.25, 0.9, 0.25)}, with_hits=with_hits)
    found = compare_with_probes(probes, table)
    assert list(found.frame["reading"]) == [
        "decodable and used", "used but not linearly decodable", "decodable but unused", "neither",
    ]  # fmt: skip
    assert list(found.off_diagonal["site"]) == ["mid", "up.0"]
    assert "decodable but unused" in found.to_text()


def test_what_the_intervals_leave_open_is_undecided(new_outcomes: New, reader: Classifier) -> None:
    follow = {site: {"content": 0.1} for site in SITES}
    table = effects(new_outcomes(follow, n=30), [reader], resampling=Resampling(resamples=300))
    found = compare_with_probes(make_probes({"content": (0.9,) * 4}), table)
    assert (found.frame["reading"] == "undecided").sum() >= 3


def test_the_correlation_holds_the_planted_order(new_outcomes: New, reader: Classifier) -> None:
    chances = (0.05, 0.35, 0.65, 0.95)
    follow = {site: {"content": c, "style": c} for site, c in zip(SITES, chances, strict=True)}
    table = effects(new_outcomes(follow, n=80), [reader], resampling=Resampling(resamples=300))
    probes = make_probes({"content": (0.3, 0.5, 0.7, 0.9), "style": (0.9, 0.7, 0.5, 0.3)})
    found = compare_with_probes(probes, table).correlations.set_index("property")
    assert found.loc["content", "correlation"] == pytest.approx(1)
    assert found.loc["style", "correlation"] == pytest.approx(-1)
    assert found.loc["content", "low"] > 0.5 > -0.5 > found.loc["style", "high"]


def test_correlations_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(4, size=(3, 9)).astype(float), rng.normal(size=(3, 9))
    np.testing.assert_allclose(rank_correlation(a, b), [spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)])
    assert np.isnan(rank_correlation(np.ones((1, 4)), b[:1, :4])).all()


def test_a_window_takes_the_steps_that_lie_in_it(new_outcomes: New, reader: Classifier) -> None:
    probes = make_probes({"content": (0.9, 0.5, 0.5, 0.5)})
    probes.frame.loc[probes.frame["step"] == 1, "accuracy"] = 0.25
    table = effects(new_outcomes({"mid": {"content": 1.0}}), [reader], resampling=Resampling(resamples=300))
    assert compare_with_probes(probes, table).frame["decodable"].item() < 0.3
    early = table.frame.assign(window="0-4")
    found = compare_with_probes(probes, type(table)(early, table.scores, table.provenance))
    assert found.frame["decodable"].item() == pytest.approx((probes.frame["accuracy"][2] - 0.25) / 0.75)


def test_tables_that_share_nothing_are_refused(new_outcomes: New, reader: Classifier) -> None:
    table = effects(new_outcomes({"mid": {"content": 1.0}}), [reader], resampling=Resampling(resamples=300))
    with pytest.raises(InputError, match=r"share no property\. Of the probes: age; of the effects: content, style"):
        compare_with_probes(make_probes({"age": (0.5,) * 4}), table)
    elsewhere = table.frame.assign(site="somewhere")
    with pytest.raises(InputError, match=r"share no site\. Of the probes: .*; of the effects: somewhere\. Probe"):
        compare_with_probes(make_probes({"style": (0.5,) * 4}), type(table)(elsewhere, table.scores, table.provenance))


def test_few_pairs_are_warned_of_and_counted(new_outcomes: New, reader: Classifier) -> None:
    table = effects(new_outcomes({"mid": {"content": 1.0}}, n=6), [reader], resampling=Resampling(resamples=300))
    with pytest.warns(FewPairsWarning, match="Fewer than 10 pairs could be read for: content 6"):
        found = compare_with_probes(make_probes({"content": (0.5,) * 4}), table)
    assert found.correlations["pairs"].item() == 6
