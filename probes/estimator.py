"""The probe as a scikit-learn classifier."""

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from outcrop.data.errors import InputError
from outcrop.probes.checks import check_whole, is_number
from outcrop.probes.design import fit_rotation, stack_designs
from outcrop.probes.lbfgs import Rule, minimise
from outcrop.probes.problems import pose
from outcrop.probes.softmax import TaskStack

Float64Array = NDArray[np.float64]


class LinearProbe(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn is untyped
    """Multinomial logistic regression on standardised features with an L2 penalty, in float64.

    The same optimum as ``make_pipeline(StandardScaler(), LogisticRegression(C=C))``, with ``coef_`` and ``intercept_``
    in units of the raw features. ``C``: inverse strength of the penalty; ``standardise``: divide each feature by its
    standard deviation; ``tol``: bound on the excess of the objective, relative to it and to its gain;
    ``max_iter``: most steps.

    Fitted: ``classes_`` (k,); ``coef_`` (k, d) and ``intercept_`` (k,), or (1, d) and (1,) for two classes;
    ``gap_``: the bound reached; ``n_iter_``; ``n_features_in_``.

    >>> probe = LinearProbe(C=1.0).fit([[0.0], [1.0], [2.0], [3.0]], ["low", "low", "high", "high"])
    >>> probe.predict([[0.5], [2.5]]).tolist()
    ['low', 'high']
    """

    def __init__(self, C: float = 1.0, *, standardise: bool = True, tol: float = 1e-6, max_iter: int = 1000) -> None:
        self.C = C
        self.standardise = standardise
        self.tol = tol
        self.max_iter = max_iter

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit to features (n, d) and labels (n,).

        Raises :class:`InputError`, a ``ValueError``, for settings that make no sense, and ``ValueError`` for fewer
        than two classes.
        """
        for name in ("C", "tol"):
            if not is_number(value := getattr(self, name)) or not value > 0:
                raise InputError(f"{name} must be positive and finite. Got {value!r}.")
        check_whole("max_iter", self.max_iter, least=1)
        if not isinstance(self.standardise, bool | np.bool_):
            raise InputError(f"standardise must be True or False. Got {self.standardise!r}.")
        features, labels = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"LinearProbe needs at least two classes in y. Got one class: {self.classes_[0]!r}.")
        rotation = fit_rotation(features, standardise=self.standardise)
        rows = np.ones((1, len(features)), dtype=np.bool_)
        tasks = TaskStack(codes[None].astype(np.int64), (len(self.classes_),))
        problems = pose(stack_designs(features, [rotation], rows), tasks, strengths=np.full((1, 1), float(self.C)))
        rule = Rule(self.tol, certified=True, most=self.max_iter)
        fitted = minimise(problems, problems.start_at_frequencies(), rule=rule)
        coef, intercept = rotation.raw_weights(fitted.solution[0])
        if len(self.classes_) == 2:
            coef, intercept = coef[1:] - coef[:1], intercept[1:] - intercept[:1]
        self.coef_, self.intercept_ = coef, intercept
        if fitted.cut_short:
            warnings.warn(
                f"LinearProbe stopped after max_iter={self.max_iter} steps, before tol={self.tol} was met.",
                ConvergenceWarning,
                stacklevel=2,
            )
        self.gap_, self.n_iter_ = float(fitted.gap[0, 0]), max(fitted.iterations, 1)
        return self

    def decision_function(self, X: ArrayLike) -> Float64Array:
        """Scores (n, k) of the classes, or (n,) of the second of two."""
        check_is_fitted(self)
        features = validate_data(self, X, dtype=np.float64, reset=False)
        scores: Float64Array = features @ self.coef_.T + self.intercept_
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_proba(self, X: ArrayLike) -> Float64Array:
        """Probabilities (n, k) of the classes."""
        scores = self.decision_function(X)
        if scores.ndim == 1:
            scores = np.stack([np.zeros_like(scores), scores], axis=1)
        odds = np.exp(scores - scores.max(1, keepdims=True))
        probabilities: Float64Array = odds / odds.sum(1, keepdims=True)
        return probabilities

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most likely class (n,) of each row."""
        scores = self.decision_function(X)
        codes = (scores > 0).astype(np.int64) if scores.ndim == 1 else scores.argmax(1)
        predicted: NDArray[Any] = self.classes_[codes]
        return predicted
