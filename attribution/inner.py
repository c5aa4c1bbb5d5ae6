"""Internal readouts: what a probe reads at a later site while an intervention acts at an earlier one.

They show how far along the network an effect is carried (mediation): does the state in between follow the donor, and
does the picture follow where it does?
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from outcrop.attribution.bootstrap import DEFAULT, FloatArray, Resampling, ratio_intervals
from outcrop.attribution.effect_table import EffectTable
from outcrop.attribution.effects import tabulate
from outcrop.attribution.outcomes import DONORS, IMAGES, RECEIVERS, Outcomes, Pictures
from outcrop.attribution.pairs import pair_table
from outcrop.attribution.parts import PartStore
from outcrop.attribution.prepare import Study, prepare_study
from outcrop.attribution.run import Runner
from outcrop.attribution.scores import DONOR, asked_classes, class_scores
from outcrop.attribution.study import StudySpec
from outcrop.capture.guidance import Half
from outcrop.capture.hooks import Recorder
from outcrop.capture.reduction import Reduction
from outcrop.capture.sites import select_sites
from outcrop.data.errors import InputError
from outcrop.data.samples import Sample
from outcrop.probes.logistic import LinearWeights
from outcrop.probes.table import ProbeTable, weights_key


@dataclass(frozen=True)
class InnerReadout:
    """A probe at ``site`` and ``step`` (of the study). Row k of its weights stands for ``classes[k]``."""

    property_name: str
    site: str
    step: int
    classes: tuple[str, ...]
    weights: LinearWeights

    @property
    def name(self) -> str:
        """What stands for it among the properties of a table."""
        return f"{self.property_name}@{self.site}:{self.step}"

    @classmethod
    def of(cls, probes: ProbeTable, property_name: str, *, site: str, row: int, step: int) -> "InnerReadout":
        """The probe of a table's recorded step ``row``, read at the study's ``step``."""
        weights = probes.weights[weights_key(property_name, site, row)]
        classes = tuple(str(name) for name in probes.provenance["classes"][property_name])
        return cls(property_name, site, step, classes, weights)

    def probabilities(self, features: NDArray[np.floating]) -> FloatArray:
        """(n, class) of features (n, d)."""
        coef, intercept = (np.asarray(part, np.float64) for part in (self.weights.coef, self.weights.intercept))
        scores = features.astype(np.float64) @ coef.T + intercept
        result: FloatArray = softmax(scores, axis=1)
        return result


@dataclass(frozen=True)
class InnerEffects:
    """``table``: effects on the probes, a property for each readout; ``outcomes``: the pictures of the same run."""

    table: EffectTable
    outcomes: Outcomes

    def mediation(self, readout: InnerReadout, pictures: EffectTable) -> pd.DataFrame:
        """A row per cell: ``inner``, the effect on the probe; ``picture``, that on the picture; and the effect on the
        picture among pairs whose inner state follows the donor (``carried``) and among the others (``past``), with
        intervals and the number of pairs.

        A state that carries the effect has a large ``carried`` and no ``past``. This is an association over pairs: to
        show that the state is needed, patch it back as well (``dataset`` of the receivers, in the same cell).
        """
        inner, outer = self.table.scores[readout.name], pictures.scores[readout.property_name]
        read = inner.read & outer.read
        rows = self.table.frame[self.table.frame["property"] == readout.name][["cell", "site", "window", "control"]]
        rows = rows.reset_index(drop=True)
        follows = inner.state == DONOR
        for name, scores, kept in (
            ("inner", inner, np.broadcast_to(read, follows.shape)),
            ("picture", outer, np.broadcast_to(read, follows.shape)),
            ("carried", outer, read & follows),
            ("past", outer, read & ~follows),
        ):
            span = np.where(kept, scores.toward_span, np.nan)
            found = ratio_intervals(scores.toward, span, resampling=self.table.resampling)
            rows[name], rows[f"{name}_low"], rows[f"{name}_high"] = found
            rows[f"{name}_n"] = kept.sum(1)
        return rows


def run_inner(
    spec: StudySpec,
    readouts: Sequence[InnerReadout],
    *,
    reduction: str = "mean",
    half: Half = "cond",
    resampling: Resampling = DEFAULT,
) -> InnerEffects:
    """Run a study in memory and read its later sites with ``readouts``, on features of the probes' ``reduction``.

    No step is replayed. Raises :class:`InputError` for a site that the model lacks, and a step that the study lacks.
    """
    study = prepare_study(spec)
    late = [one.step for one in readouts if not 0 <= one.step < study.moments]
    if late or not readouts:
        raise InputError(f"Give readouts at steps 0 to {study.moments - 1} of the study. Got {late or 'none'}.")
    runner = _RecordingRunner(study, readouts, reduction=reduction, half=half)
    kept = {name: _Kept() for name in (IMAGES, DONORS, RECEIVERS)}
    total = len(study.pairs)
    for group in runner.groups:
        pictures, _ = runner.base(group, taped=False)
        count = len(group.pairs)
        for name, part in ((DONORS, slice(count)), (RECEIVERS, slice(count, None))):
            kept[name].add(group.pairs, pictures[part], [values[part] for values in runner.latest])
        for block in group.blocks:
            rows = [cell * total + pair for cell in block.cells for pair in block.pairs]
            pictures = runner.make(block, None)
            kept[IMAGES].add(rows, pictures, [values[-len(rows) :] for values in runner.latest])
    pairs = pair_table(study.pairs)
    outcomes = Outcomes(study.record(), pairs, *(kept[name].pictures for name in (IMAGES, DONORS, RECEIVERS)))
    scores = {}
    for place, one in enumerate(readouts):
        made, donors, receivers = (kept[name].read(place) for name in (IMAGES, DONORS, RECEIVERS))
        asked = asked_classes(pairs, one.property_name, one.classes)
        by_cell = made.reshape(len(study.cells), total, -1)
        scores[one.name] = class_scores(by_cell, donors, receivers, asked=asked)
    return InnerEffects(tabulate(outcomes, scores, resampling=resampling), outcomes)


class _Kept:
    """Pictures and what the probes read, gathered batch by batch."""

    def __init__(self) -> None:
        self._rows: list[int] = []
        self._pictures: list[Pictures] = []
        self._read: list[Sequence[FloatArray]] = []

    def add(self, rows: Sequence[int], pictures: Pictures, read: Sequence[FloatArray]) -> None:
        self._rows += rows
        self._pictures.append(pictures)
        self._read.append(read)

    @property
    def pictures(self) -> Pictures:
        return np.concatenate(self._pictures)[np.argsort(self._rows)]

    def read(self, place: int) -> FloatArray:
        """What one of the readouts gave, (row, class)."""
        return np.concatenate([part[place] for part in self._read])[np.argsort(self._rows)]


class _RecordingRunner(Runner):
    """A runner that reads the probes in every batch, after the interventions acted; ``latest``: (n, class) each."""

    def __init__(self, study: Study, readouts: Sequence[InnerReadout], *, reduction: str, half: Half) -> None:
        super().__init__(study, PartStore(None))
        self._readouts = tuple(readouts)
        self._steps = sorted({one.step for one in readouts})
        self._recorder = Recorder(
            study.model,
            select_sites(study.sites, tuple(dict.fromkeys(one.site for one in readouts))),
            steps=self._steps,
            reduction=Reduction.parse(reduction),
            dtype="float32",
            half=half,
            layout=study.layout,
        )
        self.latest: list[FloatArray] = []

    def _generate(self, samples: Sequence[Sample]) -> Pictures:
        with self._recorder:  # opened last, so that it sees what the interventions have written
            self._recorder.begin(len(samples))
            pictures = super()._generate(samples)
            values = self._recorder.take()
        self.latest = [
            one.probabilities(values[one.site][self._steps.index(one.step)].reshape(len(samples), -1))
            for one in self._readouts
        ]
        return pictures
