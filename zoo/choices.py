"""Labels chosen by a latent: how the one-step models of the zoo know what to draw.

The first 29 numbers of a Gaussian latent choose: the largest of eight the content, of six the style, of nine the
layout, of six the colour, each as likely as another. Where a prompt names a label, the prompt decides.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor
from torch.nn import functional

from outcrop.zoo.prompts import labels_in
from outcrop.zoo.scenes import LABELS

CHOICES = tuple(pairwise(accumulate((len(names) for names in LABELS.values()), initial=0)))
"""Where each label's numbers begin and end in the latent."""


def resolve(latents: Tensor, prompts: Sequence[str] = ()) -> Tensor:
    """The latents (n, d) with their first 29 numbers replaced by which label they choose, as 0 and 2.

    A label that is named in the row's prompt takes the place of the latent's choice.
    """
    named = [labels_in(prompt) for prompt in prompts] or [{}] * len(latents)
    parts = []
    for (start, stop), (label, classes) in zip(CHOICES, LABELS.items(), strict=True):
        chosen = latents[:, start:stop].argmax(1)
        for row, found in enumerate(named):
            if label in found:
                chosen[row] = classes.index(found[label])
        parts.append(2.0 * functional.one_hot(chosen, stop - start).to(latents.dtype))
    return torch.cat([*parts, latents[:, CHOICES[-1][1] :]], dim=1)


def chosen_labels(resolved: Tensor) -> list[Mapping[str, str]]:
    """The labels by name of each row of :func:`resolve`'s result."""
    rows = [
        [LABELS[label][int(k)] for k in resolved[:, start:stop].argmax(1)]
        for (start, stop), label in zip(CHOICES, LABELS, strict=True)
    ]
    return [dict(zip(LABELS, values, strict=True)) for values in zip(*rows, strict=True)]
