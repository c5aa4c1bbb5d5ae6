"""Train the oracles: one small convolutional network with a head per label, on rendered pictures only."""

import torch
from torch import Tensor
from torch.nn import functional

from outcrop.zoo.oracle import Oracle
from outcrop.zoo.pairs import SHOWN_LABELS, PairScene, as_shown
from outcrop.zoo.scenes import LABELS, Scene
from outcrop.zoo.training.data import SceneSet
from outcrop.zoo.training.loop import Schedule, Trainer
from outcrop.zoo.training.text import label_table


def train_oracle(
    data: SceneSet[Scene] | SceneSet[PairScene], trainer: Trainer, *, stage: str, steps: int = 800, batch: int = 64
) -> Oracle:
    """Train a reader of what the pictures of ``data`` show; ``stage`` names the checkpoint."""
    torch.manual_seed(trainer.seed + 2)
    shown = [as_shown(scene) if isinstance(scene, PairScene) else scene for scene in data.scenes]
    names = SHOWN_LABELS if isinstance(data.scenes[0], PairScene) else LABELS
    oracle, labels = Oracle(names), label_table(shown, names)

    def loss(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(labels), (batch,), generator=generator)
        pixels = data.images[rows].float() / 255
        strength = 0.06 * torch.rand((batch, 1, 1, 1), generator=generator)
        pixels = pixels + strength * torch.randn(pixels.shape, generator=generator)
        scores = oracle(pixels)
        errors = [functional.cross_entropy(score, labels[rows, k]) for k, score in enumerate(scores.values())]
        return torch.stack(errors).mean()

    trainer.run(stage, {"oracle": oracle}, loss, Schedule(steps, rate=2e-3))
    return oracle
