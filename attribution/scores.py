"""What each picture C owes to its donor A and to its receiver B, property by property, pair by pair."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.attribution.outcomes import Outcomes
from outcrop.attribution.readouts import Classifier, Descriptor, FloatArray, Images, Readout
from outcrop.data.errors import InputError

Progress = Callable[[int, int], None]
DONOR, RECEIVER, NEITHER, NOT_READ = 0, 1, 2, -1


@dataclass(frozen=True)
class PropertyScores:
    """Of one property, for cells x pairs; NaN (``NOT_READ``) for pairs in which A and B do not differ in it.

    ``toward`` (cell, pair): how far C went towards A, on a scale on which A itself has gone ``toward_span`` (pair,)
    and B 0. ``away``, ``away_span``: how far C went away from B. ``state`` (cell, pair): ``DONOR``, ``RECEIVER``,
    ``NEITHER``.
    """

    toward: FloatArray
    toward_span: FloatArray
    away: FloatArray
    away_span: FloatArray
    state: NDArray[np.int8]

    @property
    def read(self) -> NDArray[np.bool_]:
        """Which pairs (pair,) count."""
        return ~np.isnan(self.toward_span)


def score(
    outcomes: Outcomes, readouts: Sequence[Readout], *, progress: Progress | None = None
) -> dict[str, PropertyScores]:
    """Scores of every property that ``readouts`` read, in their order; ``progress`` is told the readouts done, of all.

    Raises :class:`InputError` where two readouts read the same property, or none was given.
    """
    result: dict[str, PropertyScores] = {}
    for number, readout in enumerate(readouts, start=1):
        found = _classified(outcomes, readout) if isinstance(readout, Classifier) else _described(outcomes, readout)
        twice = result.keys() & found.keys()
        if twice:
            raise InputError(f"Each property must be read by one readout. Read twice: {', '.join(sorted(twice))}.")
        result |= found
        if progress:
            progress(number, len(readouts))
    if not result:
        raise InputError("Give at least one readout, such as the oracle or outcrop.attribution.descriptors.")
    return result


def _classified(outcomes: Outcomes, readout: Classifier) -> dict[str, PropertyScores]:
    donors, receivers = (readout.probabilities(np.asarray(images)) for images in (outcomes.donors, outcomes.receivers))
    made = readout.probabilities(np.asarray(outcomes.images))
    n = len(outcomes.pairs)
    return {
        name: class_scores(
            made[name].reshape(-1, n, made[name].shape[1]),
            donors[name],
            receivers[name],
            asked=asked_classes(outcomes.pairs, name, readout.classes[name]),
        )
        for name in readout.classes
    }


def asked_classes(pairs: pd.DataFrame, name: str, classes: Sequence[str]) -> NDArray[np.int64]:
    """Codes (2, pair) of what donor and receiver were asked to show; -1 where nothing was asked."""
    codes = {value: code for code, value in enumerate(classes)}
    columns = (f"a_{name}", f"b_{name}")
    empty = [None] * len(pairs)
    return np.array([[codes.get(str(value), -1) for value in pairs.get(column, empty)] for column in columns])


def class_scores(
    made: FloatArray, donors: FloatArray, receivers: FloatArray, *, asked: NDArray[np.int64]
) -> PropertyScores:
    """Scores from probabilities: ``made`` (cell, pair, class), ``donors`` and ``receivers`` (pair, class).

    A pair counts where A and B are read as two different classes a and b, which are those ``asked`` for (2, pair), if
    any were. The scale towards A is p(a) less the mean p of the classes that are neither a nor b: a picture that shows
    just anything has gone nowhere, however often its class happens to be a. (With two classes it is p(a).) The scale
    away from B is p(b).
    """
    a, b = donors.argmax(1), receivers.argmax(1)
    fits = [(codes == wanted) | (wanted < 0) for codes, wanted in zip((a, b), asked, strict=True)]
    read = (a != b) & fits[0] & fits[1]
    start, end = _guess_free(receivers, a, b), _guess_free(donors, a, b)
    rows = np.arange(len(a))
    read &= end > start
    best = made.argmax(2)
    state = np.select([best == a, best == b], [DONOR, RECEIVER], NEITHER)
    return PropertyScores(
        toward=np.where(read, _guess_free(made, a, b) - start, np.nan),
        toward_span=np.where(read, end - start, np.nan),
        away=np.where(read, receivers[rows, b] - made[:, rows, b], np.nan),
        away_span=np.where(read, receivers[rows, b] - donors[rows, b], np.nan),
        state=np.where(read, state, NOT_READ).astype(np.int8),
    )


def _guess_free(probabilities: FloatArray, a: NDArray[np.int64], b: NDArray[np.int64]) -> FloatArray:
    """p(a) less the mean of the classes other than a and b; ``probabilities`` (..., pair, class)."""
    rows, count = np.arange(len(a)), probabilities.shape[-1]
    own, other = probabilities[..., rows, a], probabilities[..., rows, b]
    return own - (1 - own - other) / (count - 2) if count > 2 else own


def _described(outcomes: Outcomes, readout: Descriptor) -> dict[str, PropertyScores]:
    donors, receivers = (readout.describe(np.asarray(images)) for images in (outcomes.donors, outcomes.receivers))
    apart = readout.distance(donors, receivers)
    to_donor, to_receiver = [], []
    for cell in range(len(outcomes.record.cells)):
        made = readout.describe(_pictures(outcomes, cell))
        to_donor.append(readout.distance(made, donors))
        to_receiver.append(readout.distance(made, receivers))
    return {readout.name: distance_scores(np.stack(to_donor), np.stack(to_receiver), apart, least=readout.least)}


def _pictures(outcomes: Outcomes, cell: int) -> Images:
    return np.asarray(outcomes.cell_images(cell))


def distance_scores(
    to_donor: FloatArray, to_receiver: FloatArray, apart: FloatArray, *, least: float
) -> PropertyScores:
    """Scores from distances of C to A and to B (cell, pair), and between A and B (pair,).

    A pair counts where A and B lie at least ``least`` apart. C follows A where it lies less than half as far from A as
    B does, and keeps B likewise; elsewhere neither. (In a metric it cannot be both; else the nearer one counts.)
    """
    read = apart >= least
    near_donor, near_receiver = to_donor < apart / 2, to_receiver < apart / 2
    donor = near_donor & (to_donor <= to_receiver)
    state = np.select([donor, near_receiver & ~donor], [DONOR, RECEIVER], NEITHER)
    span = np.where(read, apart, np.nan)
    return PropertyScores(
        toward=np.where(read, apart - to_donor, np.nan),
        toward_span=span,
        away=np.where(read, to_receiver, np.nan),
        away_span=span,
        state=np.where(read, state, NOT_READ).astype(np.int8),
    )


def select_cells(scores: Mapping[str, PropertyScores], cells: Sequence[int]) -> dict[str, PropertyScores]:
    """The scores of some ``cells`` only, in their order."""
    index = list(cells)
    return {
        name: replace(one, toward=one.toward[index], away=one.away[index], state=one.state[index])
        for name, one in scores.items()
    }
