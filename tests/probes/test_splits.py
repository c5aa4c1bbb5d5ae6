"""Nothing of a test sample is seen in training."""

import numpy as np
import pandas as pd
import pytest

from outcrop.data.errors import InputError
from outcrop.probes.properties import Target
from outcrop.probes.splits import Splits, make_splits


def random_samples(seed: int) -> tuple[pd.DataFrame, Target]:
    """A design of random size whose templates, seeds and prompts overlap at random."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(80, 300))
    template = rng.integers(int(rng.integers(6, 30)), size=n)
    seeds = rng.integers(int(rng.integers(8, 2 * n)), size=n)
    codes = rng.integers(int(rng.integers(2, 4)), size=n)
    samples = pd.DataFrame(
        {"template": template, "seed": seeds, "prompt": [f"{t} {c}" for t, c in zip(template, codes, strict=True)]}
    )
    return samples, Target("label", codes, tuple("abc"[: codes.max() + 1]))


def assert_apart(splits: Splits, samples: pd.DataFrame) -> None:
    for fold in splits.folds:
        for column in splits.grouping.apart:
            assert not set(samples[column][fold.train]) & set(samples[column][fold.test])
    for inner in splits.inner:
        for own, validated in inner.validate:
            assert not (inner.train & ~splits.folds[own].train).any()
            assert not (validated & ~splits.folds[own].train).any()
            for column in splits.grouping.apart:
                assert not set(samples[column][inner.train]) & set(samples[column][validated])


@pytest.mark.parametrize("seed", range(40))
def test_no_value_of_a_grouped_column_is_on_both_sides(seed: int) -> None:
    samples, target = random_samples(seed)
    try:
        splits = make_splits(samples, [target], group_by=("template", "seed"), folds=4, seed=seed)
    except InputError as error:
        assert "no training sample" in str(error) or "occurs in" in str(error)  # noqa: PT017 - some designs cannot be split
        return
    assert_apart(splits, samples)
    assert (np.sum([fold.test for fold in splits.folds], axis=0) == 1).all()
    assert {own for inner in splits.inner for own, _ in inner.validate} == set(range(len(splits.folds)))


def test_templates_suffice_where_every_seed_occurs_once() -> None:
    samples = pd.DataFrame({"template": np.arange(60) % 10, "seed": np.arange(60), "prompt": np.arange(60).astype(str)})
    splits = make_splits(samples, [], group_by=("template", "seed"), folds=5, seed=0)
    assert splits.scheme == "single"
    assert splits.grouping.name == "template"
    assert_apart(splits, samples)


def test_a_combination_is_kept_apart_and_its_parts_are_not() -> None:
    content, style = np.arange(240) % 6, np.arange(240) // 6 % 5
    samples = pd.DataFrame({"content": content, "style": style, "seed": np.arange(240)})
    targets = [Target("content", content, tuple("abcdef")), Target("style", style, tuple("abcde"))]
    splits = make_splits(samples, targets, group_by=("content * style", "seed"), folds=4, seed=0)
    assert splits.grouping.name == "content * style"
    for fold in splits.folds:
        pairs = [set(zip(content[rows], style[rows], strict=True)) for rows in (fold.train, fold.test)]
        assert not pairs[0] & pairs[1]
        assert set(content[fold.train]) == set(range(6))
        assert set(style[fold.train]) == set(range(5))


def test_an_empty_part_leaves_its_sample_alone_and_an_unknown_one_is_named() -> None:
    samples = pd.DataFrame({"content": ["a", "a", "b", "b", None, None], "style": list("xxyyxx")})
    splits = make_splits(samples, [], group_by=("content*style",), folds=3, seed=0)
    assert splits.describe()["units"] == {"content*style": 4}
    with pytest.raises(InputError, match=r"'styl', which is no sample column.*'style'"):
        make_splits(samples, [], group_by=("content * styl",), folds=3, seed=0)


def test_components_serve_where_columns_cross_within_islands() -> None:
    island = np.arange(120) // 10
    samples = pd.DataFrame({"template": 2 * island + np.arange(120) % 2, "seed": 5 * island + np.arange(120) // 2 % 5})
    splits = make_splits(samples, [], group_by=("template", "seed"), folds=5, seed=0)
    assert splits.scheme == "components"
    assert splits.grouping.units[0].count == 12
    assert_apart(splits, samples)


def test_blocks_serve_where_templates_and_seeds_are_fully_crossed() -> None:
    samples = pd.DataFrame({"template": np.arange(100) % 10, "seed": np.arange(100) // 10})
    target = Target("label", np.random.default_rng(0).integers(2, size=100), ("a", "b"))
    splits = make_splits(samples, [target], group_by=("template", "seed"), folds=5, seed=0)
    assert splits.scheme == "blocks"
    assert len(splits.folds) == 25
    assert_apart(splits, samples)


def test_the_same_prompt_is_never_on_both_sides() -> None:
    samples = pd.DataFrame({"seed": np.arange(80), "prompt": (np.arange(80) % 16).astype(str), "template": ""})
    splits = make_splits(samples, [], group_by=("seed",), folds=4, seed=0)
    assert splits.grouping.apart == ("seed", "prompt")
    assert_apart(splits, samples)


def test_folds_balance_sizes_and_classes() -> None:
    rng = np.random.default_rng(0)
    samples = pd.DataFrame({"template": rng.integers(40, size=400)})
    target = Target("label", rng.integers(4, size=400), tuple("abcd"))
    splits = make_splits(samples, [target], group_by=("template",), folds=5, seed=0)
    counts = np.stack([np.bincount(target.codes[fold.test], minlength=4) for fold in splits.folds])
    assert np.ptp(counts.sum(1)) <= 8
    assert np.ptp(counts, axis=0).max() <= 6


def test_the_seed_decides() -> None:
    samples, target = random_samples(1)
    first, again, other = (make_splits(samples, [target], group_by=("template",), folds=4, seed=s) for s in (5, 5, 6))
    tests = [np.stack([fold.test for fold in splits.folds]) for splits in (first, again, other)]
    assert (tests[0] == tests[1]).all()
    assert (tests[0] != tests[2]).any()


@pytest.mark.parametrize(
    ("columns", "group_by", "message"),
    [
        ({"seed": range(40)}, ("templat",), r"'templat', which is no sample column"),
        ({"seed": range(40), "template": [""] * 40}, ("template",), r"'template', which is empty for all 40"),
        (
            {"seed": range(40), "template": [0, 1, 2, 3] * 10},
            ("template", "seed"),
            r"'template', which has 4 distinct values; 5 folds need at least 5",
        ),
        ({"seed": [1] * 40}, ("seed",), "'seed', which has 1 distinct value; 5 folds"),
        (
            {"seed": range(40), "prompt": ["a", "b"] * 20},
            ("seed",),
            r"2 distinct values of 'prompt', which is never shared",
        ),
    ],
)
def test_columns_that_cannot_be_grouped_are_named(
    columns: dict[str, list[object]], group_by: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make_splits(pd.DataFrame(columns), [], group_by=group_by, folds=5, seed=0)


@pytest.mark.parametrize(("count", "groups"), [(3, "3 groups"), (1, "1 group")])
def test_a_class_in_too_few_groups_is_named(count: int, groups: str) -> None:
    template = np.arange(60) % 10
    target = Target("content", (template < count).astype(np.int64), ("cat", "dog"))
    samples = pd.DataFrame({"template": template})
    message = f"Class 'dog' of property 'content' occurs in {groups} of 'template'; 5 folds"
    with pytest.raises(InputError, match=message):
        make_splits(samples, [target], group_by=("template",), folds=5, seed=0)
