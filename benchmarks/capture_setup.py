"""What every benchmark of the capture runs: a random text-to-image model, and generation without recording."""

import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from outcrop.capture.job import Job
from outcrop.capture.plan import Plan
from outcrop.capture.spec import CaptureSpec, parse_spec
from outcrop.data.samples import Sample

Pictures = list[NDArray[np.uint8]]
Run = Callable[[Job, Plan, Path], Pictures]


def build_model(folder: Path, *, channels: Sequence[int], size: int) -> None:
    """A random text-to-image pipeline with cross-attention at every level but the last."""
    from diffusers import AutoencoderTiny, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from outcrop.zoo.training.denoiser import bind_pipeline
    from outcrop.zoo.training.tokenizer import MAX_LENGTH, build_tokenizer

    torch.manual_seed(0)
    tokenizer = build_tokenizer(prompts=200)
    width = min(channels)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=width,
        num_hidden_layers=1,
        num_attention_heads=1,
        max_position_embeddings=MAX_LENGTH,
        projection_dim=width,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    levels = len(channels)
    unet = UNet2DConditionModel(
        sample_size=size,
        block_out_channels=tuple(channels),
        layers_per_block=2 if levels > 2 else 1,
        down_block_types=("CrossAttnDownBlock2D",) * (levels - 1) + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * (levels - 1),
        cross_attention_dim=width,
        attention_head_dim=max(2, width // 16),
        norm_num_groups=4,
    )
    decoder = dict.fromkeys(("encoder_block_out_channels", "decoder_block_out_channels"), (8, 8))
    blocks = dict.fromkeys(("num_encoder_blocks", "num_decoder_blocks"), (1, 1))
    vae = AutoencoderTiny(**decoder, **blocks, latent_channels=4, scaling_factor=1.0)
    bind_pipeline(vae, CLIPTextModel(text), tokenizer, unet).save_pretrained(folder)


def new_spec(model: Path, **fields: Any) -> CaptureSpec:
    known = {
        "model": str(model),
        "prompts": {"texts": ["a flat disc"]},
        "sites": ["blocks", "attentions"],
        "guidance": 3.0,
    }
    return parse_spec(known | fields, where="the benchmark")


def batches(job: Job, plan: Plan) -> list[Sequence[Sample]]:
    return [plan.samples[start : start + job.spec.batch] for start in range(0, len(plan.samples), job.spec.batch)]


def bare(job: Job, plan: Plan, _out: Path) -> Pictures:
    settings = {"steps": job.spec.steps, "guidance": job.guidance}
    return [job.source.generate(batch, **settings, **job.options) for batch in batches(job, plan)]


def hooked(job: Job, plan: Plan, keep: Callable[[str, torch.Tensor], object]) -> Pictures:
    """Generation with a plain hook at every site that gives the conditional rows, in float16, to ``keep``."""
    modules = dict(job.source.denoiser.named_modules())

    def hook_of(name: str) -> Callable[..., None]:
        def hook(_module: object, _inputs: object, output: Any) -> None:
            tensor = output if isinstance(output, torch.Tensor) else output[0]
            keep(name, tensor.detach()[tensor.shape[0] // 2 :].to(torch.float16, copy=True))

        return hook

    with ExitStack() as stack:
        for site in job.sites:
            stack.callback(modules[site.name].register_forward_hook(hook_of(site.name)).remove)
        return bare(job, plan, Path())


def like(plain: torch.Tensor, recorded: torch.Tensor) -> torch.Tensor:
    """``recorded`` as tokens where a plain hook sees (row, token, channel) and a map (row, channel, *grid) is kept."""
    return recorded.flatten(2).transpose(1, 2) if recorded.ndim != plain.ndim else recorded


def print_ratios(times: dict[str, list[tuple[float, float]]], *, base: str, title: str) -> None:
    """Wall and CPU seconds of every round and method, as ratios to ``base`` of the same round."""
    print(f"{title}: ratio to {base}, median (least to most)")
    print(f"{'':30} seconds  of wall time             of CPU time of all threads")
    for name, spent in times.items():
        cells = []
        for clock in (0, 1):
            ratios = [mine[clock] / other[clock] for mine, other in zip(spent, times[base], strict=True)]
            cells.append(f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
        print(f"{name:30} {statistics.median(wall for wall, _ in spent):7.2f}  {cells[0]:24} {cells[1]}", flush=True)
