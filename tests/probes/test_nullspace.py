"""What null-space projection removes cannot be read any more, and the rest can."""

import numpy as np
import pytest

from outcrop.data.errors import InputError
from outcrop.probes.estimator import LinearProbe
from outcrop.probes.nullspace import erasure_effect, removed_directions
from outcrop.probes.sweep import ProbeSpec

BRIEF = ProbeSpec(group_by=("template",), bootstraps=50, strengths=(0.01, 0.1, 1.0))


def test_removed_directions_are_orthonormal_grow_and_hold_the_property() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(3, size=300)
    x = rng.standard_normal((300, 10))
    x[:, :2] += 3 * np.array([[0, 0], [1, 0], [0, 1]])[codes]
    found = removed_directions(x, codes, rounds=3)
    for before, basis in zip([np.zeros((10, 0)), *found], found, strict=False):
        np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-10)
        np.testing.assert_allclose(basis @ (basis.T @ before), before, atol=1e-10)
    left = x - (x @ found[-1]) @ found[-1].T
    assert LinearProbe().fit(x, codes).score(x, codes) > 0.85
    assert LinearProbe(C=0.1).fit(left, codes).score(left, codes) < 0.5
    assert removed_directions(np.zeros((300, 4)), codes, rounds=2) == []


def test_an_erased_property_is_gone_on_new_groups_and_another_stays(recording) -> None:
    rng = np.random.default_rng(1)
    style = recording.labels["style"].to_numpy()
    values = np.array(recording.arrays["mid", 1]).reshape(240, 12)
    apart = np.concatenate([values, 3 * np.eye(4)[style] + rng.standard_normal((240, 4))], axis=1)
    recording.arrays["mid", 1] = apart.astype(np.float32)
    found = erasure_effect(recording, "content", site="mid", step=1, others=("style",), rounds=(1, 3), spec=BRIEF)
    rows = found.set_index(["property", "erased_by", "rounds"])
    own, other = rows.loc["content"], rows.loc["style"]
    assert own.loc[("nothing", 0), "accuracy"] > 0.9
    for kind in [("leace", 0), ("inlp", 3)]:
        assert own.loc[kind, "accuracy"] < own.loc[kind, "majority"] + 0.12
        assert other.loc[kind, "accuracy"] > 0.85
    assert own.loc[("leace", 0), "directions"] == 2
    assert own.loc[("inlp", 3), "directions"] > own.loc[("inlp", 1), "directions"] >= 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rounds": (0,)}, "each of rounds must be at least 1. Got 0"),
        ({"rounds": 1}, r"rounds must be a sequence. Got 1; write \(1,\)"),
        ({"others": "style"}, r"others must be a sequence of names, not one string. Got 'style'; write \('style',\)"),
    ],
)
def test_rounds_and_others_without_sense_are_refused(recording, settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        erasure_effect(recording, "content", site="mid", step=1, spec=BRIEF, **settings)


def test_a_round_takes_one_direction_fewer_than_there_are_classes() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(4, size=400)
    x = (rng.standard_normal((400, 40)) + rng.standard_normal((4, 40))[codes]).astype(np.float32)
    assert [basis.shape[1] for basis in removed_directions(x, codes, rounds=3)] == [3, 6, 9]
    two = [basis.shape[1] for basis in removed_directions(x, codes % 2, rounds=3)]
    assert two == [1, 2, 3]


def test_whoever_waits_is_told_how_far_it_is(recording) -> None:
    calls: list[tuple[int, int]] = []
    tell = lambda done, total: calls.append((done, total))  # noqa: E731
    erasure_effect(recording, "content", site="mid", step=1, rounds=(1,), spec=BRIEF, progress=tell)
    assert calls == [(done, 8) for done in range(1, 9)]
