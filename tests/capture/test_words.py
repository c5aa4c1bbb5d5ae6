from importlib import resources
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from outcrop.capture.words import word_tokens
from outcrop.data.errors import InputError


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    folder = Path(str(resources.files("outcrop.zoo"))) / "models" / "unet" / "tokenizer"
    found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
    return found


@pytest.mark.parametrize("prompt", ["a dotted star", "bottom right, a neon heart", "a flat ring in the centre"])
def test_the_tokens_of_a_word_spell_it(tokenizer: PreTrainedTokenizerBase, prompt: str) -> None:
    ids = tokenizer(prompt)["input_ids"]
    found = word_tokens(tokenizer, prompt)
    assert list(found) == prompt.replace(",", "").split()
    for word, places in found.items():
        assert tokenizer.decode([ids[place] for place in places]).strip() == word
    assert min(place for places in found.values() for place in places) == 1  # the first marks the beginning


def test_a_word_that_comes_again_has_all_its_tokens_and_one_cut_off_none(tokenizer: PreTrainedTokenizerBase) -> None:
    found = word_tokens(tokenizer, "a star, a star")
    assert (len(found["a"]), len(found["star"])) == (2, 2)
    assert "ring" not in word_tokens(tokenizer, " ".join(["star"] * 40) + " ring")


def test_a_tokenizer_that_cannot_tell_is_refused() -> None:
    with pytest.raises(InputError, match=r"object does not tell.*fast tokenizer"):
        word_tokens(object(), "a star")
