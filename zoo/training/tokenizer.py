"""A small CLIP tokenizer: byte-pair merges learned from the scene world's own prompts."""

import json

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from outcrop.zoo.pairs import draw_pairs
from outcrop.zoo.prompts import draw_pair_prompt, draw_prompt
from outcrop.zoo.scenes import draw_scenes

MAX_LENGTH = 16
WORD_END = "</w>"
START, END = "<|startoftext|>", "<|endoftext|>"


def build_tokenizer(*, prompts: int = 4000, seed: int = 0) -> CLIPTokenizer:
    """Learn merges until every word of the prompts is one token; any other text falls back to bytes."""
    rng = np.random.default_rng(seed)
    corpus = [draw_prompt(scene, rng) for scene in draw_scenes(prompts, seed=seed)]
    corpus += [draw_pair_prompt(pair, rng) for pair in draw_pairs(prompts // 2, seed=seed)]
    learner = Tokenizer(models.BPE(end_of_word_suffix=WORD_END))
    learner.pre_tokenizer = pre_tokenizers.Whitespace()
    learner.train_from_iterator(
        corpus, trainers.BpeTrainer(vocab_size=2000, end_of_word_suffix=WORD_END, show_progress=False)
    )
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, *(letter + WORD_END for letter in alphabet), *("".join(pair) for pair in merges)]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys([*tokens, START, END]))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAX_LENGTH)
