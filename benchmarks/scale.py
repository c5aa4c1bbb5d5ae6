"""How a capture grows: a model of measured rates against real runs of three sizes, and the bytes of full-size models.

OMP_NUM_THREADS=1 python benchmarks/scale.py runs      # the shipped UNet: predicted and measured
python benchmarks/scale.py bytes                       # SDXL and Flux from their shapes, for a million pictures
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

import outcrop as oc
from outcrop.capture.blank import blank_sites
from outcrop.capture.budget import Keeping
from outcrop.capture.forecast import forecast
from outcrop.capture.run import capture
from outcrop.capture.spec import CaptureSpec, parse_spec, read_spec_fields

SMALL = (24, 72)
SIZES = (144, 288, 432)
FULL_SIZE = Path(__file__).parents[1] / "tests" / "capture" / "full_size.yaml"
MILLION = 10**6
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


def tell_bytes() -> None:
    published = yaml.safe_load(FULL_SIZE.read_text())
    for name in ("sdxl", "flux-dev"):
        with tempfile.TemporaryDirectory() as folder:
            for part, content in published[name].items():
                if part == "index":
                    (Path(folder) / "model_index.json").write_text(json.dumps(content))
                elif part in {"unet", "transformer"}:
                    (Path(folder) / part).mkdir()
                    (Path(folder) / part / "config.json").write_text(json.dumps(content))
            sites = blank_sites(folder)
        for patterns, reduction, dtype, steps in WAYS:
            keeping = Keeping(patterns, steps, reduction, dtype)
            each = keeping.sample_bytes(sites)
            print(
                f"{name} | {', '.join(patterns)}: {len(keeping.chosen(sites))} sites | {reduction} | {dtype} | "
                f"{steps} steps | "
                f"{each / 1e6:.3f} MB a sample | {each * MILLION / 1e12:.2f} TB"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["runs", "bytes"])
    {"runs": compare_runs, "bytes": tell_bytes}[parser.parse_args().what]()


if __name__ == "__main__":
    main()
