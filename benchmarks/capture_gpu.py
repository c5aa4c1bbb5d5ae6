"""What recording costs on a GPU, with denoisers of the full size of SDXL, SD 3.5 and Flux (random weights).

    python benchmarks/capture_gpu.py --out build/gpu.json                     all three, about five minutes on an H100
    python benchmarks/capture_gpu.py --model sdxl --size 512 --repeats 5

A pipeline of the class is made with the denoiser's published configuration, small text encoders of the right widths and
the full-size decoder, saved in half precision and opened as a user would. Ratios are medians over rounds in which
generation runs bare and with each recording; the pictures are compared bit by bit. Every result is written at once.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
import transformers
import yaml
from capture_runs import outcrop
from capture_setup import bare, new_spec

from outcrop.capture.job import describe, prepare
from outcrop.data.errors import OutcropError
from outcrop.zoo.training.tokenizer import build_tokenizer

CONFIGURATIONS = Path(__file__).parent.parent / "tests" / "capture" / "full_size.yaml"
RECORDINGS: dict[str, dict[str, Any]] = {
    "mean of every block and attention": {"sites": ["blocks", "attentions"], "reduction": "mean"},
    "full maps of the blocks": {"sites": ["blocks"], "reduction": "full"},
}


def clip(width: int, kind: type = transformers.CLIPTextModel) -> Any:
    words = build_tokenizer(prompts=200)
    marks = {f"{name}_token_id": getattr(words, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    sizes = {"hidden_size": width, "intermediate_size": width, "projection_dim": width, "num_attention_heads": 4}
    text = {"vocab_size": len(words), "max_position_embeddings": 77, "num_hidden_layers": 2}
    return kind(transformers.CLIPTextConfig(**text, **sizes, **marks))


def t5(width: int) -> Any:
    sizes = {"d_model": width, "d_kv": 64, "d_ff": width, "num_layers": 1, "num_heads": 4}
    return transformers.T5EncoderModel(transformers.T5Config(vocab_size=len(build_tokenizer(prompts=200)), **sizes))


def decoder(channels: int, **changes: Any) -> Any:
    levels = 4
    return diffusers.AutoencoderKL(
        latent_channels=channels,
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        sample_size=1024,
        **changes,
    )


def sdxl(unet: Any) -> Any:
    return diffusers.StableDiffusionXLPipeline(
        vae=decoder(4, scaling_factor=0.13025),
        text_encoder=clip(768),
        text_encoder_2=clip(1280, transformers.CLIPTextModelWithProjection),
        tokenizer=build_tokenizer(prompts=200),
        tokenizer_2=build_tokenizer(prompts=200),
        unet=unet,
        scheduler=diffusers.EulerDiscreteScheduler(timestep_spacing="leading", steps_offset=1),
        add_watermarker=False,
    )


def sd3(transformer: Any) -> Any:
    return diffusers.StableDiffusion3Pipeline(
        vae=decoder(16, scaling_factor=1.5305, shift_factor=0.0609, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=clip(768, transformers.CLIPTextModelWithProjection),
        text_encoder_2=clip(1280, transformers.CLIPTextModelWithProjection),
        text_encoder_3=t5(4096),
        tokenizer=build_tokenizer(prompts=200),
        tokenizer_2=build_tokenizer(prompts=200),
        tokenizer_3=build_tokenizer(prompts=200),
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


def flux(transformer: Any) -> Any:
    return diffusers.FluxPipeline(
        vae=decoder(16, scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=clip(768),
        text_encoder_2=t5(4096),
        tokenizer=build_tokenizer(prompts=200),
        tokenizer_2=build_tokenizer(prompts=200),
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    )


BUILDERS: dict[str, Callable[[Any], Any]] = {"sdxl": sdxl, "sd3.5-large": sd3, "flux-dev": flux}
CLASSES = {"sdxl": "UNet2DConditionModel", "sd3.5-large": "SD3Transformer2DModel", "flux-dev": "FluxTransformer2DModel"}


def build(name: str, folder: Path, *, device: str) -> float:
    """Save the pipeline in half precision; billions of parameters."""
    known = yaml.safe_load(CONFIGURATIONS.read_text(encoding="utf-8"))[name]
    fields = known.get("unet") or known["transformer"]
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float16 if device != "cpu" else torch.float32)
    with torch.device(device):
        denoiser = getattr(diffusers, CLASSES[name])(**fields)
        pipeline = BUILDERS[name](denoiser)
    torch.set_default_dtype(torch.float32)
    pipeline.save_pretrained(folder)
    return sum(weights.numel() for weights in denoiser.parameters()) / 1e9


def measure(name: str, options: argparse.Namespace, scratch: Path, note: Callable[..., None]) -> None:
    started = time.perf_counter()
    billions = build(name, scratch / "model", device=options.device)
    note(billions=round(billions, 2), build_s=round(time.perf_counter() - started, 1))
    common = {
        "steps": options.steps,
        "batch": options.batch,
        "shard_samples": options.batch,
        "seeds": {"per_prompt": options.batch * 2},
        "device": options.device,
        "height": options.size,
        "width": options.size,
    }
    for number, (title, fields) in enumerate(RECORDINGS.items()):
        started = time.perf_counter()
        job, plan = prepare(new_spec(scratch / "model", **common, **fields))
        record = describe(job, plan)
        opened = time.perf_counter() - started
        run = outcrop(record)
        expected = bare(job, plan, scratch)
        peaks, times = {}, {"bare": [], "outcrop": []}
        for turn in range(options.repeats):
            for method, call in (("bare", bare), ("outcrop", run)):
                if options.device != "cpu":
                    torch.cuda.reset_peak_memory_stats()
                out = scratch / f"{number}-{turn}-{method}"
                began = time.perf_counter()
                pictures = call(job, plan, out)
                times[method].append(time.perf_counter() - began)
                peaks[method] = torch.cuda.max_memory_allocated() / 2**30 if options.device != "cpu" else 0.0
                same = all(np.array_equal(mine, theirs) for mine, theirs in zip(pictures, expected, strict=True))
                assert same, f"{method}: other pictures"
                shutil.rmtree(out, ignore_errors=True)
        ratios = [mine / other for mine, other in zip(times["outcrop"], times["bare"], strict=True)]
        note(
            recording=title,
            sites=len(job.sites),
            mb_a_sample=round(record.sample_bytes / 1e6, 1),
            open_s=round(opened, 1),
            bare_s=round(statistics.median(times["bare"]), 2),
            ratio=round(statistics.median(ratios), 3),
            least=round(min(ratios), 3),
            most=round(max(ratios), 3),
            peak_gib_bare=round(peaks["bare"], 2),
            peak_gib=round(peaks["outcrop"], 2),
            spread=float(np.std(expected[0])),
            pictures="identical",
        )
        del job
        if options.device != "cpu":
            torch.cuda.empty_cache()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", choices=sorted(BUILDERS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []

    def keep(**row: Any) -> None:
        rows.append(row)
        print(row, flush=True)
        options.out.write_text(json.dumps(rows, indent=1), encoding="utf-8")

    for name in options.model or list(BUILDERS):
        note = partial(keep, model=name)
        with tempfile.TemporaryDirectory() as scratch:
            try:
                measure(name, options, Path(scratch), note)
            except (RuntimeError, AssertionError, ValueError, OutcropError) as error:  # the others go on
                traceback.print_exc()
                note(failed=repr(error)[:500])


if __name__ == "__main__":
    main()
