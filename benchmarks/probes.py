"""CPU time of a cell of probes against a loop over scikit-learn's LogisticRegression, in the same process.

Run ``python benchmarks/probes.py --help``. Both choose strengths on the same inner folds, fit the same outer folds, all
rows, and the same control tasks; the loop has no path to end early and no certificate. The times are of the process,
over all its threads: run it with OMP_NUM_THREADS=1. What is compared beside them: the objective of the probes of all
rows, against scikit-learn's at tol 1e-8, and the accuracy out of fold.
"""

import argparse
import time
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from outcrop.probes.control import control_task
from outcrop.probes.logistic import CellFit, LinearWeights, cross_validate
from outcrop.probes.properties import Target, encode
from outcrop.probes.spec import STRENGTHS
from outcrop.probes.splits import Splits, make_splits

Matrix = NDArray[np.float32]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Cell:
    """Features (n, d), properties, their control tasks, and folds over groups."""

    features: Matrix
    targets: tuple[Target, ...]
    controls: tuple[tuple[Target, ...], ...]
    splits: Splits


def make_cell(n: int, d: int, classes: list[int], *, groups: int, draws: int, seed: int) -> Cell:
    """Features of decaying spectrum; the first property does not stand in them, the last stands out."""
    rng = np.random.default_rng(seed)
    codes = [rng.permutation(np.arange(n) % count) for count in classes]
    decay = np.arange(1, d + 1) ** -0.7
    x = rng.standard_normal((n, d)) * decay
    for strength, (count, code) in zip(np.linspace(0, 1, len(classes)), zip(classes, codes, strict=True), strict=True):
        x += strength * (rng.standard_normal((count, d)) * decay)[code]
    x = x @ np.linalg.qr(rng.standard_normal((d, d)))[0] * 10 ** rng.uniform(-1, 1, size=d)
    targets = tuple(encode(pd.Series(code), name=f"property {number}") for number, code in enumerate(codes))
    samples = pd.DataFrame({"template": rng.permutation(np.arange(n) % groups), "seed": np.arange(n)})
    splits = make_splits(samples, targets, group_by=("template", "seed"), folds=5, seed=seed)
    units = splits.grouping.units[0].codes
    controls = tuple(
        tuple(control_task(target, units, folds=splits.dealt, seed=seed, draw=draw) for draw in range(draws))
        for target in targets
    )
    return Cell(x.astype(np.float32), targets, controls, splits)


def fit(
    x: NDArray[np.floating], y: Codes, strength: float, *, tol: float = 1e-4
) -> tuple[StandardScaler, LogisticRegression]:
    scaler = StandardScaler().fit(x)
    return scaler, LogisticRegression(C=strength, tol=tol, max_iter=2000 if tol > 1e-6 else 50_000).fit(
        scaler.transform(x), y
    )


def loop(cell: Cell) -> NDArray[np.float64]:
    """Accuracy of each property out of fold, one scikit-learn fit after the other."""
    x, accuracies = cell.features, []
    for target, controls in zip(cell.targets, cell.controls, strict=True):
        hits, right = np.zeros((len(cell.splits.folds), len(STRENGTHS))), 0
        for inner in cell.splits.inner:
            for s, strength in enumerate(STRENGTHS):
                scaler, model = fit(x[inner.train], target.codes[inner.train], strength)
                for own, rows in inner.validate:
                    hits[own, s] += (model.predict(scaler.transform(x[rows])) == target.codes[rows]).sum()
        chosen = np.asarray(STRENGTHS)[hits.argmax(1)]
        for fold, strength in zip(cell.splits.folds, chosen, strict=True):
            for task in (target, *controls):
                scaler, model = fit(x[fold.train], task.codes[fold.train], strength)
                predicted = model.predict(scaler.transform(x[fold.test]))
                right += int((predicted == task.codes[fold.test]).sum()) if task is target else 0
        fit(x, target.codes, float(np.median(chosen)))
        accuracies.append(right / len(x))
    return np.array(accuracies)


def batch(cell: Cell) -> CellFit:
    """The same by Outcrop."""
    return cross_validate(cell.features, cell.targets, cell.splits, strengths=STRENGTHS, controls=cell.controls)


def excess(cell: Cell, fitted: CellFit) -> float:
    """The largest excess of the objective of the probes of all rows over scikit-learn's optimum, relative to that."""
    x, result = cell.features.astype(np.float64), []
    medians = np.quantile(fitted.strengths, 0.5, axis=0, method="lower")
    for target, weights, strength in zip(cell.targets, fitted.weights, medians, strict=True):
        scaler, model = fit(x, target.codes, strength, tol=1e-8)
        coef, intercept = model.coef_ / scaler.scale_, model.intercept_ - (model.coef_ / scaler.scale_) @ scaler.mean_
        settings = {"scale": scaler.scale_, "strength": float(strength)}
        least = objective(x, target.codes, LinearWeights(coef, intercept), **settings)
        result.append(objective(x, target.codes, weights, **settings) / least - 1)
    return max(result)


def objective(
    x: NDArray[np.float64], y: Codes, weights: LinearWeights, *, scale: NDArray[np.float64], strength: float
) -> float:
    """Mean loss + |w|^2 / (2 C n) of three classes or more, w in units of standard deviations."""
    logits = x @ weights.coef.T.astype(np.float64) + weights.intercept
    top = logits.max(1)
    loss = np.log(np.exp(logits - top[:, None]).sum(1)) + top - logits[np.arange(len(y)), y]
    return float(loss.mean() + ((weights.coef * scale) ** 2).sum() / (2 * strength * len(y)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=216)
    parser.add_argument("--features", type=int, nargs="+", default=[48])
    parser.add_argument("--classes", type=int, nargs="+", default=[4, 3, 6], help="of each property, three or more")
    parser.add_argument("--groups", type=int, default=24)
    parser.add_argument("--controls", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    print("samples features  scikit-learn CPU s  outcrop CPU s  ratio  objective excess  accuracy difference (points)")
    for d in arguments.features:
        cell = make_cell(
            arguments.samples, d, arguments.classes, groups=arguments.groups, draws=arguments.controls, seed=0
        )
        batch(cell)
        times: dict[str, list[float]] = {"loop": [], "batch": []}
        for _ in range(arguments.repeats):
            started = time.process_time()
            expected = loop(cell)
            between = time.process_time()
            fitted = batch(cell)
            times["loop"].append(between - started)
            times["batch"].append(time.process_time() - between)
        truth = np.stack([target.codes for target in cell.targets])
        apart = 100 * np.abs((fitted.predicted == truth).mean(1) - expected).max()
        theirs, ours = np.median(times["loop"]), np.median(times["batch"])
        ratio = np.median(np.array(times["loop"]) / np.array(times["batch"]))
        line = f"{len(truth[0]):7} {d:8} {theirs:19.2f} {ours:14.3f} {ratio:6.0f}"
        print(f"{line} {excess(cell, fitted):17.1e} {apart:14.2f}")


if __name__ == "__main__":
    main()
