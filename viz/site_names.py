"""Short readable names of sites, for figures and pages."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

SEPARATOR = " · "
_WORDS = {
    "down_blocks": "down", "mid_block": "mid", "up_blocks": "up", "attentions": "attn", "resnets": "res",
    "downsamplers": "downsample", "upsamplers": "upsample", "transformer_blocks": "block", "layers": "layer",
    "single_transformer_blocks": "single", "attn1": "self", "attn2": "cross",
    "conv_in": "conv in", "conv_out": "conv out", "time_embedding": "time embedding",
}  # fmt: skip
_GROUPS = {
    "down_blocks": "down", "mid_block": "mid", "up_blocks": "up", "transformer_blocks": "blocks",
    "single_transformer_blocks": "single", "layers": "layers",
}  # fmt: skip
_NUMBERED = frozenset(_WORDS) - {"mid_block", "attn1", "attn2", "conv_in", "conv_out", "time_embedding"}


def name_within(site: str, block: str) -> str:
    """What a site is called inside a block: ``attn 0 · cross`` for ``up_blocks.1.attentions.0...attn2``."""
    inner = site.removeprefix(block).removeprefix(".")
    return SEPARATOR.join(word for word, _ in _words(inner.split("."), inner=False)) if inner else "whole block"


def site_group(site: str) -> str:
    """The part of the network that a site belongs to (``down``, ``mid``, ``up``, ``decoder up``); empty if unknown."""
    before: list[str] = []
    for part in site.split("."):
        if part in _GROUPS:
            return " ".join([*before[-1:], _GROUPS[part]])
        before.append(part)
    return ""


def short_site_names(sites: Sequence[str]) -> dict[str, str]:
    """A short name for every site, unique among ``sites``.

    Where two short names coincide, both get more detail; in the end the full name stands. Parts of a path that
    are not known are kept as they are.
    """
    levels = dict.fromkeys(sites, 0)
    while True:
        names = {site: _short_name(site, level) for site, level in levels.items()}
        counts = Counter(names.values())
        clashing = [site for site, name in names.items() if counts[name] > 1 and levels[site] < 2]
        if not clashing:
            return names
        for site in clashing:
            levels[site] += 1


def _short_name(site: str, level: int) -> str:
    """Level 0 leaves out the transformer block inside an attention module, level 1 names it, level 2 is ``site``."""
    match = re.match(r"[\w.]*", site)
    path = match.group() if match else ""
    if level >= 2 or not any(part in _WORDS for part in path.split(".")):
        return site
    words = _words(path.split("."), inner=level > 0)
    runs = [[text for text, _ in run] for _, run in groupby(words, key=lambda word: word[1])]
    known = [flag for flag, _ in groupby(words, key=lambda word: word[1])]
    chunks = [SEPARATOR.join(run) if flag else ".".join(run) for run, flag in zip(runs, known, strict=True)]
    return SEPARATOR.join(chunks) + site[len(path) :]


def _words(parts: list[str], *, inner: bool) -> list[tuple[str, bool]]:
    """The words of a path, each with whether it was known; ``inner`` keeps transformer blocks inside attentions."""
    words: list[tuple[str, bool]] = []
    position = 0
    while position < len(parts):
        part, following = parts[position], "".join(parts[position + 1 : position + 2])
        numbered = part in _NUMBERED and following.isdigit()
        inside = part == "transformer_blocks" and "attentions" in parts[:position]
        word = "layer" if inside else _WORDS.get(part, part)
        if inner or not (inside and numbered):
            words.append((f"{word} {following}" if numbered else word, part in _WORDS))
        position += 2 if numbered else 1
    return words
