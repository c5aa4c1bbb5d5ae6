"""Train ``outcrop:dit``: a transformer denoiser on the latents of ``outcrop:unet``, in the format of PixArt-alpha.

Run as ``python -m outcrop.zoo.training.dit --out build/zoo``; it goes on after a kill. The autoencoder is that of
``outcrop:unet``, as it is; the text encoder is a T5 of its own, because the pipeline masks its prompts' padding.
"""

import argparse
import logging
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, PixArtAlphaPipeline, PixArtTransformer2DModel
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTokenizer, T5EncoderModel

from outcrop.zoo.training.autoencoder import LATENT_CHANNELS
from outcrop.zoo.training.data import draw_scene_prompts
from outcrop.zoo.training.denoiser import EMPTY_PROMPTS, build_scheduler, draw_timesteps
from outcrop.zoo.training.latents import scene_latents
from outcrop.zoo.training.loop import Schedule, Trainer
from outcrop.zoo.training.text import (
    WIDTH,
    build_t5_encoder,
    encode_masked,
    teach_words,
    tokens_of,
    words_mask,
)
from outcrop.zoo.training.tokenizer import build_tokenizer
from outcrop.zoo.weights import load_autoencoder

LOG = logging.getLogger(__name__)
HEADS, HEAD_WIDTH, BLOCKS = 4, 32, 6


def build_transformer() -> PixArtTransformer2DModel:
    """6 blocks of width 128 on 8 x 8 patches, each with self-attention, cross-attention to the prompt, and an MLP."""
    return PixArtTransformer2DModel(
        sample_size=16,
        patch_size=2,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        num_layers=BLOCKS,
        num_attention_heads=HEADS,
        attention_head_dim=HEAD_WIDTH,
        cross_attention_dim=HEADS * HEAD_WIDTH,
        caption_channels=WIDTH,
        use_additional_conditions=False,
    )


def build_dit(vae: AutoencoderTiny, tokenizer: CLIPTokenizer) -> PixArtAlphaPipeline:
    """The pipeline, its denoiser and text encoder untrained."""
    return bind_pixart(vae, build_t5_encoder(tokenizer).eval(), tokenizer, build_transformer().eval())


def bind_pixart(
    vae: AutoencoderTiny, encoder: T5EncoderModel, tokenizer: CLIPTokenizer, transformer: PixArtTransformer2DModel
) -> PixArtAlphaPipeline:
    return PixArtAlphaPipeline(
        tokenizer=tokenizer,
        text_encoder=encoder,
        vae=vae,
        transformer=transformer,
        scheduler=build_scheduler(),
    )


def train_dit(
    pipeline: PixArtAlphaPipeline,
    latents: Tensor,
    prompts: list[list[str]],
    trainer: Trainer,
    schedule: Schedule,
    *,
    batch: int = 48,
) -> None:
    """Train the pipeline's transformer, and its text encoder along, in place.

    ``latents`` (n, 8, 16, 16) whitened; ``prompts`` gives several wordings per picture.
    """
    transformer, encoder, tokenizer = pipeline.transformer, pipeline.text_encoder, pipeline.tokenizer
    scheduler = build_scheduler()
    tokens = torch.stack([tokens_of(tokenizer, list(column)) for column in zip(*prompts, strict=True)], dim=1)
    empty = tokens_of(tokenizer, [""])[0]

    def loss(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(latents), (batch,), generator=generator)
        wording = torch.randint(tokens.shape[1], (batch,), generator=generator)
        words = tokens[rows, wording]
        words[torch.rand(batch, generator=generator) < EMPTY_PROMPTS] = empty
        mask = words_mask(words, tokenizer.eos_token_id)
        clean, noise = latents[rows], torch.randn(latents[rows].shape, generator=generator)
        times = draw_timesteps(batch, generator)
        noisy = scheduler.add_noise(clean, noise, times)
        predicted = transformer(
            noisy,
            encoder_hidden_states=encode_masked(encoder, words, mask),
            encoder_attention_mask=mask,
            timestep=times,
        ).sample
        return functional.mse_loss(predicted, scheduler.get_velocity(clean, noise, times))

    trainer.run("dit", {"transformer": transformer, "encoder": encoder}, loss, schedule)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and the finished model")
    parser.add_argument("--images", type=int, default=24_000, help="training pictures to render")
    parser.add_argument("--steps", type=int, default=14_000, help="steps of 48 pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    trainer = Trainer(options.out, seed=options.seed)

    latents = scene_latents(options.images, seed=options.seed + 100, folder=options.out)
    prompts = draw_scene_prompts(options.images, seed=options.seed + 100)
    torch.manual_seed(options.seed + 11)
    pipeline = build_dit(load_autoencoder(), build_tokenizer(seed=options.seed))
    teach_words(pipeline.text_encoder, pipeline.tokenizer, trainer, stage="dit-text")
    schedule = Schedule(options.steps, rate=1.2e-3, matrix_rate=0.01, ema=0.998, decay_from=0.63)
    train_dit(pipeline, latents, prompts, trainer, schedule)
    pipeline.vae.register_to_config(_name_or_path="outcrop:unet")  # in place of the path that it was loaded from
    pipeline.to(torch.float16).save_pretrained(options.out / "models" / "dit", safe_serialization=True)
    LOG.info("wrote %s", options.out / "models" / "dit")


if __name__ == "__main__":
    main()
