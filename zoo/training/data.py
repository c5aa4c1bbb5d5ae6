"""Training data: rendered scenes with prompts, drawn once per seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from outcrop.zoo.pairs import PairScene, draw_pairs, render_pairs
from outcrop.zoo.prompts import draw_pair_prompt, draw_prompt
from outcrop.zoo.scenes import Images, Scene, draw_scenes, render

AnyScene = TypeVar("AnyScene", Scene, PairScene)


@dataclass(frozen=True)
class SceneSet(Generic[AnyScene]):
    """``images`` (n, 3, 64, 64) uint8, with their scenes and three prompts each (a fresh choice per visit)."""

    images: Tensor
    scenes: list[AnyScene]
    prompts: list[list[str]]


def draw_scene_set(n: int, *, seed: int) -> SceneSet[Scene]:
    """Pictures of one object."""
    return _draw(draw_scenes(n, seed=seed), lambda scenes: render(scenes).images, draw_prompt, seed=seed + 1)


def draw_scene_prompts(n: int, *, seed: int) -> list[list[str]]:
    """The prompts of :func:`draw_scene_set`, without rendering a picture."""
    return _prompts(draw_scenes(n, seed=seed), draw_prompt, seed=seed + 1)


def draw_pair_set(n: int, *, seed: int) -> SceneSet[PairScene]:
    """Pictures of two objects."""
    return _draw(draw_pairs(n, seed=seed), lambda pairs: render_pairs(pairs).images, draw_pair_prompt, seed=seed + 1)


def _draw(
    scenes: list[AnyScene],
    paint: Callable[[Sequence[AnyScene]], Images],
    write: Callable[[AnyScene, np.random.Generator], str],
    *,
    seed: int,
) -> SceneSet[AnyScene]:
    parts = []
    for start in range(0, len(scenes), 500):
        images = paint(scenes[start : start + 500])
        parts.append(torch.from_numpy((images * 255).round().astype(np.uint8)).permute(0, 3, 1, 2).contiguous())
    return SceneSet(torch.cat(parts), scenes, _prompts(scenes, write, seed=seed))


def _prompts(
    scenes: list[AnyScene], write: Callable[[AnyScene, np.random.Generator], str], *, seed: int
) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    return [[write(scene, rng) for _ in range(3)] for scene in scenes]
