"""What recording costs, against generation without it and against the usual ways to record, in the same process.

    python benchmarks/capture.py time      generation with and without recording, and by the usual ways
    python benchmarks/capture.py call      one call of the denoiser, also by nnsight and TorchLens where installed
    python benchmarks/capture.py parts     what each part of recording takes, to generation in the same run
    python benchmarks/capture.py write     speed of writing shards against a raw write and SHA-256 of the same bytes
    python benchmarks/capture.py growth    resident memory after 100 and after 2,000 samples

Run it with OMP_NUM_THREADS set to the cores that are free. Ratios are medians over rounds in which every method runs
once; what is recorded is compared with plain hooks, bit for bit.
"""

import argparse
import gc
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from capture_call import measure_call
from capture_disk import measure_growth, measure_write
from capture_parts import measure_parts
from capture_runs import h5py_gzip, list_of_tensors, outcrop, torch_save
from capture_setup import Run, bare, batches, build_model, hooked, like, new_spec, print_ratios

from outcrop.capture.job import Job, describe, prepare
from outcrop.capture.plan import Plan
from outcrop.capture.source import open_source
from outcrop.data.dataset import open_dataset


def check(job: Job, plan: Plan, out: Path) -> None:
    """What stands in the data set is what plain hooks see."""
    seen: dict[str, list[torch.Tensor]] = {}
    hooked(job, plan, lambda name, tensor: seen.setdefault(name, []).append(tensor))
    ds, count = open_dataset(out), len(batches(job, plan))
    for name, tensors in seen.items():
        planes = torch.stack(tensors).unflatten(0, (count, len(tensors) // count)).transpose(0, 1).flatten(1, 2)
        for step in ds.steps.index:
            recorded = torch.from_numpy(ds.activations(name, step=step))
            assert torch.equal(like(planes[step], recorded), planes[step]), (name, step)


def measure_time(arguments: argparse.Namespace, scratch: Path) -> None:
    build_model(scratch / "model", channels=arguments.channels, size=arguments.size)
    fields = {
        "steps": arguments.steps,
        "batch": arguments.batch,
        "shard_samples": arguments.batch,
        "seeds": {"per_prompt": arguments.samples},
    }
    full, plan = prepare(new_spec(scratch / "model", reduction="full", **fields))
    pooled = replace(full, spec=full.spec.model_copy(update={"reduction": "mean"}))
    parameters = sum(weights.numel() for weights in full.source.denoiser.parameters())
    record = describe(full, plan)
    print(
        f"{parameters / 1e6:.0f} M parameters, {len(full.sites)} sites, {arguments.steps} steps, {arguments.samples} "
        f"samples in batches of {arguments.batch}; full maps {record.sample_bytes / 1e6:.1f} MB a sample"
    )
    methods: dict[str, tuple[Run, Job]] = {
        "bare generation": (bare, full),
        "bare generation, again": (bare, full),
        "outcrop, mean": (outcrop(describe(pooled, plan)), pooled),
        "outcrop, full": (outcrop(record), full),
        "hooks keep a list, full": (list_of_tensors, full),
        "torch.save per tensor, full": (torch_save, full),
        "h5py append gzip, full": (h5py_gzip, full),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in methods}
    expected = bare(full, plan, Path())
    for turn in range(arguments.repeats):
        for name, (run, job) in methods.items():
            out = scratch / f"{turn}-{len(name)}-{name[:3]}"
            gc.collect()
            started = time.perf_counter(), time.process_time()
            pictures = run(job, plan, out)
            times[name].append((time.perf_counter() - started[0], time.process_time() - started[1]))
            for mine, theirs in zip(pictures, expected, strict=True):
                np.testing.assert_array_equal(mine, theirs)
            if name == "outcrop, full" and turn == 0:
                check(job, plan, out)
            for path in scratch.glob(f"{out.name}*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        print_ratios(times, base="bare generation", title=f"a whole run, {turn + 1} of {arguments.repeats} rounds")


def measure_one_call(arguments: argparse.Namespace, scratch: Path) -> None:
    build_model(scratch / "model", channels=arguments.channels, size=arguments.size)
    measure_call(arguments, open_source(str(scratch / "model")).denoiser)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    kind = kinds.add_parser("call")
    kind.add_argument("--channels", type=int, nargs="+", default=[96, 192, 288])
    kind.add_argument("--size", type=int, default=32, help="side of the latent")
    kind.add_argument("--repeats", type=int, default=7)
    kind.set_defaults(measure=measure_one_call)
    kind = kinds.add_parser("time")
    kind.add_argument("--channels", type=int, nargs="+", default=[96, 192, 288])
    kind.add_argument("--size", type=int, default=32, help="side of the latent")
    kind.add_argument("--steps", type=int, default=6)
    kind.add_argument("--samples", type=int, default=4)
    kind.add_argument("--batch", type=int, default=2)
    kind.add_argument("--repeats", type=int, default=5)
    kind.set_defaults(measure=measure_time)
    kind = kinds.add_parser("parts")
    kind.add_argument("--channels", type=int, nargs="+", default=[96, 192, 288])
    kind.add_argument("--size", type=int, default=32, help="side of the latent")
    kind.add_argument("--steps", type=int, default=4)
    kind.add_argument("--samples", type=int, default=2, help="in one batch")
    kind.set_defaults(measure=measure_parts)
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
