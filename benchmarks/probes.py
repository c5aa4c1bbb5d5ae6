"""CPU time of 240 probes of a cell against loops over scikit-learn's LogisticRegression, in one process.

A cell: 5 folds x 8 strengths (C from 0.0001 to 1000) x (3 properties + 3 control tasks), for each of several sizes. The
peers are fitted on a part of it, the first fold's first property and first control at every strength, and their times
multiplied by 15; Outcrop fits all. Peers: float64, float32, and float64 from the solution of the strength before (as
LogisticRegressionCV does), all at the default tolerance and with as many steps as they ask for.

What is checked on that part: each objective against an optimum that a duality gap, computed here in float64, proves to
be within 1e-5; and the held-out accuracy of the best strength. Times are of the process: run it with
OPENBLAS_NUM_THREADS=1.
"""

import argparse
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.preprocessing import StandardScaler

from outcrop.probes.design import rotated_designs
from outcrop.probes.lbfgs import Rule
from outcrop.probes.path import follow
from outcrop.probes.problems import pose
from outcrop.probes.ridge import ridge_scores
from outcrop.probes.softmax import TaskStack
from outcrop.probes.spec import STRENGTHS

Matrix = NDArray[np.floating]
Codes = NDArray[np.int64]

FOLDS = 5
PART = (1, 4)
"""Tasks that the peers fit: the property of middling effect, and a control."""

SHARE = FOLDS * 6 / len(PART)


@dataclass(frozen=True)
class Cell:
    """Features (n, d), codes (6, n) of three properties and three controls, and the fold (n,) of each row."""

    features: Matrix
    codes: Codes
    fold: Codes


def make_cell(n: int, d: int, classes: int, *, seed: int = 0) -> Cell:
    """Covariance eigenvalues that fall as j^-1.4; properties of small, middling and large effect; unlike scales."""
    rng = np.random.default_rng(seed)
    decay = np.arange(1, d + 1) ** -0.7
    x = rng.standard_normal((n, d)) * decay
    codes = []
    for effect in (0.35, 0.7, 1.0):
        codes.append(rng.permutation(np.arange(n) % classes))
        x += effect * (rng.standard_normal((classes, d)) * decay)[codes[-1]]
    x = x @ np.linalg.qr(rng.standard_normal((d, d)))[0] * 10 ** rng.uniform(-1, 1, size=d)
    codes += [rng.permutation(np.arange(n) % classes) for _ in range(3)]
    return Cell(x.astype(np.float32), np.stack(codes), rng.permutation(np.arange(n) % FOLDS))


def outcrop(cell: Cell, *, part: bool = False, dtype: type = np.float32, rule: Rule) -> Iterator[tuple[Matrix, Matrix]]:
    """Raw weights (8, c, d) and intercepts (8, c) of each fold; with ``part`` of the peers' tasks and first fold."""
    features, codes = cell.features.astype(dtype), cell.codes[list(PART)] if part else cell.codes
    tasks = TaskStack(codes, (int(codes.max()) + 1,) * len(codes))
    for held in range(1 if part else FOLDS):
        rows = (cell.fold != held)[None]
        (rotation,), designs = rotated_designs(features, rows)
        problems = pose(designs, tasks, strengths=np.ones((1, len(codes))))
        found = [rotation.raw_weights(minimum.solution[0]) for minimum in follow(problems, STRENGTHS, rule=rule)]
        yield np.stack([coef for coef, _ in found]), np.stack([intercept for _, intercept in found])


def scikit_learn(cell: Cell, *, dtype: type, warm: bool = False) -> tuple[float, float]:
    """CPU seconds for the property and the control."""
    train = cell.fold != 0
    seconds = []
    for task in PART:
        started = time.process_time()
        scaled = StandardScaler().fit_transform(cell.features[train].astype(dtype))
        model = LogisticRegression(max_iter=10_000, warm_start=warm)
        for strength in STRENGTHS:
            model.set_params(C=strength).fit(scaled, cell.codes[task, train])
        seconds.append(time.process_time() - started)
    return seconds[0], seconds[1]


def judge(cell: Cell, coef: Matrix, intercept: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Objective, duality gap and held-out accuracy (8, tasks of the part), in float64."""
    train, x = cell.fold != 0, cell.features.astype(np.float64)
    scaler = StandardScaler().fit(x[train])
    z, held = scaler.transform(x[train]), scaler.transform(x[~train])
    classes, n = int(cell.codes.max()) + 1, len(z)
    result = np.zeros((3, len(STRENGTHS), len(PART)))
    for (s, strength), (t, task) in ((a, b) for a in enumerate(STRENGTHS) for b in enumerate(PART)):
        own, y = slice(t * classes, (t + 1) * classes), cell.codes[task]
        weights = coef[s, own].astype(np.float64) * scaler.scale_
        offset = intercept[s, own] + coef[s, own].astype(np.float64) @ scaler.mean_
        logits = z @ weights.T + offset
        logs = logits - np.logaddexp.reduce(logits, axis=1)[:, None]
        residuals = np.exp(logs)
        residuals[np.arange(n), y[train]] -= 1
        ridge = 1 / (strength * n)
        gradient = residuals.T @ z / n + ridge * weights
        objective = -logs[np.arange(n), y[train]].mean() + ridge / 2 * (weights**2).sum()
        accuracy = ((held @ weights.T + offset).argmax(1) == y[~train]).mean()
        result[:, s, t] = objective, (gradient**2).sum() / (2 * ridge), accuracy
    return result[0], result[1], result[2]


def compare(n: int, d: int, classes: int) -> str:
    """A row of the table."""
    cell, rule = make_cell(n, d, classes), Rule(1e-4)
    next(outcrop(cell, part=True, rule=rule))
    peers = {
        "float64": scikit_learn(cell, dtype=np.float64),
        "float32": scikit_learn(cell, dtype=np.float32),
        "warm": scikit_learn(cell, dtype=np.float64, warm=True),
    }
    started = time.process_time()
    for _ in outcrop(cell, rule=rule):
        pass
    ours = time.process_time() - started
    objective, _, accuracy = judge(cell, *next(outcrop(cell, part=True, rule=rule)))
    exact = Rule(1e-5, certified=True, most=3000)
    least, gap, reference = judge(cell, *next(outcrop(cell, part=True, dtype=np.float64, rule=exact)))
    excess, proof = (objective / least - 1).max(), (gap / least).max()
    apart = 100 * np.abs(accuracy.max(0) - reference.max(0)).max()
    ratios = "".join(f"{SHARE * sum(seconds) / ours:8.1f}" for seconds in peers.values())
    line = f"{n:5} {d:5} {classes:3} {SHARE * sum(peers['float64']):8.0f} {ours:8.2f} {ratios}"
    return f"{line} {excess:10.1e} {proof:10.1e} {apart:6.2f}"


def ridge_classifiers(cell: Cell, penalties: list[float], *, dtype: type) -> list[Matrix]:
    """Scores of the held-out rows, for each task of the part and each penalty."""
    train, scores = cell.fold != 0, []
    for task in PART:
        scaler = StandardScaler().fit(cell.features[train].astype(dtype))
        x, held = (scaler.transform(cell.features[own].astype(dtype)) for own in (train, ~train))
        for penalty in penalties:
            model = RidgeClassifier(alpha=penalty).fit(x, cell.codes[task, train])
            scores.append(model.decision_function(held))
    return scores


def ridge_sweep(n: int, d: int, classes: int) -> str:
    """The same cell by ridge classifiers, all strengths at once against a loop; both against float64."""
    cell = make_cell(n, d, classes)
    penalties = [1 / strength for strength in STRENGTHS]
    started = time.process_time()
    peer = ridge_classifiers(cell, penalties, dtype=np.float32)
    theirs = SHARE * (time.process_time() - started)
    exact = ridge_classifiers(cell, penalties, dtype=np.float64)
    started = time.process_time()
    indicators = 2.0 * (cell.codes[:, :, None] == np.arange(classes)) - 1
    stacked = indicators.transpose(1, 0, 2).reshape(n, -1).astype(np.float32)
    trains = [cell.fold != held_fold for held_fold in range(FOLDS)]
    scores = [ridge_scores(cell.features, stacked, own, penalties=penalties) for own in trains]
    ours = time.process_time() - started
    columns = [np.arange(t * classes, (t + 1) * classes) for t in PART]
    found = [scores[0][s][:, columns[t]] for t in range(len(PART)) for s in range(len(penalties))]
    errors = (max(float(np.abs(a - b).max()) for a, b in zip(own, exact, strict=True)) for own in (found, peer))
    return f"{n:5} {d:5} {classes:3} {theirs:8.1f} {ours:8.3f} {theirs / ours:8.1f}" + "".join(
        f"{error:10.1e}" for error in errors
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--features", type=int, nargs="+", default=[320, 1280])
    parser.add_argument("--classes", type=int, nargs="+", default=[8, 30], help="of each task, three or more")
    parser.add_argument("--ridge", action="store_true", help="the ridge sweep instead")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.simplefilter("ignore", LinAlgWarning)
    head = "peer s   ours s  float64 float32    warm     excess   proved to accuracy apart (points)"
    print(f"    n     d   k   {'  peer s   ours s   ratio  off float64: ours, peer' if arguments.ridge else head}")
    sizes = ((n, d, k) for n in arguments.samples for d in arguments.features for k in arguments.classes)
    for size in sizes:
        print((ridge_sweep if arguments.ridge else compare)(*size), flush=True)


if __name__ == "__main__":
    main()
