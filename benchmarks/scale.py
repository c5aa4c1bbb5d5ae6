"""How a capture grows: a model of measured rates against real runs of three sizes, and what full-size models take.

OMP_NUM_THREADS=1 python benchmarks/scale.py runs      # the shipped UNet: predicted and measured
python benchmarks/scale.py bytes                       # SDXL and Flux from their shapes, for a million pictures
python benchmarks/scale.py hours --devices 16          # the same in days and money; --help has what is assumed
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

import outcrop as oc
from outcrop.capture.blank import blank_sites
from outcrop.capture.budget import Keeping
from outcrop.capture.forecast import forecast
from outcrop.capture.plan import usual_shard
from outcrop.capture.run import capture
from outcrop.capture.sites import Site
from outcrop.capture.spec import CaptureSpec, parse_spec, read_spec_fields

SMALL = (24, 72)
SIZES = (144, 288, 432)
FULL_SIZE = Path(__file__).parents[1] / "tests" / "capture" / "full_size.yaml"
MILLION = 10**6
STEPS, BATCH = 20, 16
IMAGE_BYTES = 1.5e6
"""Of a picture of 1024 x 1024 as PNG, assumed."""
COPIED = 550e6
"""Bytes a second: full maps of SDXL, 409 MB a picture, took .74 s more than none."""
WAYS = [
    (("blocks", "attentions"), "full", "float16", 20),
    (("blocks", "attentions"), "grid:8", "float16", 20),
    (("blocks", "attentions"), "grid:8", "int8", 20),
    (("blocks", "attentions"), "grid:8", "int8", 5),
    (("blocks",), "grid:4", "int8", 5),
    (("blocks", "attentions"), "mean", "float16", 20),
    (("blocks", "attentions"), "mean", "int8", 20),
    (("blocks", "attentions"), "mean", "int8", 5),
    (("blocks", "attentions"), "project:256", "int8", 5),
]


def spent(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of this process's CPU."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, cpu


def spec_of(prompts: list[str]) -> CaptureSpec:
    config = Path(str(oc.__path__[0])) / "zoo" / "demo.yaml"
    changes = {"prompts": {"texts": prompts}, "steps": 4, "record": 4, "reduction": "grid:4"}
    return parse_spec(read_spec_fields(config) | changes, where=str(config))


def compare_runs() -> None:
    """The model: seconds = start + samples x rate, both from two small runs."""
    config = Path(str(oc.__path__[0])) / "zoo" / "demo.yaml"
    prompts = [each.text for each in parse_spec(read_spec_fields(config), where="demo").prompts.expand()]

    def measure(size: int) -> tuple[float, float, int]:
        with tempfile.TemporaryDirectory() as folder:
            wall, cpu = spent(lambda: capture(spec_of(prompts[:size]), Path(folder) / "ds"))
            files = [path for path in (Path(folder) / "ds").rglob("*") if path.suffix in {".h5", ".png"}]
            return cpu, wall, sum(path.stat().st_size for path in files)

    measure(SMALL[0])  # imports and caches
    small = [measure(size)[0] for size in SMALL]
    rate = (small[1] - small[0]) / (SMALL[1] - SMALL[0])
    start = small[0] - SMALL[0] * rate
    told = forecast(spec_of(prompts), tempfile.gettempdir())
    print(f"start {start:.2f} s, {rate:.4f} s a sample (CPU); {told.seconds / told.samples:.3f} s by a dry run's trial")
    print("samples | predicted CPU s | measured | ratio | predicted MB | measured | ratio")
    for size in SIZES:
        cpu, wall, stored = measure(size)
        expected = forecast(spec_of(prompts[:size]), tempfile.gettempdir()).disk_bytes
        print(
            f"{size} | {start + size * rate:.1f} | {cpu:.1f} ({wall:.1f} by the clock) | "
            f"{cpu / (start + size * rate):.3f} | {expected / 1e6:.2f} | {stored / 1e6:.2f} | {stored / expected:.3f}",
            flush=True,
        )


def full_size_sites() -> Iterator[tuple[str, list[Site]]]:
    """Of SDXL and Flux, from their published configurations."""
    published = yaml.safe_load(FULL_SIZE.read_text())
    for name in ("sdxl", "flux-dev"):
        with tempfile.TemporaryDirectory() as folder:
            for part, content in published[name].items():
                if part == "index":
                    (Path(folder) / "model_index.json").write_text(json.dumps(content))
                elif part in {"unet", "transformer"}:
                    (Path(folder) / part).mkdir()
                    (Path(folder) / part / "config.json").write_text(json.dumps(content))
            yield name, blank_sites(folder)


def ways() -> Iterator[tuple[str, list[Site], Keeping]]:
    for name, sites in full_size_sites():
        for patterns, reduction, dtype, steps in WAYS:
            yield name, sites, Keeping(patterns, steps, reduction, dtype)


def tell_bytes() -> None:
    for name, sites, keeping in ways():
        each = keeping.sample_bytes(sites)
        print(
            f"{name} | {', '.join(keeping.sites)}: {len(keeping.chosen(sites))} sites | {keeping.reduction} | "
            f"{keeping.dtype} | {keeping.record} steps | "
            f"{each / 1e6:.3f} MB a sample | {each * MILLION / 1e12:.2f} TB"
        )


@dataclass(frozen=True)
class Rate:
    """Seconds of a picture on one device, from runs of 8 steps on one H100 (docs/benchmarks.md).

    ``step`` of generation, ``hooks`` for each step that is recorded; what is kept leaves the device at ``COPIED``.
    """

    step: float
    hooks: float

    def seconds(self, keeping: Keeping, size: int) -> float:
        return STEPS * self.step + keeping.record * self.hooks + size / COPIED


RATES = {"sdxl": Rate(0.061, 0.031), "flux-dev": Rate(0.203, 0.028)}


def tell_hours(devices: int, disk: float, use: float, price: float, stored: float) -> None:
    """``disk`` and ``stored`` in bytes a second of all devices together, and money for a GB a month."""
    print(
        "model | kept | samples a shard | GB of memory | s a picture | MB/s | days | bound by | device | stored a month"
    )
    for name, sites, keeping in ways():
        size = keeping.sample_bytes(sites)
        each = RATES[name].seconds(keeping, size)
        shard = usual_shard(keeping.filled_bytes(sites), batch=BATCH)
        if not keeping.listing(sites).fits(MILLION, shard_samples=shard):
            shard = keeping.listing(sites).least_shard(MILLION) or MILLION
        rate = devices * (size + IMAGE_BYTES) / each
        generating, writing = MILLION * each / devices / use, MILLION * (size + IMAGE_BYTES) / disk
        days = max(generating, writing) / 86400
        print(
            f"{name} | {', '.join(keeping.sites)}, {keeping.record} steps, {keeping.reduction}, {keeping.dtype} | "
            f"{shard} | {2 * keeping.shard_memory(sites, shard) / 1e9:.2g} | {each:.2f} | {rate / 1e6:.0f} | "
            f"{days:.1f} | {'disk' if writing > generating else 'devices'} | {24 * days * devices * price:,.0f} | "
            f"{MILLION * (size + IMAGE_BYTES) / 1e9 * stored:,.0f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["runs", "bytes", "hours"])
    parser.add_argument("--devices", type=int, default=16)
    parser.add_argument("--disk", type=float, default=2e9, help="bytes a second that all devices write together")
    parser.add_argument("--use", type=float, default=0.9, help="share of the time that devices work")
    parser.add_argument("--price", type=float, default=2.5, help="of a device for an hour")
    parser.add_argument("--stored", type=float, default=0.02, help="price of a GB for a month")
    arguments = vars(parser.parse_args())
    what = arguments.pop("what")
    if what == "hours":
        tell_hours(**arguments)
    else:
        {"runs": compare_runs, "bytes": tell_bytes}[what]()


if __name__ == "__main__":
    main()
