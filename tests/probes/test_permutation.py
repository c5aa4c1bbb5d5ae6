"""Permuted labels: who may change places, and how often nothing is taken for something."""

import dataclasses
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

from outcrop.probes.design import fit_rotation, stack_designs
from outcrop.probes.permutation import (
    UntestedWarning,
    adjusted,
    permutation_hits,
    permutation_p_value,
    permuted_codes,
)
from outcrop.probes.plan import make_plan
from outcrop.probes.properties import MISSING, Target, encode
from outcrop.probes.spec import ProbeSpec

Codes = np.ndarray[tuple[int], np.dtype[np.int64]]
GROUPS = 12


def p_value(x: np.ndarray, y: Codes, groups: Codes, prompts: Codes, *, seed: int) -> float:
    target, dealt = encode(pd.Series(y), name="y"), np.random.default_rng(seed).permutation(GROUPS)[groups] % 4
    x = x.astype(np.float32)
    rows = np.stack([dealt != fold for fold in range(4)])
    rotations = [fit_rotation(x[train]) for train in rows]
    designs, tested = stack_designs(x, rotations, rows), stack_designs(x, rotations, ~rows)
    codes = permuted_codes(target, groups, prompts, permutations=19, seed=seed)
    return permutation_p_value(permutation_hits(designs, tested, target, codes), codes)


def draw(kind: str, *, effect: float, seed: int) -> float:
    """The p-value of one data set of 72 rows whose groups, and prompts, resemble themselves."""
    rng, n = np.random.default_rng(seed), 72
    groups, prompts = np.repeat(np.arange(GROUPS), n // GROUPS), np.arange(n)
    x = rng.standard_normal((n, 8)) + 1.5 * rng.standard_normal((GROUPS, 8))[groups]
    if kind == "independent":
        y = rng.integers(3, size=n)
    elif kind == "uneven groups":
        y = np.concatenate([rng.choice(3, size=n // GROUPS, p=rng.dirichlet([0.7] * 3)) for _ in range(GROUPS)])
    elif kind == "prompts of two rows":
        prompts = np.arange(n) // 2
        y = rng.integers(3, size=n // 2)[prompts]
        x += 2 * rng.standard_normal((n // 2, 8))[prompts]
    else:
        y, other, groups = np.arange(n) % 3, np.arange(n) // 3 % 4, rng.permutation(groups)
        x += 3 * rng.standard_normal((4, 8))[other]
    return p_value(x + effect * rng.standard_normal((3, 8))[y], y, groups, prompts, seed=seed)


@pytest.mark.parametrize("kind", ["independent", "uneven groups", "prompts of two rows", "full grid"])
def test_nothing_is_found_no_more_often_than_promised(kind: str) -> None:
    """At most 10 % below 0.1, give or take three standard errors of 120 trials."""
    values = np.array([draw(kind, effect=0.0, seed=seed) for seed in range(120)])
    assert (values <= 0.1).mean() <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 120)
    assert values.mean() >= 0.45


@pytest.mark.parametrize("kind", ["independent", "uneven groups"])
def test_what_was_planted_is_found(kind: str) -> None:
    assert np.mean([draw(kind, effect=1.5, seed=seed) for seed in range(10)]) < 0.1


def test_labels_stay_in_their_group_with_their_prompt() -> None:
    rng = np.random.default_rng(0)
    groups, prompts = np.arange(120) // 20, np.arange(120) // 4
    target = Target("y", rng.integers(3, size=30)[prompts], ("a", "b", "c"))
    target.codes[40:44] = MISSING
    codes = permuted_codes(target, groups, prompts, permutations=20, seed=0)
    assert (codes[0] == target.codes).all()
    assert (codes[1:] != target.codes).any(1).all()
    assert ((codes == MISSING) == (target.codes == MISSING)).all()
    for permuted in codes:
        assert all(len(set(permuted[prompts == prompt])) == 1 for prompt in range(30))
        for group in range(6):
            own = groups == group
            assert (np.sort(permuted[own]) == np.sort(target.codes[own])).all()


def test_a_property_of_the_group_has_no_p_value() -> None:
    groups = np.arange(72) // 6
    x = np.random.default_rng(0).standard_normal((72, 4))
    assert np.isnan(p_value(x, groups % 3, groups, np.arange(72), seed=0))


def test_a_property_without_p_values_is_told_before_the_sweep_with_the_reason_and_the_way_out(recording) -> None:
    recording.labels["tone"] = np.where(np.arange(240) % 12 < 6, "dark", "light")  # a template has one tone
    asked = ProbeSpec(permutations=9, properties=("content", "tone"), group_by=("template",))
    with pytest.warns(UntestedWarning, match=r"^'tone' will have no p-values.* a template have the same label"):
        make_plan(recording, asked)
    recording.samples["template"] = recording.samples["prompt"]  # as where the prompts' file has no such column
    with pytest.warns(UntestedWarning, match=r"'content', 'tone' .* each template has one prompt alone.*'template'"):
        make_plan(recording, asked)
    recording.samples["wording"] = np.arange(240) % 8
    with warnings.catch_warnings(action="error"):
        make_plan(recording, dataclasses.replace(asked, group_by=("wording",)))


def test_q_values_are_benjamini_and_hochbergs() -> None:
    p_values = np.random.default_rng(0).random(40) ** 3
    np.testing.assert_allclose(adjusted(p_values), false_discovery_control(p_values))
    np.testing.assert_allclose(adjusted(p_values, dependent=True), false_discovery_control(p_values, method="by"))
    assert np.isnan(adjusted(np.array([0.01, np.nan, 0.5]))).tolist() == [False, True, False]
