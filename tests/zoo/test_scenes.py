"""The scene world: pictures are a function of labels and seed, with true masks and boxes."""

import itertools

import numpy as np
import pytest

from outcrop.zoo.scenes import CELL_CENTRES, COLOURS, CONTENTS, LAYOUTS, SIZE, STYLES, Scene, draw_scenes, render


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return draw_scenes(300, seed=5)


def test_the_same_seed_gives_the_same_pictures(scenes: list[Scene]) -> None:
    assert draw_scenes(300, seed=5) == scenes
    assert draw_scenes(300, seed=6) != scenes
    first, again = render(scenes[:20]), render(scenes[:20][::-1])
    np.testing.assert_array_equal(first.images, again.images[::-1])
    np.testing.assert_array_equal(first.masks, again.masks[::-1])


def test_another_seed_gives_another_picture_of_the_same_labels() -> None:
    images = render([Scene("star", "flat", "centre", "red", seed) for seed in range(5)]).images
    assert len(np.unique(images.reshape(5, -1), axis=0)) == 5


def test_pictures_are_pixels_in_range(scenes: list[Scene]) -> None:
    images = render(scenes).images
    assert images.shape == (300, SIZE, SIZE, 3)
    assert images.dtype == np.float32
    assert images.min() >= 0
    assert images.max() <= 1


def test_boxes_are_the_tightest_around_the_masks(scenes: list[Scene]) -> None:
    rendered = render(scenes)
    for mask, (x0, y0, x1, y1) in zip(rendered.masks, rendered.boxes, strict=True):
        assert mask.sum() == mask[y0:y1, x0:x1].sum() > 0
        for edge in (mask[y0], mask[y1 - 1], mask[:, x0], mask[:, x1 - 1]):
            assert edge.any()


def test_the_object_lies_whole_in_the_cell_that_the_layout_names(scenes: list[Scene]) -> None:
    boxes = render(scenes).boxes
    assert boxes.min() >= 0
    assert boxes.max() <= SIZE
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    for scene, (x, y) in zip(scenes, middles, strict=True):
        cell = LAYOUTS.index(scene.layout)
        nearest = [int(np.abs(np.array(CELL_CENTRES) - place).argmin()) for place in (x, y)]
        assert nearest == [cell % 3, cell // 3]


def test_colour_stands_in_the_object_and_not_on_the_paper() -> None:
    for colour in COLOURS:
        rendered = render([Scene("square", "flat", "centre", colour, 3)])
        inside = rendered.images[0][rendered.masks[0]].mean(axis=0)
        outside = rendered.images[0][~rendered.masks[0]]
        assert np.abs(inside - COLOURS[colour]).max() < 0.12
        assert outside.mean() > 0.75


def test_every_combination_of_labels_is_another_picture() -> None:
    scenes = [Scene(*labels, "red", seed=11) for labels in itertools.product(CONTENTS, STYLES, LAYOUTS)]
    scenes += [Scene("ring", style, "top", colour, seed=11) for style in STYLES for colour in list(COLOURS)[1:]]
    assert len({image.tobytes() for image in render(scenes).images}) == len(scenes) == 8 * 6 * 9 + 6 * 5


def test_labels_are_drawn_uniformly_and_independently() -> None:
    drawn = draw_scenes(20_000, seed=0)
    for field, names in {"content": CONTENTS, "style": STYLES, "layout": LAYOUTS, "colour": tuple(COLOURS)}.items():
        shares = [sum(getattr(scene, field) == name for scene in drawn) / len(drawn) for name in names]
        np.testing.assert_allclose(shares, 1 / len(names), atol=0.015)
    pairs = [sum((s.content, s.style) == pair for s in drawn) for pair in itertools.product(CONTENTS, STYLES)]
    np.testing.assert_allclose(np.array(pairs) / len(drawn), 1 / 48, atol=0.006)


@pytest.mark.parametrize("field", ["content", "style", "layout", "colour"])
def test_an_unknown_label_is_refused(field: str) -> None:
    labels = {"content": "star", "style": "flat", "layout": "centre", "colour": "red"} | {field: "beige"}
    with pytest.raises(ValueError, match=rf"{field} must be one of \[.*\]\. Got 'beige'"):
        render([Scene(**labels, seed=0)])
