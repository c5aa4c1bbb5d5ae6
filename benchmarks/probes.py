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

import numpy as np
from probes_cell import FOLDS, PART, SHARE, Cell, Matrix, judge, make_cell, outcrop, scikit_learn
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import RidgeClassifier
from sklearn.preprocessing import StandardScaler

from outcrop.probes.lbfgs import Rule
from outcrop.probes.ridge import ridge_scores
from outcrop.probes.spec import STRENGTHS


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
