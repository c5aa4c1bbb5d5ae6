"""Samples: one generated image each, with its id, prompt, seed and labels."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

LabelValue = str | int | float


@dataclass(frozen=True)
class Sample:
    """One planned or generated image.

    ``labels`` are the properties to be explained; ``image`` is the picture's path inside the data set, empty if none
    is kept.
    """

    id: str
    prompt: str
    seed: int
    template: str = ""
    negative_prompt: str = ""
    labels: Mapping[str, LabelValue] = field(default_factory=dict)
    image: str = ""


def image_path(identifier: str) -> str:
    """Where the picture of a sample lies inside the data set."""
    return f"images/{identifier[:2]}/{identifier}.png"


def sample_id(configuration: str, prompt: str, seed: int, index: int) -> str:
    """16 hexadecimal digits (64 bits): a hash of the configuration, the prompt, the seed and the place in the plan."""
    text = json.dumps([configuration, prompt, seed, index])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
