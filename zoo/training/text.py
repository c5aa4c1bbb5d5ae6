"""The text encoder, taught its words before the denoiser sees them.

A denoiser trained from scratch learns the layout words last, after a long plateau in which the encoder hardly
tells them apart. A minute of label prediction from the prompt alone (the part that contrastive image-text
training plays for a full-size CLIP) takes that plateau away.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel

from outcrop.zoo.pairs import PAIR_LABELS, PairScene, draw_pairs
from outcrop.zoo.prompts import draw_pair_prompt, draw_prompt
from outcrop.zoo.scenes import LABELS, Scene, draw_scenes
from outcrop.zoo.training.loop import Schedule, Trainer
from outcrop.zoo.training.tokenizer import MAX_LENGTH

WIDTH = 64
Encode = Callable[[Tensor], Tensor]
"""Token ids (n, 16) to states (n, 16, width)."""


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
    _widen_embeddings(model)
    return model


def build_t5_encoder(tokenizer: CLIPTokenizer) -> T5EncoderModel:
    """An encoder of relative positions, for pipelines that pad their prompts to any length and mask the padding."""
    model = T5EncoderModel(
        T5Config(
            vocab_size=len(tokenizer),
            d_model=WIDTH,
            d_kv=WIDTH // 2,
            d_ff=2 * WIDTH,
            num_layers=2,
            num_heads=2,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    _widen_embeddings(model)
    return model


def _widen_embeddings(model: nn.Module) -> None:
    for table in model.modules():
        if isinstance(table, nn.Embedding):
            nn.init.normal_(table.weight, std=0.3)


def words_mask(tokens: Tensor, end: int) -> Tensor:
    """(n, 16), 1 up to the first end token and 0 at the padding, as the tokenizer's own attention mask."""
    ends = (tokens == end).long()
    return (ends.cumsum(1) - ends == 0).long()


def encode_masked(encoder: T5EncoderModel, tokens: Tensor, mask: Tensor) -> Tensor:
    """States (n, 16, 64), zero at the padding."""
    states: Tensor = encoder(tokens, attention_mask=mask).last_hidden_state * mask[..., None]
    return states


def tokens_of(tokenizer: CLIPTokenizer, prompts: list[str]) -> Tensor:
    """(n, 16) token ids, padded and cut as the pipeline does."""
    options = {"padding": "max_length", "max_length": MAX_LENGTH, "truncation": True}
    return torch.as_tensor(np.array(tokenizer(prompts, **options)["input_ids"]))


def label_table(scenes: Sequence[object], names: Mapping[str, Sequence[str]] = LABELS) -> Tensor:
    """Class indices (n, labels) in the order of ``names``."""
    return torch.tensor([[classes.index(getattr(scene, name)) for name, classes in names.items()] for scene in scenes])


def teach_words(
    encoder: CLIPTextModel | T5EncoderModel, tokenizer: CLIPTokenizer, trainer: Trainer, *, stage: str, steps: int = 600
) -> None:
    """Predict the labels (the colour where it is named) from the mean and the last token, of one object and of two.

    ``stage`` names the checkpoint.
    """
    rng = np.random.default_rng(trainer.seed + 7)
    scenes, pairs = draw_scenes(12_000, seed=trainer.seed + 7), draw_pairs(8_000, seed=trainer.seed + 7)
    lessons = [
        _Lesson.of(tokenizer, scenes, [draw_prompt(scene, rng) for scene in scenes], LABELS),
        _Lesson.of(tokenizer, pairs, [draw_pair_prompt(pair, rng) for pair in pairs], PAIR_LABELS),
    ]
    heads = nn.ModuleList([lesson.heads for lesson in lessons])

    def encode(tokens: Tensor) -> Tensor:
        if isinstance(encoder, T5EncoderModel):
            return encode_masked(encoder, tokens, words_mask(tokens, tokenizer.eos_token_id))
        states: Tensor = encoder(tokens).last_hidden_state
        return states

    def loss(generator: torch.Generator) -> Tensor:
        return torch.stack([lesson.loss(encode, generator) for lesson in lessons]).mean()

    trainer.run(stage, {"encoder": encoder, "heads": heads}, loss, Schedule(steps, ema=0.9))


@dataclass(frozen=True)
class _Lesson:
    """Prompts as ``tokens`` (n, 16) with ``labels`` (n, k), -100 where the prompt does not say, and k linear heads."""

    tokens: Tensor
    labels: Tensor
    heads: nn.ModuleList

    @classmethod
    def of(
        cls,
        tokenizer: CLIPTokenizer,
        scenes: list[Scene] | list[PairScene],
        prompts: list[str],
        names: Mapping[str, Sequence[str]],
    ) -> "_Lesson":
        labels = label_table(scenes, names)
        colours = [scene.colour for scene in scenes]
        named = [colour in prompt.split() for colour, prompt in zip(colours, prompts, strict=True)]
        labels[~torch.tensor(named), list(names).index("colour")] = -100
        heads = nn.ModuleList([nn.Linear(2 * WIDTH, len(classes)) for classes in names.values()])
        return cls(tokens_of(tokenizer, prompts), labels, heads)

    def loss(self, encode: Encode, generator: torch.Generator, *, batch: int = 48) -> Tensor:
        rows = torch.randint(len(self.tokens), (batch,), generator=generator)
        states = encode(self.tokens[rows])
        summary = torch.cat([states.mean(1), states[:, -1]], dim=1)
        error = partial(functional.cross_entropy, ignore_index=-100)
        return torch.stack([error(head(summary), self.labels[rows, k]) for k, head in enumerate(self.heads)]).mean()
