"""Control tasks are random, per group, with the real frequencies."""

import numpy as np
import pytest

from outcrop.probes.control import control_task
from outcrop.probes.properties import Target


def make_target(seed: int = 0, n: int = 600) -> tuple[Target, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    rng = np.random.default_rng(seed)
    return Target("content", rng.choice(3, size=n, p=[0.6, 0.3, 0.1]), ("a", "b", "c")), rng.integers(60, size=n)


@pytest.mark.parametrize("seed", range(5))
def test_groups_share_a_label_and_frequencies_are_kept(seed: int) -> None:
    target, groups = make_target(seed)
    control = control_task(target, groups, folds=groups % 5, seed=seed)
    assert all(len(set(control.codes[groups == group])) == 1 for group in np.unique(groups))
    real, drawn = (np.bincount(codes, minlength=3) / 600 for codes in (target.codes, control.codes))
    assert np.abs(real - drawn).max() < 0.1


def test_the_seed_decides_and_properties_differ() -> None:
    target, groups = make_target()
    other = Target("style", target.codes, target.classes)
    folds = groups % 5
    first, again = (control_task(target, groups, folds=folds, seed=1).codes for _ in range(2))
    assert (first == again).all()
    assert (first != control_task(target, groups, folds=folds, seed=2).codes).any()
    assert (first != control_task(other, groups, folds=folds, seed=1).codes).any()
    assert (first != control_task(target, groups, folds=folds, seed=1, draw=1).codes).any()


def test_missing_labels_stay_missing() -> None:
    target, groups = make_target()
    target.codes[:50] = -1
    control = control_task(target, groups, folds=groups % 5, seed=0)
    assert ((control.codes == -1) == (target.codes == -1)).all()


def test_a_fold_tells_nothing_of_another_and_each_is_as_even_as_can_be() -> None:
    """Guessing the training rows' most frequent control label is right as often as chance, not less."""
    groups = np.repeat(np.arange(12), 5)
    folds = groups % 4
    target = Target("content", np.arange(60) % 3, ("a", "b", "c"))
    hits = []
    for seed in range(300):
        codes = control_task(target, groups, folds=folds, seed=seed).codes
        guesses = [np.bincount(codes[folds != fold]).argmax() for fold in range(4)]
        hits.append(np.mean([(codes[folds == fold] == guess).mean() for fold, guess in enumerate(guesses)]))
        assert all(set(codes[folds == fold]) == {0, 1, 2} for fold in range(4))
    assert np.mean(hits) == pytest.approx(1 / 3, abs=0.01)
