"""What a study of interventions costs against one full call of the pipeline for every cell and pair.

    python benchmarks/attribution.py                    the shipped UNet, layers swapped in windows and over all steps
    python benchmarks/attribution.py --pairs 8 --repeats 5

The peer is what one writes by hand: for every cell and pair a call of the pipeline with the donor beside the receiver,
and a plain hook that copies the donor's rows. Every method runs once a round; the ratio is the median over rounds, of
CPU time. Run it with OMP_NUM_THREADS set to the cores that are free. The pictures of the two are compared.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from outcrop.attribution.pairs import as_sample
from outcrop.attribution.prepare import ReadyCell, Study, prepare_study
from outcrop.attribution.run import execute
from outcrop.attribution.study import Pair, parse_study

Pictures = NDArray[np.uint8]
WINDOWED = ("mid_block", "up_blocks.1", "up_blocks.2")


def by_hand(study: Study) -> Pictures:
    """(cell * pairs + pair, height, width, 3)."""
    return np.stack([call_once(study, cell, pair) for cell in study.cells for pair in study.pairs])


def call_once(study: Study, cell: ReadyCell, pair: Pair) -> Pictures:
    (action,) = cell.actions
    first, last = action.window
    calls = 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1

    def swap(_module: Any, _inputs: Any, output: Any) -> Any:
        if not first <= calls <= last:
            return None
        tensor = output if isinstance(output, torch.Tensor) else output[0]
        fresh = tensor.clone()
        fresh[1::2] = tensor[::2]  # donor and receiver of either half of guidance
        return fresh if isinstance(output, torch.Tensor) else (fresh, *output[1:])

    module = study.model.get_submodule(action.site.name)
    handles = [module.register_forward_hook(swap), study.model.register_forward_hook(count)]
    samples = [as_sample(pair.donor), as_sample(pair.receiver)]
    picture = study.source.generate(samples, steps=study.spec.steps, guidance=study.guidance)[1]
    for handle in handles:
        handle.remove()
    return picture


def new_study(arguments: argparse.Namespace, sites: tuple[str, ...], windows: int) -> Study:
    swap = {"kind": "activation-patch", "sites": sites}
    fields = {"model": "outcrop:unet", "pairs": {"count": arguments.pairs}, "steps": arguments.steps}
    cells = [{"intervention": swap, "windows": windows}]
    return prepare_study(parse_study(fields | {"cells": cells}, where="the benchmark"))


def measure(title: str, study: Study, repeats: int) -> None:
    methods: dict[str, Callable[[], Pictures]] = {
        "by hand": lambda: by_hand(study),
        "outcrop": lambda: execute(study, None).images,
    }
    times: dict[str, list[float]] = {name: [] for name in methods}
    made: dict[str, Pictures] = {}
    for _ in range(repeats):
        for name, method in methods.items():
            started = time.process_time()
            made[name] = method()
            times[name].append(time.process_time() - started)
    apart = np.abs(made["by hand"].astype(int) - made["outcrop"])
    assert apart.max() <= 1, apart.max()
    ratios = [hand / ours for hand, ours in zip(times["by hand"], times["outcrop"], strict=True)]
    spent = {name: statistics.median(values) for name, values in times.items()}
    print(
        f"{title}: {len(study.cells)} cells x {len(study.pairs)} pairs, {study.spec.steps} steps | by hand "
        f"{spent['by hand']:.1f} s | outcrop {spent['outcrop']:.1f} s | ratio {statistics.median(ratios):.1f} "
        f"({min(ratios):.1f} to {max(ratios):.1f}) | same pixels {(apart == 0).mean():.5%}, others 1 apart",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    measure("in four windows", new_study(arguments, WINDOWED, 4), arguments.repeats)
    measure("over all steps", new_study(arguments, ("attentions",), 1), arguments.repeats)


if __name__ == "__main__":
    main()
