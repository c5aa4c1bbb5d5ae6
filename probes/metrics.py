"""What class probabilities are worth beyond accuracy: their confusions, ranking, loss and calibration."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from outcrop.probes.properties import IntArray
from outcrop.probes.softmax import FloatArray

BINS = 15
LEAST_PROBABILITY = 1e-7


@dataclass(frozen=True)
class Metrics:
    """Of one task, over all rows out of fold.

    ``macro_f1``: mean over classes of the harmonic mean of precision and recall, 0 for a class that is never right.
    ``auroc``: mean over classes of the area under the curve of that class against the others. ``log_loss``: mean of
    -log p of the true class in nats, p cut off at ``LEAST_PROBABILITY``. ``calibration_error``: mean distance of
    confidence from accuracy, over ``BINS`` bins of equal width (Guo et al. 2017, arXiv:1706.04599, eq. 3).
    """

    macro_f1: float
    auroc: float
    log_loss: float
    calibration_error: float


def measure(probabilities: FloatArray, codes: IntArray) -> Metrics:
    """Metrics of ``probabilities`` (n, k) for true ``codes`` (n,) from 0; classes without rows do not count."""
    truth = codes[:, None] == np.arange(probabilities.shape[1])
    held = truth.any(0)
    predicted = probabilities.argmax(1)
    own = np.maximum(probabilities[np.arange(len(codes)), codes].astype(np.float64), LEAST_PROBABILITY)
    return Metrics(
        macro_f1=_macro_f1(predicted, truth[:, held], np.flatnonzero(held)),
        auroc=_auroc(probabilities[:, held], truth[:, held]),
        log_loss=float(-np.log(own).mean()),
        calibration_error=_calibration_error(probabilities.max(1), predicted == codes),
    )


def _macro_f1(predicted: IntArray, truth: FloatArray, classes: IntArray) -> float:
    guessed = predicted[:, None] == classes
    return float((2 * (guessed & truth).sum(0) / (guessed.sum(0) + truth.sum(0))).mean())


def _auroc(probabilities: FloatArray, truth: FloatArray) -> float:
    """Mann and Whitney's statistic, ties counted as half."""
    inside = truth.sum(0)
    outside = len(truth) - inside
    if not outside.all():
        return float("nan")
    ranks = (rankdata(probabilities, axis=0) * truth).sum(0)
    return float(((ranks - inside * (inside + 1) / 2) / (inside * outside)).mean())


def _calibration_error(confidence: FloatArray, right: FloatArray) -> float:
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence.astype(np.float64), minlength=BINS)
    return float(np.abs(gaps).sum() / len(right))
