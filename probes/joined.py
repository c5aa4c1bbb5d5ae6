"""Several recordings as one, to carry probes between guidance scales, models or any other circumstance."""

import dataclasses
import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.data.errors import InputError
from outcrop.probes.features import Recording, feature_matrix
from outcrop.probes.plan import Plan, make_plan
from outcrop.probes.softmax import BoolArray, TaskStack, predict_codes
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.splits import Fold, InnerFold
from outcrop.probes.strengths import choose_strengths
from outcrop.probes.usable import fit_folds


@dataclass(frozen=True)
class Joined:
    """The samples of ``parts`` one after the other, with a column ``name`` that says which part each is from.

    Sites and steps are those that all parts have; steps count by their index. Groups of samples reach across the parts:
    a prompt or a seed that occurs in two of them is one. Raises :class:`InputError` for no parts, for what is no data
    set, and for a ``name`` that is a column of theirs.
    """

    name: str
    parts: Mapping[str, Recording]

    def __post_init__(self) -> None:
        _check_parts(self.name, self.parts)

    @property
    def uuid(self) -> str:
        return hashlib.sha256("".join(part.uuid for part in self.parts.values()).encode()).hexdigest()[:32]

    @cached_property
    def sites(self) -> pd.DataFrame:
        first, *others = (part.sites for part in self.parts.values())
        return first[[all(site in other.index for other in others) for site in first.index]]

    @cached_property
    def steps(self) -> pd.DataFrame:
        first, *others = (part.steps for part in self.parts.values())
        return first[[all(step in other.index for other in others) for step in first.index]]

    @cached_property
    def samples(self) -> pd.DataFrame:
        return self._stacked({key: part.samples for key, part in self.parts.items()})

    @cached_property
    def labels(self) -> pd.DataFrame:
        return self._stacked({key: part.labels for key, part in self.parts.items()}).drop(columns=self.name)

    def activations(self, site: str, *, step: int) -> NDArray[np.generic]:
        values = {key: part.activations(site, step=step) for key, part in self.parts.items()}
        shapes = {key: value.shape[1:] for key, value in values.items()}
        if len(set(shapes.values())) > 1:
            raise InputError(f"Site {site!r} has other shapes in other parts: {shapes}. Probes cannot be carried.")
        return np.concatenate(list(values.values()))

    def _stacked(self, frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        parts = []
        for key, frame in frames.items():
            named = frame.assign(**{self.name: key})
            if "image" in named:
                named["image"] = [f"{key}/{path}" if path else "" for path in named["image"]]
            parts.append(named)
        stacked = pd.concat(parts)
        stacked.index = pd.Index([f"{key}/{name}" for key, frame in frames.items() for name in frame.index], name="id")
        return stacked


def _check_parts(name: object, parts: object) -> None:
    if not isinstance(name, str) or not name:
        raise InputError(f"name must be that of a new sample column, as in 'guidance'. Got {name!r}.")
    if not isinstance(parts, Mapping) or not parts:
        got = "none" if isinstance(parts, Mapping) else type(parts).__name__
        raise InputError(f"parts must be data sets by name, at least one: {{'3': ds3, '7': ds7}}. Got {got}.")
    for key, part in parts.items():
        if not hasattr(part, "samples"):
            raise InputError(f"Part {key!r} must be an open data set (oc.open_dataset). Got {part!r}.")
        if name in part.samples:
            raise InputError(f"Part {key!r} has a sample column {name!r} already. Give the join another name.")


def transfer_across(
    recording: Recording, property_name: str, *, by: str, site: str, step: int, spec: ProbeSpec | None = None
) -> pd.DataFrame:
    """Accuracy of a probe that was fitted on the samples of one value of ``by`` on those of each other one.

    ``by`` is a sample column: a label, or what :class:`Joined` put together (``guidance``, ``model``).
    The probe is fitted on the training rows of its value, and tested on the test rows, of other groups, of all values;
    features are standardised over the training rows of the value that the probe is fitted on. Rows: ``fitted``,
    ``tested``, ``n``, ``accuracy``, ``low``, ``high``, ``chance``. Raises :class:`InputError` for names that are not
    there, and for a value with too few samples.
    """
    asked = dataclasses.replace(spec or ProbeSpec(), properties=(property_name,), sites=(site,), steps=(step,))
    if by not in recording.samples:
        raise InputError(f"by names {by!r}, which is no sample column: {', '.join(recording.samples.columns)}.")
    plan = make_plan(recording, asked)
    values = recording.samples[by].astype(str).to_numpy()
    features = feature_matrix(recording, site, step=step)
    names = sorted(set(values))
    right = {name: _carried(features, plan, values == name, value=name, by=by) for name in names}
    pairs = itertools.product(names, names)
    return pd.DataFrame(
        [{"fitted": own, "tested": other, **_score(plan, right[own], values == other)} for own, other in pairs]
    )


def _carried(features: NDArray[np.float32], plan: Plan, own: BoolArray, *, value: str, by: str) -> BoolArray:
    """Which rows (n,) a probe fitted on the training rows among ``own`` gets right."""
    target, tasks = plan.targets[0], TaskStack.of(plan.targets)
    folds = tuple(Fold(fold.train & own, fold.test) for fold in plan.splits.folds)
    found = min(len(np.unique(target.codes[fold.train & target.known])) for fold in folds)
    if not found:
        raise InputError(
            f"A fold has no training rows with {by} = {value!r}: {', '.join(plan.splits.grouping.apart)} are never on "
            f"both sides of a split. Carry probes between parts that share their groups."
        )
    if found < len(target.classes):
        raise InputError(
            f"A fold has {found} of the {len(target.classes)} classes of {target.name!r} among its training rows "
            f"with {by} = {value!r}. Capture more of them, or carry probes between larger parts."
        )
    inner = tuple(
        InnerFold(fold.train & own, tuple((number, rows & own) for number, rows in fold.validate))
        for fold in plan.splits.inner
    )
    splits = dataclasses.replace(plan.splits, folds=folds, inner=inner)
    strengths = choose_strengths(features, tasks, splits, strengths=plan.spec.strengths).strengths
    right = np.zeros(len(features), dtype=np.bool_)
    for fitted in fit_folds(features, tasks, folds, strengths=strengths):
        tested = fitted.tested(features)
        codes = predict_codes(fitted.logits(tested), tasks)[:, 0]
        for found, index, used in zip(codes, tested.rows, tested.used, strict=True):
            right[index[used]] = found[used] == target.codes[index[used]]
    return right


def _score(plan: Plan, right: BoolArray, rows: BoolArray) -> dict[str, float]:
    target = plan.targets[0]
    counted = dataclasses.replace(target, codes=np.where(rows, target.codes, -1))
    low, high = plan.intervals(right[None, counted.known], counted)
    accuracy = float(right[counted.known].mean())
    chance = 1 / len(target.classes)
    return {"n": int(counted.known.sum()), "accuracy": accuracy, "low": low[0], "high": high[0], "chance": chance}
