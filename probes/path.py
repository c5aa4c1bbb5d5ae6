"""Solutions for one penalty after the other, from strong to weak."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from outcrop.probes.combination import combine
from outcrop.probes.lbfgs import Minimum, Rule, minimise
from outcrop.probes.problems import Problems
from outcrop.probes.softmax import BoolArray, Float64Array, FloatArray, dot

PAST = 3
"""Solutions that the start of the next is combined from. A fourth saves no step."""

FAR = 20.0
"""Beyond this coefficient logits are worked out anew, as their rounding errors would be multiplied. So they are where a
class has no rows: its barrier would be multiplied as well.
"""


class Path:
    """A batch of problems on its way; ``solution`` (f, c, r + 1) is where they are.

    A search starts at the best combination of the last solution and the two last moves (see
    :mod:`outcrop.probes.combination`), which saves more than half of its steps.
    """

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        start = problems.start_at_frequencies()
        self._solutions = np.zeros((PAST, *start.shape), dtype=start.dtype)
        self._solutions[0] = start
        self._logits = np.zeros((PAST, *problems.codes.shape[:1], start.shape[1], problems.codes.shape[2]), start.dtype)
        self._logits[0] = problems.logits(start)
        self._count = 1
        self._coefficients = np.zeros((*problems.ridge.shape, PAST))
        self._coefficients[:, :, 0], self._coefficients[:, :, 1] = 1, 0.5

    @property
    def solution(self) -> FloatArray:
        solution: FloatArray = self._solutions[0]
        return solution

    def advance(self, ridge: Float64Array, *, rule: Rule, wanted: BoolArray | None = None) -> Minimum:
        """Go on to the penalty ``ridge`` (f, t) where ``wanted`` (f, t)."""
        problems = self.problems.with_ridge(ridge)
        going = np.ones(ridge.shape, dtype=np.bool_) if wanted is None else wanted
        coefficients = self._combination(problems, going)
        start, logits = (self._combined(past, coefficients) for past in (self._solutions, self._logits))
        shared = (problems.shared(start[:, :, -1]) * going[:, problems.tasks.owner]).astype(start.dtype)
        start[:, :, -1] -= shared
        logits -= shared[:, :, None]
        if np.abs(coefficients).max() > FAR or problems.barrier.any():
            logits = problems.logits(start)
        found = minimise(problems, start, rule=rule, logits=logits, open_problems=going)
        for past, new in ((self._solutions, found.solution), (self._logits, found.logits)):
            past[2:] = past[1:-1]
            np.subtract(new, past[0], out=past[1])
            past[0] = new
        self._count = min(self._count + 1, PAST)
        return found

    def _combination(self, problems: Problems, going: BoolArray) -> Float64Array:
        """Coefficients (f, t, b) of the best start; 1, 0, ... where it is not ``going``."""
        count, tasks = self._count, problems.tasks
        coefficients = np.ascontiguousarray(self._coefficients[:, :, :count])
        if count > 1:
            norms = np.empty((*going.shape, count, count))
            for i, j in itertools.combinations_with_replacement(range(count), 2):
                products = dot(self._solutions[i][:, :, :-1], self._solutions[j][:, :, :-1], tasks)
                norms[:, :, i, j] = norms[:, :, j, i] = problems.ridge * products
            combine(
                self._logits[:count], norms, going, tasks.bounds, problems.codes, problems.weights, coefficients
            )  # fmt: skip
        coefficients[~going] = np.eye(count)[0]
        self._coefficients[:, :, :count] = coefficients
        return coefficients

    def _combined(self, past: FloatArray, coefficients: Float64Array) -> FloatArray:
        tasks = self.problems.tasks
        result = past[0] * tasks.spread(coefficients[:, :, 0], like=past)
        for i in range(1, coefficients.shape[2]):
            result += past[i] * tasks.spread(coefficients[:, :, i], like=past)
        return np.asarray(result)


def follow(problems: Problems, strengths: Sequence[float], *, rule: Rule) -> Iterator[Minimum]:
    """The minima for each of ``strengths``, rising, of ``problems`` posed at strength 1."""
    path = Path(problems)
    for strength in strengths:
        yield path.advance(problems.ridge / strength, rule=rule)
