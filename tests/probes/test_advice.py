"""What is advised works: following it ends in splits, never in another error."""

import re

import numpy as np
import pandas as pd
import pytest

from outcrop.data.errors import InputError
from outcrop.probes.advice import split_or_advise
from outcrop.probes.grouping import grouped_columns
from outcrop.probes.properties import Target
from outcrop.probes.splits import make_splits


def few_prompts(seed: int) -> tuple[pd.DataFrame, list[Target]]:
    rng = np.random.default_rng(seed)
    n, templates, prompts = (int(rng.integers(*bounds)) for bounds in ((12, 60), (1, 6), (2, 12)))
    prompt = rng.integers(prompts, size=n)
    samples = pd.DataFrame({"template": prompt % templates, "prompt": prompt.astype(str), "seed": np.arange(n)})
    codes = np.unique(prompt % 3, return_inverse=True)[1]
    targets = [
        Target("content", codes, tuple("abc"[: codes.max() + 1])),
        Target("luck", rng.integers(2, size=n), ("x", "y")),
    ]
    return samples, targets


@pytest.mark.parametrize("seed", range(40))
def test_every_advice_can_be_followed(seed: int) -> None:
    samples, targets = few_prompts(seed)
    try:
        split_or_advise(samples, targets, group_by=("template", "seed"), folds=5, seed=0)
        return
    except InputError as error:
        said = str(error)
    fewer = [
        int(count) for count in re.findall(r"fewer folds \(--folds (\d), in Python spec=ProbeSpec\(folds=\1\)\)", said)
    ]
    for folds in fewer:
        assert make_splits(samples, targets, group_by=("template", "seed"), folds=folds, seed=0).folds
    for name, folds in re.findall(r"--group-by (\w+), [^)]*\)\)\)(?: and use --folds (\d))?", said):
        assert make_splits(samples, targets, group_by=(name,), folds=int(folds or 5), seed=0).folds
    for name in re.findall(r"probe '(\w+)' alone", said):
        own = [target for target in targets if target.name == name]
        assert make_splits(samples, own, group_by=("template", "seed"), folds=5, seed=0).folds
    assert fewer or "--group-by" in said or "alone" in said or "capture more prompts" in said


def test_a_prompt_that_all_share_is_no_obstacle() -> None:
    samples = pd.DataFrame({"template": "", "prompt": "face", "seed": np.arange(60)})
    assert grouped_columns(samples, None) == ("seed",)
    splits = split_or_advise(samples, [], group_by=grouped_columns(samples, None), folds=5, seed=0)
    assert splits.grouping.apart == ("seed",)
    alone = samples.assign(seed=0)
    splits = split_or_advise(alone, [], group_by=grouped_columns(alone, None), folds=5, seed=0)
    assert splits.grouping.name == "sample"
    assert splits.grouping.units[0].count == 60


def test_a_property_that_hinders_is_named() -> None:
    template = np.arange(60) % 10
    samples = pd.DataFrame({"template": template, "seed": np.arange(60)})
    targets = [
        Target("content", (template < 2).astype(np.int64), ("cat", "dog")),
        Target("style", np.arange(60) // 10 % 2, ("flat", "neon")),
    ]
    with pytest.raises(
        InputError, match=r"Class 'dog' .* 2 groups.*one can group by 'seed' alone.*probe 'style' alone"
    ):
        split_or_advise(samples, targets, group_by=("template", "seed"), folds=5, seed=0)
