"""Maps of words over a picture: where the image looked at each word of its prompt."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from outcrop.data.dataset import Dataset
from outcrop.data.errors import InputError
from outcrop.viz import labels, style
from outcrop.viz.accepts import DATASET, accept, choose_numbers

PICTURE, GAP, EDGE, LINE = 1.35, 0.1, 0.12, 0.13  # inches
ROLE = "word-map"
COLOUR, DENSEST = style.COLOURS[1], 0.85  # of the veil over the picture


def plot_word_maps(
    ds: Dataset,
    sample: str,
    words: Mapping[str, Sequence[int]],
    *,
    sites: Sequence[str] | None = None,
    steps: Sequence[int] | None = None,
) -> Figure:
    """Draw the picture of ``sample`` and, over it, where it looked at each of ``words``: the mean over sites and steps.

    A word is the places of its tokens in the prompt (:func:`outcrop.capture.words.word_tokens` tells them); several are
    summed. Sites are those of word maps (``...attn2.words``, DAAM, Tang et al. 2022, arXiv:2210.04885), recorded in
    ``full`` or as ``grid:K``; each is enlarged to the size of the picture, linearly: bicubic, as in the paper, gives
    shares that were not there. Each map runs from its own least to its largest share of attention, which stand below
    it. Raises ``InputError`` for a data set without maps, and for tokens, samples, sites and steps that are not there.
    """
    part = accept("plot_word_maps", ds, DATASET).select(
        None if sites is None else list(sites), role=ROLE, steps=steps, ids=[sample]
    )
    _check_words(words)
    picture = part.images([sample])[0].convert("RGB")
    maps = _maps(part, words, size=picture.size)
    note = labels.word_map_footnote(sites=len(part.sites), steps=len(part.steps))
    count = len(words) + 1
    width = 2 * EDGE + count * PICTURE + (count - 1) * GAP
    lines = style.wrap(note, size=style.SMALL_SIZE, width=width - 2 * EDGE)
    title = style.wrap(str(part.samples["prompt"].iloc[0]), size=style.TEXT_SIZE, width=width - 2 * EDGE)
    top, bottom = 0.34 + LINE * len(title), 0.3 + LINE * len(lines)
    tall = PICTURE * picture.height / picture.width
    height = top + tall + bottom
    with style.figure_style():
        figure = Figure(figsize=(width, height))
        for number, name in enumerate([labels.PICTURE, *words]):
            left = EDGE + number * (PICTURE + GAP)
            axes = figure.add_axes(
                (left / width, bottom / height, PICTURE / width, tall / height), label=f"word {name}"
            )
            axes.imshow(picture, interpolation="nearest")
            if number:
                _overlay(axes, maps[name])
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set(visible=True, color=style.RULE)
            axes.set_title(style.fit_text(name, size=style.TEXT_SIZE, width=PICTURE), fontsize=style.TEXT_SIZE, pad=3)
        for line, text in enumerate(title):
            at = (EDGE / width, 1 - (0.18 + LINE * line) / height)
            figure.text(*at, text, fontsize=style.TEXT_SIZE, fontweight="bold")
        for line, text in enumerate(reversed(lines)):
            at = (EDGE / width, (0.1 + LINE * line) / height)
            figure.text(*at, text, fontsize=style.SMALL_SIZE, color=style.MUTED)
    return figure


def _check_words(words: object) -> None:
    if not isinstance(words, Mapping) or not words:
        raise InputError(
            "plot_word_maps takes words with the places of their tokens, as {'star': (3,)}, at least one; "
            f"{words!r} came. outcrop.capture.words.word_tokens(tokenizer, prompt) tells the places."
        )


def _maps(
    part: Dataset, words: Mapping[str, Sequence[int]], *, size: tuple[int, int]
) -> dict[str, NDArray[np.float64]]:
    """For each word its share of attention (height, width), the mean over the sites and steps of ``part``."""
    total = {name: np.zeros(size[::-1]) for name in words}
    for site in part.sites.index:
        for step in part.steps.index:
            values = np.asarray(part.activations(str(site), step=int(step))[0], dtype=np.float32)
            if values.ndim != 3:
                raise InputError(
                    f"{site} holds {values.shape} a sample, not maps (token, height, width). Capture word maps with "
                    "--reduction full, or grid:K."
                )
            for name, tokens in words.items():
                chosen = choose_numbers(tokens, range(len(values)), what=f"the tokens of {name!r}")
                own = Image.fromarray(values[chosen].sum(axis=0))
                total[name] += np.asarray(own.resize(size, Image.Resampling.BILINEAR))
    return {name: whole / (len(part.sites) * len(part.steps)) for name, whole in total.items()}


def _overlay(axes: Axes, values: NDArray[np.float64]) -> None:
    """A veil in one colour, the denser the more attention."""
    low, high = float(values.min()), float(values.max())
    veil = np.empty((*values.shape, 4))
    veil[..., :3] = to_rgb(COLOUR)
    veil[..., 3] = DENSEST * (values - low) / ((high - low) or 1.0)
    axes.imshow(veil, label="share")
    axes.set_xlabel(labels.shares(low, high), fontsize=style.SMALL_SIZE, labelpad=3)
