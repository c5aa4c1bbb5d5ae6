"""What recording costs, against generation without it and against the usual ways to record, in the same process.

    python benchmarks/capture.py time      wall time of generation with and without recording
    python benchmarks/capture.py write     speed of writing shards against a raw write and SHA-256 of the same bytes
    python benchmarks/capture.py growth    resident memory after 100 and after 2,000 samples

Run it with OMP_NUM_THREADS set to the cores that are free. Ratios are medians over rounds in which every method runs
once; what is recorded is compared with plain hooks, bit for bit.
"""

import argparse
import gc
import hashlib
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from outcrop.capture.job import Job, describe, prepare
from outcrop.capture.plan import Plan
from outcrop.capture.run import capture
from outcrop.capture.spec import CaptureSpec, parse_spec
from outcrop.data.background import BackgroundWriter
from outcrop.data.dataset import open_dataset
from outcrop.data.samples import Sample
from outcrop.data.schema import DatasetRecord, SiteRecord, StepRecord
from outcrop.data.shard import OpenShard
from outcrop.data.writer import open_writer

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
    return [job.source.generate(batch, **settings, **job.size) for batch in batches(job, plan)]


def outcrop(job: Job, plan: Plan, out: Path) -> Pictures:
    """A whole capture but for the loading of the model: hooks, shards, pictures, journal, seal."""
    pictures = []
    with open_writer(out, describe(job, plan)) as writer:
        with BackgroundWriter(writer, buffers=2) as background, job.recorder() as recorder:
            size = writer.dataset.shard_samples
            for index in range(-(-len(plan.samples) // size)):
                shard = background.open_shard(index, plan.shard(index, size))
                for start in range(0, len(shard.samples), job.spec.batch):
                    batch = shard.samples[start : start + job.spec.batch]
                    images, values = job.record(recorder, batch)
                    for name, column in shard.columns.items():
                        column[:, start : start + len(batch)] = values[name]
                    background.write_images(batch, images)
                    pictures.append(images)
                background.commit(shard)
        writer.seal(plan.samples)
    return pictures


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


def list_of_tensors(job: Job, plan: Plan, _out: Path) -> Pictures:
    kept: list[torch.Tensor] = []
    return hooked(job, plan, lambda _name, tensor: kept.append(tensor))


def torch_save(job: Job, plan: Plan, out: Path) -> Pictures:
    out.mkdir()
    numbers = iter(range(10**9))
    return hooked(job, plan, lambda name, tensor: torch.save(tensor, out / f"{name}-{next(numbers)}.pt"))


def h5py_gzip(job: Job, plan: Plan, out: Path) -> Pictures:
    with h5py.File(out.with_suffix(".h5"), "w") as file:

        def append(name: str, tensor: torch.Tensor) -> None:
            values = tensor.numpy()
            if name not in file:
                room = (None, *values.shape[1:])
                file.create_dataset(name, (0, *room[1:]), "<f2", maxshape=room, chunks=values.shape, compression="gzip")
            file[name].resize(len(file[name]) + len(values), axis=0)
            file[name][-len(values) :] = values

        return hooked(job, plan, append)


def check(job: Job, plan: Plan, out: Path) -> None:
    """What stands in the data set is what plain hooks see."""
    seen: dict[str, list[torch.Tensor]] = {}
    hooked(job, plan, lambda name, tensor: seen.setdefault(name, []).append(tensor))
    ds, count = open_dataset(out), len(batches(job, plan))
    for name, tensors in seen.items():
        planes = torch.stack(tensors).unflatten(0, (count, len(tensors) // count)).transpose(0, 1).flatten(1, 2)
        for step in ds.steps.index:
            np.testing.assert_array_equal(ds.activations(name, step=step), planes[step].numpy())


def measure_time(arguments: argparse.Namespace, scratch: Path) -> None:
    build_model(scratch / "model", channels=arguments.channels, size=arguments.size)
    fields = {
        "steps": arguments.steps,
        "batch": arguments.batch,
        "shard_samples": arguments.batch,
        "seeds": {"per_prompt": arguments.samples},
    }
    pooled, plan = prepare(new_spec(scratch / "model", **fields))
    full, full_plan = prepare(new_spec(scratch / "model", reduction="full", **fields))
    parameters = sum(weights.numel() for weights in full.source.denoiser.parameters())
    size = describe(full, full_plan).sample_bytes
    print(
        f"{parameters / 1e6:.0f} M parameters, {len(full.sites)} sites, {arguments.steps} steps, {arguments.samples} "
        f"samples in batches of {arguments.batch}; full maps {size / 1e6:.1f} MB a sample"
    )
    methods: dict[str, tuple[Run, Job, Plan]] = {
        "bare generation": (bare, full, full_plan),
        "bare generation, again": (bare, full, full_plan),
        "outcrop, mean": (outcrop, pooled, plan),
        "outcrop, full": (outcrop, full, full_plan),
        "hooks keep a list, full": (list_of_tensors, full, full_plan),
        "torch.save per tensor, full": (torch_save, full, full_plan),
        "h5py append gzip, full": (h5py_gzip, full, full_plan),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in methods}
    expected = bare(full, full_plan, Path())
    for turn in range(arguments.repeats):
        for name, (run, job, own) in methods.items():
            out = scratch / f"{turn}-{len(name)}-{name[:3]}"
            gc.collect()
            started = time.perf_counter(), time.process_time()
            pictures = run(job, own, out)
            times[name].append((time.perf_counter() - started[0], time.process_time() - started[1]))
            for mine, theirs in zip(pictures, expected, strict=True):
                np.testing.assert_array_equal(mine, theirs)
            if name == "outcrop, full" and turn == 0:
                check(job, own, out)
            for path in scratch.glob(f"{out.name}*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    print(f"ratio to bare generation, median (least to most) of {arguments.repeats} rounds")
    print(f"{'':30} seconds  of wall time             of CPU time of all threads")
    for name, spent in times.items():
        cells = []
        for clock in (0, 1):
            ratios = [mine[clock] / base[clock] for mine, base in zip(spent, times["bare generation"], strict=True)]
            cells.append(f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
        print(f"{name:30} {statistics.median(wall for wall, _ in spent):7.2f}  {cells[0]:24} {cells[1]}")


def measure_write(arguments: argparse.Namespace, scratch: Path) -> None:
    record = DatasetRecord(
        uuid="u",
        model="m",
        dtype="float16",
        reduction="full",
        half="cond",
        sites=tuple(
            SiteRecord(name=f"block.{k}", role="block", depth=k / 30, source_shape=(64, 16, 16), shape=(64, 16, 16))
            for k in range(30)
        ),
        steps=tuple(StepRecord(index=k, timestep=k, log_snr=0, noise=50) for k in range(8)),
        labels=(),
        planned_samples=arguments.shards * arguments.shard_samples,
        shard_samples=arguments.shard_samples,
        spec={},
        provenance={},
    )
    samples = [Sample(f"{k:016x}", f"prompt {k}", k) for k in range(record.planned_samples)]
    rng, times, sizes = np.random.default_rng(0), {"raw": [], "outcrop": []}, []
    with open_writer(scratch / "ds", record) as writer:
        memory = None
        for index in range(arguments.shards):
            own = samples[index * record.shard_samples : (index + 1) * record.shard_samples]
            shard = OpenShard(record, index, own, memory=memory)
            for column in shard.columns.values():
                column[...] = rng.standard_normal(column.shape, np.float32)
            memory = shard.memory
            turns: dict[str, Callable[[], object]] = {
                "raw": lambda shard=shard: raw_write(scratch / f"raw-{shard.index}", shard.content),
                "outcrop": lambda shard=shard: writer.commit_shard(shard),
            }
            for name in list(turns)[:: 1 if index % 2 else -1]:
                started = time.perf_counter()
                turns[name]()
                times[name].append(time.perf_counter() - started)
            sizes.append(len(shard.content))
            (scratch / f"raw-{index}").unlink()
        writer.seal(samples)
    files = sum(path.stat().st_size for path in (scratch / "ds").rglob("*") if path.is_file())
    payload = record.sample_bytes * record.planned_samples
    ratios = [raw / mine for raw, mine in zip(times["raw"], times["outcrop"], strict=True)]
    print(f"{arguments.shards} shards of {sizes[0] / 2**20:.0f} MiB")
    for name, spent in times.items():
        print(f"{name:8} {sizes[0] / 2**20 / statistics.median(spent):7.0f} MiB/s")
    print(f"speed of outcrop over raw: median {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    print(f"all files hold {100 * (files / payload - 1):.3f} % more bytes than the activations")


def raw_write(path: Path, content: memoryview) -> str:
    """One sequential write, brought to disk, and the SHA-256 of the same bytes."""
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    return hashlib.sha256(content).hexdigest()


def measure_growth(arguments: argparse.Namespace, scratch: Path) -> None:
    build_model(scratch / "model", channels=(8, 16), size=8)
    spec = new_spec(
        scratch / "model", reduction="full", steps=2, batch=20, seeds={"per_prompt": arguments.samples}, images=True
    )
    resident: dict[int, int] = {}

    def note(done: int, _planned: int) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        resident[done] = pages * os.sysconf("SC_PAGE_SIZE")

    ds = capture(spec, scratch / "ds", progress=note)
    first, last = 100, max(resident)
    print(f"{len(ds)} samples of {ds.info.sample_bytes / 1e3:.0f} kB in shards of {ds.info.shard_samples}")
    for done in (first, last // 2, last):
        print(f"resident after {done:5} samples: {resident[done] / 1e6:8.1f} MB")
    print(f"growth from {first} to {last}: {(resident[last] - resident[first]) / 1e6:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    kind = kinds.add_parser("time")
    kind.add_argument("--channels", type=int, nargs="+", default=[96, 192, 288])
    kind.add_argument("--size", type=int, default=32, help="side of the latent")
    kind.add_argument("--steps", type=int, default=6)
    kind.add_argument("--samples", type=int, default=4)
    kind.add_argument("--batch", type=int, default=2)
    kind.add_argument("--repeats", type=int, default=5)
    kind.set_defaults(measure=measure_time)
    kind = kinds.add_parser("write")
    kind.add_argument("--shards", type=int, default=12)
    kind.add_argument("--shard-samples", type=int, default=16)
    kind.set_defaults(measure=measure_write)
    kind = kinds.add_parser("growth")
    kind.add_argument("--samples", type=int, default=2000)
    kind.set_defaults(measure=measure_growth)
    for kind in kinds.choices.values():
        kind.add_argument("--scratch", type=Path, help="a folder on the disk to be measured (default: the system's)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        arguments.measure(arguments, Path(scratch))


if __name__ == "__main__":
    main()
