"""Train the shipped text-to-image model and the oracle: ``python -m outcrop.zoo.training --out build/zoo``.

Every stage keeps checkpoints under ``--out``; run the same command again after a kill and it goes on.
"""

import argparse
import logging
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline

from outcrop.zoo.oracle import save_oracle
from outcrop.zoo.scenes import Scene
from outcrop.zoo.training.autoencoder import psnr, train_autoencoder
from outcrop.zoo.training.data import SceneSet, draw_pair_set, draw_scene_set
from outcrop.zoo.training.denoiser import bind_pipeline, build_unet, train_denoiser
from outcrop.zoo.training.latents import cached_latents
from outcrop.zoo.training.loop import Schedule, Trainer
from outcrop.zoo.training.oracle import train_oracle
from outcrop.zoo.training.text import build_text_encoder, teach_words
from outcrop.zoo.training.tokenizer import build_tokenizer

LOG = logging.getLogger(__name__)


def _untrained_denoiser(data: SceneSet[Scene], trainer: Trainer) -> StableDiffusionPipeline:
    """A pipeline in which all but the denoiser is trained."""
    vae = train_autoencoder(data, trainer, steps=1_250)
    LOG.info("autoencoder: %.1f dB", psnr(vae, draw_scene_set(200, seed=trainer.seed + 5).images))
    tokenizer = build_tokenizer(seed=trainer.seed)
    torch.manual_seed(trainer.seed + 3)
    encoder = build_text_encoder(tokenizer)
    teach_words(encoder, tokenizer, trainer, stage="text")
    torch.manual_seed(trainer.seed + 1)
    return bind_pipeline(vae, encoder.eval(), tokenizer, build_unet())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and the finished models")
    parser.add_argument("--images", type=int, default=24_000, help="training pictures to render")
    parser.add_argument("--steps", type=int, default=4_400, help="denoiser steps of 40 pictures")
    parser.add_argument("--pairs", type=int, default=20_000, help="pictures of two objects, for the second stage")
    parser.add_argument("--pair-steps", type=int, default=1_300, help="denoiser steps of the second stage")
    parser.add_argument("--start-from", type=Path, help="go on from this pipeline's weights, such as zoo/models/unet")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    trainer = Trainer(options.out, seed=options.seed)

    data = draw_scene_set(options.images, seed=options.seed + 100)
    LOG.info("rendered %d pictures", options.images)
    if options.start_from:
        pipeline = StableDiffusionPipeline.from_pretrained(options.start_from, dtype=torch.float32)
    else:
        pipeline = _untrained_denoiser(data, trainer)
    latents = cached_latents(pipeline.vae, data.images, options.out / "latents.safetensors")
    first = Schedule(options.steps, rate=1.2e-3, matrix_rate=0.01, ema=0.998)
    train_denoiser(pipeline, latents, data.prompts, trainer, first, stage="denoiser")

    pairs = draw_pair_set(options.pairs, seed=options.seed + 200)
    latents = torch.cat([latents, cached_latents(pipeline.vae, pairs.images, options.out / "pair-latents.safetensors")])
    second = Schedule(options.pair_steps, rate=6e-4, matrix_rate=0.005, ema=0.998, decay_from=0.3)
    train_denoiser(pipeline, latents, data.prompts + pairs.prompts, trainer, second, stage="pairs")
    pipeline.to(torch.float16).save_pretrained(options.out / "models" / "unet", safe_serialization=True)
    for name, shown in (("oracle", data), ("pair-oracle", pairs)):
        save_oracle(train_oracle(shown, trainer, stage=name), options.out / "models" / "oracle" / f"{name}.safetensors")
    LOG.info("wrote %s", options.out / "models")


if __name__ == "__main__":
    main()
