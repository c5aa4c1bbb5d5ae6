"""Train the text-conditional denoiser on latents, and bind everything into a ``StableDiffusionPipeline``."""

import torch
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from outcrop.zoo.training.autoencoder import LATENT_CHANNELS
from outcrop.zoo.training.loop import Schedule, Trainer
from outcrop.zoo.training.text import WIDTH, tokens_of

EMPTY_PROMPTS = 0.1
NOISY_SHARE, NOISY_FROM = 0.6, 600  # this share of the training timesteps lies in [600, 1000): layout is settled there


def build_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(32, 64, 96, 128),
        layers_per_block=1,
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * 3),
        up_block_types=(*("CrossAttnUpBlock2D",) * 3, "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
    )


def build_scheduler() -> DDIMScheduler:
    return DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,  # without effect at trailing spacing; diffusers warns of any other value
    )


def train_denoiser(
    pipeline: StableDiffusionPipeline,
    latents: Tensor,
    prompts: list[list[str]],
    trainer: Trainer,
    schedule: Schedule,
    *,
    stage: str,
    batch: int = 40,
) -> None:
    """Train the pipeline's UNet, and its text encoder along, in place; ``stage`` names the checkpoint.

    ``latents`` (n, 8, 16, 16) whitened; ``prompts`` gives several wordings per picture.
    """
    unet, encoder, tokenizer = pipeline.unet, pipeline.text_encoder, pipeline.tokenizer
    scheduler = build_scheduler()
    tokens = torch.stack([tokens_of(tokenizer, list(column)) for column in zip(*prompts, strict=True)], dim=1)
    empty = tokens_of(tokenizer, [""])[0]

    def loss(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(latents), (batch,), generator=generator)
        wording = torch.randint(tokens.shape[1], (batch,), generator=generator)
        words = tokens[rows, wording]
        words[torch.rand(batch, generator=generator) < EMPTY_PROMPTS] = empty
        clean, noise = latents[rows], torch.randn(latents[rows].shape, generator=generator)
        times = draw_timesteps(batch, generator)
        noisy = scheduler.add_noise(clean, noise, times)
        target = scheduler.get_velocity(clean, noise, times)
        context = encoder(words).last_hidden_state
        return functional.mse_loss(unet(noisy, times, context).sample, target)

    trainer.run(stage, {"unet": unet, "encoder": encoder}, loss, schedule)


def draw_timesteps(n: int, generator: torch.Generator) -> Tensor:
    low = torch.randint(0, 1000, (n,), generator=generator)
    high = torch.randint(NOISY_FROM, 1000, (n,), generator=generator)
    return torch.where(torch.rand(n, generator=generator) < NOISY_SHARE, high, low)


def bind_pipeline(
    vae: AutoencoderTiny, encoder: CLIPTextModel, tokenizer: CLIPTokenizer, unet: UNet2DConditionModel
) -> StableDiffusionPipeline:
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
