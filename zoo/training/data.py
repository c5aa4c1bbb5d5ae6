"""Training data: rendered scenes with prompts, drawn once per seed."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from outcrop.zoo.prompts import draw_prompt
from outcrop.zoo.scenes import Scene, draw_scenes, render


@dataclass(frozen=True)
class SceneSet:
    """``images`` (n, 3, 64, 64) uint8, with their scenes and three prompts each (a fresh choice per visit)."""

    images: Tensor
    scenes: list[Scene]
    prompts: list[list[str]]


def draw_scene_set(n: int, *, seed: int) -> SceneSet:
    scenes = draw_scenes(n, seed=seed)
    rng = np.random.default_rng(seed + 1)
    parts = []
    for start in range(0, n, 500):
        images = render(scenes[start : start + 500]).images
        parts.append(torch.from_numpy((images * 255).round().astype(np.uint8)).permute(0, 3, 1, 2).contiguous())
    return SceneSet(torch.cat(parts), scenes, [[draw_prompt(scene, rng) for _ in range(3)] for scene in scenes])
