"""The text encoder, taught its words before the denoiser sees them.

A denoiser trained from scratch learns the layout words last, after a long plateau in which the encoder hardly
tells them apart. A minute of label prediction from the prompt alone (the part that contrastive image-text
training plays for a full-size CLIP) takes that plateau away.
"""

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from outcrop.zoo.prompts import draw_prompt
from outcrop.zoo.scenes import COLOURS, CONTENTS, LAYOUTS, STYLES, Scene, draw_scenes
from outcrop.zoo.training.loop import Schedule, Trainer
from outcrop.zoo.training.tokenizer import MAX_LENGTH

WIDTH = 64


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    model = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=MAX_LENGTH,
            projection_dim=WIDTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    for table in model.modules():
        if isinstance(table, nn.Embedding):
            nn.init.normal_(table.weight, std=0.3)
    return model


def tokens_of(tokenizer: CLIPTokenizer, prompts: list[str]) -> Tensor:
    """(n, 16) token ids, padded and cut as the pipeline does."""
    options = {"padding": "max_length", "max_length": MAX_LENGTH, "truncation": True}
    return torch.as_tensor(np.array(tokenizer(prompts, **options)["input_ids"]))


def label_table(scenes: list[Scene]) -> Tensor:
    """(n, 4) class indices: content, style, layout, colour."""
    names = (CONTENTS, STYLES, LAYOUTS, tuple(COLOURS))
    fields = ("content", "style", "layout", "colour")
    rows = [
        [table.index(getattr(scene, field)) for field, table in zip(fields, names, strict=True)] for scene in scenes
    ]
    return torch.tensor(rows)


def teach_words(encoder: CLIPTextModel, tokenizer: CLIPTokenizer, trainer: Trainer, *, steps: int = 400) -> None:
    """Predict content, style and layout (and the colour, where named) from the mean and the last token."""
    scenes = draw_scenes(12_000, seed=trainer.seed + 7)
    rng = np.random.default_rng(trainer.seed + 7)
    prompts = [draw_prompt(scene, rng) for scene in scenes]
    tokens, labels = tokens_of(tokenizer, prompts), label_table(scenes)
    named = [scene.colour in prompt.split() for scene, prompt in zip(scenes, prompts, strict=True)]
    labels[~torch.tensor(named), 3] = -100
    sizes = (len(CONTENTS), len(STYLES), len(LAYOUTS), len(COLOURS))
    heads = nn.ModuleList([nn.Linear(2 * WIDTH, size) for size in sizes])

    def loss(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(tokens), (64,), generator=generator)
        states = encoder(tokens[rows]).last_hidden_state
        summary = torch.cat([states.mean(1), states[:, -1]], dim=1)
        error = partial(functional.cross_entropy, ignore_index=-100)
        return torch.stack([error(head(summary), labels[rows, k]) for k, head in enumerate(heads)]).mean()

    trainer.run("text", {"encoder": encoder, "heads": heads}, loss, Schedule(steps, ema=0.9))
