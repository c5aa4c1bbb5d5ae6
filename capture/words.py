"""Which tokens of a prompt belong to which of its words: for reading maps of words."""

import re
from typing import Any

from outcrop.data.errors import InputError

WORD = re.compile(r"\w[\w'’-]*")


def word_tokens(tokenizer: Any, prompt: str) -> dict[str, tuple[int, ...]]:
    """The places of the tokens of each word of ``prompt`` as ``tokenizer`` (fast, of transformers) cuts it.

    A place counts all tokens from the start of the text, marks of the beginning among them: it is the place in the maps
    ``...attn2.words``. A word that comes again has the tokens of all its places; one that is cut off, because the
    prompt is too long, is left out. Raises :class:`InputError` for a tokenizer that cannot tell.

    >>> word_tokens(pipeline.tokenizer, "a dotted star")  # doctest: +SKIP
    {'a': (1,), 'dotted': (2,), 'star': (3,)}
    """
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(
            f"{type(tokenizer).__name__} does not tell where its tokens stand in the text. Use a fast tokenizer "
            "(transformers' AutoTokenizer)."
        )
    spans = tokenizer(prompt, return_offsets_mapping=True, truncation=True)["offset_mapping"]
    found: dict[str, tuple[int, ...]] = {}
    for word in WORD.finditer(prompt):
        inside = [
            place
            for place, (start, end) in enumerate(spans)
            if start < end and start < word.end() and end > word.start()
        ]
        if inside:
            found[word.group()] = (*found.get(word.group(), ()), *inside)
    return found
