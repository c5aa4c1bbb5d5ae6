"""Any scikit-learn classifier as a reference, on the same folds as the probes: nearest means, a network, neighbours."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone, is_classifier

from outcrop.data.errors import InputError
from outcrop.probes.cells import Progress
from outcrop.probes.features import Recording, feature_matrix
from outcrop.probes.plan import Plan, make_plan
from outcrop.probes.spec import ProbeSpec

Reference = Literal["nearest-mean", "mlp", "neighbours"]
HIDDEN = 64


def reference_accuracies(
    recording: Recording,
    estimators: Mapping[str, BaseEstimator] | Reference,
    *,
    spec: ProbeSpec | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Accuracy out of fold of each estimator at each property, site and step, on the folds of :func:`probe`.

    ``estimators``: classifiers by name, or one of "nearest-mean" (nearest class mean of standardised features), "mlp"
    (one hidden layer of 64, early stopping on a tenth of the training rows) and "neighbours" (10 nearest). What a
    network reads and a linear probe does not is there in another form; compare both on the same rows.
    Rows: ``property``, ``site``, ``step``, ``estimator``, ``accuracy``, ``low``, ``high``. Estimators are fitted with
    their own settings, none is chosen by the test rows. Raises :class:`InputError` for an unknown name, for no
    estimators, and for what is no classifier.
    """
    chosen = _named(estimators)
    plan = make_plan(recording, dataclasses.replace(spec or ProbeSpec(), controls=1))
    rows: list[dict[str, Any]] = []
    for done, (site, step) in enumerate(plan.cells, 1):
        features = feature_matrix(recording, site, step=step)
        for name, estimator in chosen.items():
            rows += [
                {"property": target.name, "site": site, "step": step, "estimator": name, **scores}
                for target, scores in zip(plan.targets, _scores(features, plan, estimator), strict=True)
            ]
        if progress is not None:
            progress(done, len(plan.cells))
    return pd.DataFrame(rows)


def _named(estimators: object) -> dict[str, BaseEstimator]:
    if isinstance(estimators, str):
        return {estimators: reference(estimators)}
    if not isinstance(estimators, Mapping) or not estimators:
        raise InputError(
            f"estimators must be classifiers by name, {{'forest': RandomForestClassifier()}}, or one of "
            f"{', '.join(get_args(Reference))}. Got {estimators!r}."
        )
    for name, estimator in estimators.items():
        if isinstance(estimator, type) or not isinstance(estimator, BaseEstimator) or not is_classifier(estimator):
            raise InputError(f"Estimator {name!r} must be a scikit-learn classifier. Got {estimator!r}.")
    return dict(estimators)


def reference(name: str) -> BaseEstimator:
    """The classifier of a name. Raises :class:`InputError` for one that is unknown."""
    from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known = {
        "nearest-mean": NearestCentroid(),
        "mlp": MLPClassifier((HIDDEN,), early_stopping=True, max_iter=300, random_state=0),
        "neighbours": KNeighborsClassifier(10),
    }
    if name not in known:
        raise InputError(f"A reference must be one of {', '.join(known)}, or a scikit-learn classifier. Got {name!r}.")
    return make_pipeline(StandardScaler(), known[name])


def _scores(features: Any, plan: Plan, estimator: BaseEstimator) -> list[dict[str, float]]:
    result = []
    for target in plan.targets:
        right = np.zeros(len(features), dtype=np.bool_)
        for fold in plan.splits.folds:
            train = fold.train & target.known
            fitted = clone(estimator).fit(features[train], target.codes[train])
            right[fold.test] = fitted.predict(features[fold.test]) == target.codes[fold.test]
        low, high = plan.intervals(right[None, target.known], target)
        result.append({"accuracy": float(right[target.known].mean()), "low": float(low[0]), "high": float(high[0])})
    return result
