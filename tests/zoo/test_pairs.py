"""Scenes of two objects: the relation holds in the true masks, and it alone tells mirrored pairs apart."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from outcrop.zoo.pairs import RELATIONS, PairScene, as_shown, draw_pairs, render_pairs
from outcrop.zoo.scenes import CONTENTS, SIZE


@pytest.fixture(scope="module")
def pairs() -> list[PairScene]:
    return draw_pairs(200, seed=4)


def test_pictures_are_a_function_of_labels_and_seed(pairs: list[PairScene]) -> None:
    assert draw_pairs(200, seed=4) == pairs
    first, again = render_pairs(pairs[:10]), render_pairs(pairs[:10][::-1])
    np.testing.assert_array_equal(first.images, again.images[::-1])
    assert first.images.shape == (10, SIZE, SIZE, 3)
    assert 0 <= first.images.min() <= first.images.max() <= 1


def test_the_first_stands_in_the_relation_to_the_second(pairs: list[PairScene]) -> None:
    rendered = render_pairs(pairs)
    for pair, boxes in zip(pairs, rendered.boxes, strict=True):
        (x, y), (u, v) = (boxes[:, :2] + boxes[:, 2:]) / 2
        apart = {"left of": u - x, "right of": x - u, "above": v - y, "below": y - v}
        assert max(apart, key=lambda name: apart[name]) == pair.relation


def test_objects_lie_whole_in_the_picture_and_apart(pairs: list[PairScene]) -> None:
    rendered = render_pairs(pairs)
    assert rendered.boxes.min() >= 0
    assert rendered.boxes.max() <= SIZE
    assert not (rendered.masks[:, 0] & rendered.masks[:, 1]).any()
    for both, boxes in zip(rendered.masks, rendered.boxes, strict=True):
        for mask, (x0, y0, x1, y1) in zip(both, boxes, strict=True):
            assert mask.sum() == mask[y0:y1, x0:x1].sum() > 0


def test_labels_are_uniform_and_contents_always_differ() -> None:
    drawn = draw_pairs(20_000, seed=0)
    counts = dict.fromkeys(itertools.permutations(CONTENTS, 2), 0)
    for scene in drawn:
        counts[scene.first, scene.second] += 1
    np.testing.assert_allclose(np.array(list(counts.values())) / len(drawn), 1 / 56, atol=0.005)
    shares = [sum(scene.relation == name for scene in drawn) / len(drawn) for name in RELATIONS]
    np.testing.assert_allclose(shares, 0.25, atol=0.015)


def test_what_is_shown_does_not_depend_on_who_is_named_first() -> None:
    opposite = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
    seen = set()
    for relation in RELATIONS:
        one = PairScene("star", "disc", relation, "flat", "red", 0)
        other = replace(one, first="disc", second="star", relation=opposite[relation])
        assert as_shown(one) == as_shown(other)
        seen.add(as_shown(one))
    assert len(seen) == 4


def test_the_same_content_twice_and_unknown_labels_are_refused() -> None:
    pair = PairScene("star", "disc", "above", "flat", "red", 0)
    with pytest.raises(ValueError, match="two different contents"):
        render_pairs([replace(pair, second="star")])
    with pytest.raises(ValueError, match=r"relation must be one of \[.*\]\. Got 'beside'"):
        render_pairs([replace(pair, relation="beside")])
