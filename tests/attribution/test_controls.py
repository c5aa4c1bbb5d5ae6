"""Controls, doses and directions: planted values and what is refused."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch

from outcrop.attribution.bootstrap import Resampling
from outcrop.attribution.cells import Cell
from outcrop.attribution.controls import Controls, make_controls
from outcrop.attribution.directions import mean_difference, probe_direction
from outcrop.attribution.doses import dose_response
from outcrop.attribution.edits import Material, Moment, change_of
from outcrop.attribution.effects import effects
from outcrop.attribution.interventions import ActivationPatch, LatentSwap, PromptInjection, from_json, to_json
from outcrop.attribution.outcomes import CellInfo, Outcomes
from outcrop.attribution.readouts import Classifier
from outcrop.capture.sites import Site
from outcrop.data.errors import InputError
from outcrop.probes.logistic import LinearWeights
from outcrop.probes.table import ProbeTable

New = Callable[..., Outcomes]
SITES = [Site(name, "block", depth, (4, 6, 6)) for name, depth in (("a", 0.0), ("b", 0.5), ("c", 1.0))]


@pytest.mark.parametrize("site", [SITES[0], Site("t", "self-attention", 0.5, (5, 4))])
def test_a_turned_change_is_as_large_at_every_position_and_goes_elsewhere(site: Site) -> None:
    own, donor = torch.randn(2, 3, *site.shape, generator=torch.Generator().manual_seed(0))
    patch = ActivationPatch(sites=(site.name,), turned=3)
    now = Moment(0, "cond")
    made = change_of(patch, site, Material())(own, donor, now)
    torch.testing.assert_close(made, change_of(patch, site, Material())(own, donor, now))
    axis = 1 if len(site.shape) == 3 else -1
    torch.testing.assert_close((made - own).norm(dim=axis), (donor - own).norm(dim=axis))
    cosine = torch.nn.functional.cosine_similarity(made - own, donor - own, dim=axis)
    assert (cosine < 0.99).all()
    other = change_of(patch.model_copy(update={"turned": 4}), site, Material())(own, donor, now)
    assert (other - made).abs().max() > 0.1


def test_what_is_not_turned_is_stored_as_before() -> None:
    patch = ActivationPatch(sites=("a",))
    assert "turned" not in to_json(patch)
    turned = patch.model_copy(update={"turned": 2})
    assert from_json(to_json(turned)) == turned
    with pytest.raises(InputError, match="heads cannot be turned"):
        from_json('{"kind": "activation-patch", "sites": ["a"], "heads": [0], "turned": 1}')


def test_every_cell_gets_controls_of_its_own() -> None:
    cells = [
        Cell(interventions=(ActivationPatch(sites=("a",), window=(2, 3)),)),
        Cell(interventions=(PromptInjection(sites=("b",)), ActivationPatch(sites=("c",))), name="two"),
        Cell(interventions=(LatentSwap(),)),
    ]
    made = make_controls(cells, SITES, Controls(sites=2, directions=1), fits=lambda _record, site: site.name != "b")
    assert [(cell.place, cell.control) for cell in made] == [
        ("a", "random-site"), ("a", "random-site"), ("a", "random-direction"), ("two", "random-site"),
        ("two", "random-site"),
    ]  # fmt: skip
    assert [cell.interventions[0].sites for cell in made[:3]] == [("c",), ("c",), ("a",)]
    assert all(cell.interventions[0].sites in {("a",), ("c",)} for cell in made[3:])
    assert all(cell.interventions[1].sites == ("a",) for cell in made[3:])
    assert all(cell.interventions[0].window == (2, 3) for cell in made[:3])
    with pytest.raises(InputError, match="can have a random-direction control"):
        make_controls(cells[2:], SITES, Controls(directions=1), fits=lambda _record, _site: True)


def test_the_slope_of_planted_doses_is_found(new_outcomes: New, reader: Classifier) -> None:
    doses = (0.0, 1.0, 2.0)
    cells = tuple(CellInfo(intervention="steering", site=f"d{dose}", window="0-9", dose=dose) for dose in doses)
    follow = {"d1.0": {"content": 0.5}, "d2.0": {"content": 0.8}}
    table = effects(new_outcomes(follow, n=200, cells=cells), [reader], resampling=Resampling(resamples=300))
    at_one = type(table)(table.frame.assign(site="mid"), table.scores, table.provenance)
    found = dose_response(at_one).set_index("property")
    highest = table.frame.set_index(["property", "dose"])["effect"]["content", 2.0]
    assert found.loc["content", "slope"] == pytest.approx(highest / 2)
    assert found.loc["content", "low"] < highest / 2 < found.loc["content", "high"]
    assert found.loc["content", "high"] - found.loc["content", "low"] < 0.1
    assert (found.loc["content", "steady"], found.loc["content", "doses"]) == (1, 3)
    assert found.loc["style", "slope"] == 0
    with pytest.raises(InputError, match="no place with two doses"):
        dose_response(table)


def test_directions_of_probes_and_of_means() -> None:
    rng = np.random.default_rng(0)
    true = np.array([3.0, 0, -4.0])
    weights = LinearWeights(np.stack([true, -true, 0 * true]), np.zeros(3))
    table = ProbeTable(pd.DataFrame(), {"style/mid/2": weights}, {"classes": {"style": ["ink", "oil", "pen"]}})
    found = probe_direction(table, "style", site="mid", step=2, towards="ink", away="oil")
    np.testing.assert_allclose(found, true / 5)
    labels = np.array(["ink", "oil"] * 500)
    features = rng.normal(size=(1000, 3)) + np.where(labels == "ink", 1, 0)[:, None] * true
    np.testing.assert_allclose(mean_difference(features, labels.tolist(), towards="ink"), true, atol=0.3)
    with pytest.raises(InputError, match=r"no probe 'style/mdi/2'.*style/mid/2"):
        probe_direction(table, "style", site="mdi", step=2, towards="ink")
    with pytest.raises(InputError, match=r"no class 'inc'.*ink"):
        mean_difference(features, labels.tolist(), towards="inc")
    with pytest.raises(InputError, match="another class to come from"):
        mean_difference(features[:2], ["ink", "ink"], towards="ink")
