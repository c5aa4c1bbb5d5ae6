"""What interventions do to activations: planted values, identities, and the agreement with concept-erasure."""

import json
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from outcrop.attribution.edits import Material, Moment, Reference, change_of
from outcrop.attribution.hooks import Edit, Intervened
from outcrop.attribution.interventions import Erasure, from_json
from outcrop.capture.guidance import UNGUIDED
from outcrop.capture.sites import Site
from outcrop.data.errors import InputError
from outcrop.probes.erasure import EraserFitter

MAP = Site("m", "block", 0.5, (4, 6, 6))
TOKENS = Site("t", "self-attention", 0.5, (5, 4))
NOW = Moment(3, "cond")


def change(record: dict[str, Any], site: Site = MAP, material: Material | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Receivers' activations, donors', and what becomes of the receivers'; nothing is written in place."""
    rows = torch.Generator().manual_seed(0)
    own, donor = (torch.randn(3, *site.shape, generator=rows) for _ in range(2))
    before = own.clone(), donor.clone()
    act = change_of(record_of(record, site), site, material or Material())
    made = act(own, donor, NOW)
    assert torch.equal(own, before[0])
    assert torch.equal(donor, before[1])
    return own, donor, made


def record_of(record: dict[str, Any], site: Site = MAP) -> Any:
    return from_json(json.dumps({"sites": [site.name]} | record))


def test_a_region_of_a_map_is_the_donors_and_the_rest_the_receivers() -> None:
    own, donor, made = change({"kind": "activation-patch", "region": [0, 0.5, 0.5, 1]})
    assert torch.equal(made[..., :3, 3:], donor[..., :3, 3:])
    assert torch.equal(made[..., 3:, :], own[..., 3:, :])
    assert torch.equal(made[..., :3, :3], own[..., :3, :3])


def test_tokens_are_the_donors_and_the_rest_the_receivers() -> None:
    own, donor, made = change({"kind": "activation-patch", "tokens": [1, -1]}, TOKENS)
    assert torch.equal(made[:, [1, 4]], donor[:, [1, 4]])
    assert torch.equal(made[:, [0, 2, 3]], own[:, [0, 2, 3]])


@pytest.mark.parametrize("site", [MAP, TOKENS])
def test_a_subspace_is_the_donors_and_its_complement_the_receivers(site: Site) -> None:
    rows = [[1.0, 1, 0, 0], [2.0, 2, 0, 0], [0, 1, 0, 3.0]]  # two directions: one row says nothing new
    own, donor, made = change({"kind": "activation-patch", "subspace": rows}, site)
    own, donor, made = (value.movedim(1, -1) if site is MAP else value for value in (own, donor, made))
    spanned = torch.tensor(rows).T
    torch.testing.assert_close(made @ spanned, donor @ spanned)
    across = torch.tensor([[0.0, 0, 1, 0], [3.0, -3, 0, 1]]).T
    torch.testing.assert_close(made @ across, own @ across)


@pytest.mark.parametrize("site", [MAP, TOKENS])
def test_steering_adds_the_dose_times_the_direction(site: Site) -> None:
    own, _, made = change({"kind": "steering", "direction": [0, 1, 0, -2], "dose": -0.5}, site)
    moved = (made - own).movedim(1 if site is MAP else -1, 0).flatten(1)
    torch.testing.assert_close(moved, torch.tensor([0, -0.5, 0, 1.0])[:, None].expand_as(moved))


def test_a_direction_of_grid_features_is_spread_over_the_map() -> None:
    own, _, made = change({"kind": "steering", "direction": list(range(16))})
    assert [float(value) for value in (made - own)[0, 2, ::3, ::3].flatten().round()] == [8, 9, 10, 11]


def test_ablations_put_zero_the_mean_or_noise_of_the_same_moments() -> None:
    site = Site("m", "block", 0.5, (4, 60, 60))
    mean, spread = torch.arange(4.0)[:, None, None].expand(site.shape), torch.full(site.shape, 0.5)
    material = Material((1, 2, 3), {"m": Reference({NOW: mean}, {NOW: spread})})
    assert not change({"kind": "ablation", "value": "zero"}, site)[2].any()
    assert torch.equal(change({"kind": "ablation", "value": "mean"}, site, material)[2], mean.expand(3, *site.shape))
    made = change({"kind": "ablation", "value": "noise"}, site, material)[2]
    assert torch.equal(made, change({"kind": "ablation", "value": "noise"}, site, material)[2])
    torch.testing.assert_close(made.mean((0, 2, 3)), torch.arange(4.0), atol=0.03, rtol=0)
    torch.testing.assert_close(made.std((0, 2, 3)), torch.full((4,), 0.5), atol=0.03, rtol=0)
    assert not torch.equal(made[0], made[1])


def test_erasure_in_the_forward_pass_is_that_of_concept_erasure() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it compiles with torch.jit, which is deprecated
        from concept_erasure import LeaceFitter
    torch.manual_seed(0)
    codes = torch.arange(60) % 3
    images = torch.randn(60, 2, 5, 5) + codes[:, None, None, None]
    model = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Tanh()).requires_grad_(requires_grad=False)
    seen = model[0](images).movedim(1, -1).flatten(0, 2).double()
    named = codes.repeat_interleave(25)
    theirs = LeaceFitter.fit(seen, nn.functional.one_hot(named, 3).double(), shrinkage=False, svd_tol=1e-6).eraser
    ours = EraserFitter(4, classes=3).update(seen.numpy(), named.numpy()).result()
    site = Site("0", "block", 0, (4, 5, 5))
    rows = torch.arange(60)
    act = change_of(Erasure.of(ours, ["0"]), site, Material())
    edit = Edit(site, act, rows, rows[:0], (0, 0), frozenset({"cond"}))
    with Intervened(model, [edit], layout=UNGUIDED, samples=60):
        erased = model(images)
    expected = theirs(seen).float().unflatten(0, (60, 5, 5)).movedim(-1, 1).tanh()
    torch.testing.assert_close(erased, expected, atol=1e-5, rtol=0)
    assert (model(images) - erased).abs().max() > 0.1
    left = erased.atanh().movedim(1, -1).flatten(0, 2)
    means = np.stack([left[named == k].mean(0) for k in range(3)])
    np.testing.assert_allclose(means, means[:1].repeat(3, 0), atol=1e-4)


@pytest.mark.parametrize(
    ("record", "site", "message"),
    [
        ({"kind": "activation-patch", "region": [0, 0, 1, 1]}, TOKENS, "A region needs a map"),
        ({"kind": "activation-patch", "tokens": [5]}, TOKENS, "are not among those of t"),
        ({"kind": "activation-patch", "tokens": [0]}, MAP, "are not among those of m"),
        ({"kind": "activation-patch", "subspace": [[1, 2]]}, MAP, "A subspace for m must have 4 values"),
        ({"kind": "steering", "direction": [1, 2, 3]}, MAP, "must have 4 values, or k x k times"),
        ({"kind": "erasure", "mean": [0], "into": [[1]], "away": [[1]]}, MAP, "An erasure for m must have 4 values"),
    ],
)
def test_what_does_not_fit_the_site_is_refused(record: dict[str, Any], site: Site, message: str) -> None:
    with pytest.raises(InputError, match=message):
        change(record, site)
