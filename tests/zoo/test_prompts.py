"""Prompts of scenes: they say what the scene shows, in words that the tokenizer knows."""

import itertools
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import yaml

from outcrop.zoo.pairs import RELATIONS, PairScene, draw_pairs
from outcrop.zoo.prompts import (
    CONTENT_WORDS,
    LAYOUT_WORDS,
    PAIR_TEMPLATES,
    RELATION_WORDS,
    STYLE_WORDS,
    TEMPLATES,
    draw_pair_prompt,
    draw_prompt,
    labels_in,
    write_pair_prompt,
    write_prompt,
)
from outcrop.zoo.scenes import CONTENTS, LAYOUTS, STYLES, Scene, draw_scenes
from outcrop.zoo.training.tokenizer import MAX_LENGTH, build_tokenizer


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return draw_scenes(400, seed=1)


def test_every_label_has_words_of_its_own() -> None:
    for names, table in (
        (CONTENTS, CONTENT_WORDS),
        (STYLES, STYLE_WORDS),
        (LAYOUTS, LAYOUT_WORDS),
        (RELATIONS, RELATION_WORDS),
    ):
        assert set(table) == set(names)
        words = [word for options in table.values() for word in options]
        assert len(set(words)) == len(words)


@pytest.mark.parametrize("template", range(len(TEMPLATES)))
@pytest.mark.parametrize("synonyms", list(itertools.product((0, 1), repeat=3)))
def test_a_prompt_names_content_style_and_layout(
    scenes: list[Scene], template: int, synonyms: tuple[int, int, int]
) -> None:
    for scene in scenes[:50]:
        named = write_prompt(scene, template=template, synonyms=synonyms, colour=True)
        bare = write_prompt(scene, template=template, synonyms=synonyms, colour=False)
        words = (CONTENT_WORDS[scene.content], STYLE_WORDS[scene.style], LAYOUT_WORDS[scene.layout])
        for options, choice in zip(words, synonyms, strict=True):
            assert options[choice] in named
            assert options[choice] in bare
        assert scene.colour in named.split()
        assert scene.colour not in bare.split()


@pytest.mark.parametrize("template", range(len(PAIR_TEMPLATES)))
def test_a_prompt_of_two_says_which_stands_in_which_relation_to_which(template: int) -> None:
    for pair in draw_pairs(50, seed=2):
        prompt = write_pair_prompt(pair, template=template, colour=False)
        assert pair.style in prompt.split()
        assert prompt.index(f" {pair.first}") < prompt.index(pair.relation) < prompt.index(f" {pair.second}")


def test_articles_are_english() -> None:
    orange = write_prompt(Scene("star", "outlined", "centre", "orange", 0), template=0, colour=True)
    assert orange.startswith("an outlined orange star")
    assert write_prompt(Scene("star", "flat", "top", "red", 0), template=0, colour=False) == "a flat star at the top"
    pair = PairScene("square", "star", "above", "flat", "red", 0)
    assert write_pair_prompt(pair, synonyms=(0, 1, 0, 1), colour=True) == "a flat red square over an asterisk"


def test_drawn_prompts_depend_on_the_generator_alone(scenes: list[Scene]) -> None:
    first, again = ([draw_prompt(scene, np.random.default_rng(3)) for scene in scenes] for _ in range(2))
    assert first == again
    rng = np.random.default_rng(0)
    named = [scene.colour in draw_prompt(scene, rng).split() for scene in scenes]
    assert 0.35 < np.mean(named) < 0.65


def test_the_demo_uses_the_words_that_the_model_was_trained_on() -> None:
    demo = yaml.safe_load((Path(str(resources.files("outcrop.zoo"))) / "demo.yaml").read_text())
    tables = {"content": CONTENT_WORDS, "style": STYLE_WORDS, "layout": LAYOUT_WORDS}
    assert tuple(demo["prompts"]["templates"]) == TEMPLATES
    assert {
        name: {label: tuple(words) for label, words in options.items()}
        for name, options in demo["prompts"]["factors"].items()
    } == tables


def test_the_tokenizer_knows_every_word_as_one_token_and_holds_every_prompt(scenes: list[Scene]) -> None:
    tokenizer = build_tokenizer(prompts=2000)
    rng = np.random.default_rng(0)
    pairs = [draw_pair_prompt(pair, rng) for pair in draw_pairs(400, seed=1)]
    for prompt in [*(draw_prompt(scene, rng) for scene in scenes), *pairs]:
        ids = tokenizer(prompt)["input_ids"]
        assert len(ids) <= MAX_LENGTH
        assert tokenizer.decode(ids, skip_special_tokens=True).replace(" ,", ",").strip() == prompt
        assert len(ids) == len(prompt.replace(",", " ,").split()) + 2


def test_the_labels_are_read_off_any_prompt_of_the_scene_world() -> None:
    rng = np.random.default_rng(3)
    for scene in draw_scenes(200, seed=3):
        found = labels_in(draw_prompt(scene, rng))
        assert found.pop("colour", scene.colour) == scene.colour
        assert found == {"content": scene.content, "style": scene.style, "layout": scene.layout}
    assert labels_in("starboard, topmost and redder") == {}
    assert labels_in("a hatched star left of a disc")["style"] == "hatched"
