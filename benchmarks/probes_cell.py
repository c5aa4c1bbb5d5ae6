"""A synthetic cell of 240 probes, the solvers that fit it, and a judge: what the benchmarks of probes share."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from outcrop.probes.design import rotated_designs
from outcrop.probes.lbfgs import Rule
from outcrop.probes.path import follow
from outcrop.probes.problems import pose
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
