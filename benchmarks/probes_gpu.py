"""Cells of a sweep on a GPU against the same by NumPy on one core, and against a loop over scikit-learn.

    python benchmarks/probes_gpu.py results.json --limit 240

For each size a batch of cells with all that a sweep fits (5 folds, strengths chosen inside them, three properties and
two draws of control tasks each), by wall time on the device, the way onto it and every decomposition included. NumPy
fits one of the cells, by CPU time. scikit-learn (LogisticRegression, lbfgs, float64, default tolerance) fits 16 of a
cell's fits, and its time is multiplied by the number of fits of a cell. Checked: the certificate, strengths and
predictions against NumPy's. A size that fails, or for which no time is left, takes no other with it; what is found
is written to the file as it comes.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from probes_cell import Cell, Matrix, make_cell, scikit_learn

from outcrop.probes.device import fit_on_device
from outcrop.probes.logistic import CellFit, cross_validate
from outcrop.probes.properties import encode
from outcrop.probes.spec import STRENGTHS
from outcrop.probes.splits import make_splits

PEER_FITS = 2 * len(STRENGTHS)
DRAWS = 2


def more_cells(first: Matrix, count: int) -> list[Matrix]:
    """``first`` and copies of it with noise of a tenth of each feature's deviation."""
    rng, scale = np.random.default_rng(1), 0.1 * first.std(0)
    return [first, *(first + scale * rng.standard_normal(first.shape, dtype=np.float32) for _ in range(count - 1))]


def sweep_settings(cell: Cell) -> dict[str, Any]:
    """Three properties and draws of their controls, on samples grouped by ten."""
    rng, n = np.random.default_rng(2), cell.codes.shape[1]
    targets = [encode(pd.Series(codes), name=f"property {t}") for t, codes in enumerate(cell.codes[:3])]
    controls = [[replace(own, codes=rng.permutation(own.codes)) for _ in range(DRAWS)] for own in targets]
    samples = pd.DataFrame({"template": np.arange(n) // 10})
    splits = make_splits(samples, targets, group_by=("template",), folds=5, seed=0)
    return {"targets": targets, "splits": splits, "strengths": STRENGTHS, "controls": controls}


def on_device(features: Sequence[Matrix], device: str, settings: dict[str, Any]) -> tuple[float, list[CellFit]]:
    """Wall seconds, and what was fitted."""
    started = time.perf_counter()
    fits = [pair[1] for pair in fit_on_device(((own, None) for own in features), device, **settings) if pair]
    return time.perf_counter() - started, fits


def measure(size: tuple[int, int, int], *, device: str, cells: int) -> dict[str, Any]:
    cell = make_cell(*size)
    settings, features = sweep_settings(cell), more_cells(cell.features, cells)
    on_device(features[:1], device, settings)
    seconds, fits = on_device(features, device, settings)
    started = time.process_time()
    expected = cross_validate(features[0], **settings)
    numpy_seconds = time.process_time() - started
    inner, folds = (len(own) for own in (settings["splits"].inner, settings["splits"].folds))
    count = 3 * (inner * len(STRENGTHS) + folds * (1 + DRAWS) + 1)
    peer = sum(scikit_learn(cell, dtype=np.float64)) * count / PEER_FITS
    return {
        "s_a_cell": seconds / cells,
        "times_numpy": numpy_seconds * cells / seconds,
        "times_scikit_learn": peer * cells / seconds,
        "gap": max(float(own.gap.max()) for own in fits),
        "gap_of_numpy": float(expected.gap.max()),
        "same_strengths": float((fits[0].strengths == expected.strengths).mean()),
        "same_predictions": float((fits[0].predicted == expected.predicted).mean()),
        "same_controls": float((fits[0].controls == expected.controls).mean()),
    }


def main() -> None:
    arguments, results, started = parse(), {}, time.perf_counter()
    name = torch.cuda.get_device_name(arguments.device) if arguments.device.startswith("cuda") else "CPU"
    print(f"{name}, PyTorch {torch.__version__}, batches of {arguments.cells} cells", flush=True)
    sizes = [(n, d, k) for n in arguments.samples for d in arguments.features for k in arguments.classes]
    for size in sorted(sizes, key=lambda own: own[0] * own[1] * own[2]):
        if time.perf_counter() - started > arguments.limit:
            found: dict[str, Any] = {"skipped": "no time left"}
        else:
            try:
                found = measure(size, device=arguments.device, cells=arguments.cells)
            except Exception as error:  # noqa: BLE001 - one size must not take the others with it
                found = {"failed": f"{type(error).__name__}: {error}"}
        results["{} x {}, {} classes".format(*size)] = found
        arguments.results.write_text(json.dumps({"device": name, **results}, indent=1))
        print(size, json.dumps(found), flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="JSON file")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--cells", type=int, default=32, help="at once, as far as they fit")
    parser.add_argument("--limit", type=float, default=240, help="seconds after which no further size begins")
    parser.add_argument("--samples", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--features", type=int, nargs="+", default=[320, 1280])
    parser.add_argument("--classes", type=int, nargs="+", default=[8, 30], help="of each task, three or more")
    return parser.parse_args()


if __name__ == "__main__":
    main()
