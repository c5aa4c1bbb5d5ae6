"""Train the shipped text-to-image model and the oracle: ``python -m outcrop.zoo.training --out build/zoo``.

Every stage keeps checkpoints under ``--out``; run the same command again after a kill and it goes on.
"""

import argparse
import logging
from pathlib import Path

import torch

from outcrop.zoo.oracle import save_oracle
from outcrop.zoo.training.autoencoder import encode, psnr, train_autoencoder
from outcrop.zoo.training.data import draw_scene_set
from outcrop.zoo.training.denoiser import bind_pipeline, train_denoiser
from outcrop.zoo.training.loop import Trainer
from outcrop.zoo.training.oracle import train_oracle
from outcrop.zoo.training.text import build_text_encoder, teach_words
from outcrop.zoo.training.tokenizer import build_tokenizer

LOG = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and the finished models")
    parser.add_argument("--images", type=int, default=24_000, help="training pictures to render")
    parser.add_argument("--steps", type=int, default=6_500, help="denoiser steps of 40 pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    trainer = Trainer(options.out, seed=options.seed)

    data = draw_scene_set(options.images, seed=options.seed + 100)
    LOG.info("rendered %d pictures", options.images)
    vae = train_autoencoder(data, trainer, steps=1_250)
    LOG.info("autoencoder: %.1f dB", psnr(vae, draw_scene_set(200, seed=options.seed + 5).images))
    tokenizer = build_tokenizer(seed=options.seed)
    torch.manual_seed(options.seed + 3)
    encoder = build_text_encoder(tokenizer)
    teach_words(encoder, tokenizer, trainer)
    latents = encode(vae, data.images)
    LOG.info("encoded %d latents", len(latents))
    unet = train_denoiser(latents, data.prompts, encoder, tokenizer, trainer, steps=options.steps)
    pipeline = bind_pipeline(vae, encoder.eval(), tokenizer, unet)
    pipeline.to(torch.float16).save_pretrained(options.out / "models" / "unet", safe_serialization=True)
    save_oracle(train_oracle(data, trainer), options.out / "models" / "oracle" / "oracle.safetensors")
    LOG.info("wrote %s", options.out / "models")


if __name__ == "__main__":
    main()
