"""Probes of several cells at once, as :func:`outcrop.probes.logistic.cross_validate` fits one of them.

A fold is a set of row weights here: all rows have coordinates and logits, and those that a probe was not fitted on are
read from them.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from outcrop.probes.dependence import shared_variance
from outcrop.probes.logistic import CONTROL_RULE, EASINGS, FIT_RULE, CellFit, LinearWeights, measure_all
from outcrop.probes.online import CODE_RULE, code_length
from outcrop.probes.permutation import permutation_p_value
from outcrop.probes.properties import IntArray, Target
from outcrop.probes.softmax import Float64Array
from outcrop.probes.splits import Splits
from outcrop.probes.tensors.designs import Cells
from outcrop.probes.tensors.permutation import permutation_hits
from outcrop.probes.tensors.problems import Tasks, share, softmax
from outcrop.probes.tensors.search import Path, minimise
from outcrop.probes.tensors.strengths import Choice, choose_strengths


def cross_validate_cells(
    cells: Cells,
    *,
    targets: Sequence[Target],
    splits: Splits,
    strengths: Sequence[float],
    controls: Sequence[Sequence[Target]] = (),
    permuted: Sequence[IntArray] = (),
    portions: IntArray | None = None,
) -> list[CellFit]:
    """:func:`~outcrop.probes.logistic.cross_validate` of each of ``cells``."""
    tasks, rising = Tasks.of(targets, cells), np.asarray(sorted(strengths))
    choice = choose_strengths(cells, tasks, splits, rising)
    tested = _OutOfFold(cells, tasks, splits, choice)
    drawn = tested.control_codes([Tasks.of(own, cells) for own in zip(*controls, strict=True)])
    p_values = tested.p_values(permuted)
    lengths = _code_lengths(cells, tasks, portions, rising)
    weights, gap = _fit_all(cells, tasks, choice)
    return [
        CellFit(
            tested.predicted[z],
            drawn[z],
            measure_all(tested.shares[z], targets, tasks.stack),
            choice.strengths[z],
            weights[z],
            np.concatenate([tested.gaps[z], gap[z]]),
            p_values[z],
            lengths[z],
            shared_variance(tested.predicted[z] == tasks.stack.codes, splits, choice.apart[z]),
        )
        for z in range(cells.shape[0])
    ]


class _OutOfFold:
    """What probes say of rows that they were not fitted on.

    ``shares`` (z; c, n): probabilities; ``predicted`` (z, t, n): codes; ``gaps`` (z, f, t): bounds on the excess of
    the objectives, relative to them.
    """

    def __init__(self, cells: Cells, tasks: Tasks, splits: Splits, choice: Choice) -> None:
        self.cells, self.strengths = cells, choice.strengths
        self.train, self.test = (np.stack([getattr(fold, name) for fold in splits.folds]) for name in ("train", "test"))
        self.designs = cells.designs(self.train)
        problems = tasks.pose(cells, self.designs, self.train, self.strengths)
        solved = minimise(problems, choice.near.flatten(0, 1), rule=FIT_RULE)
        logits = self._tested(problems.logits(solved.solution))
        self.shares = [tasks.unpadded(own) for own in logits.softmax(2).cpu().numpy()]
        self.predicted = logits.argmax(2).cpu().numpy()
        self.gaps = share(solved.gap, solved.objective).unflatten(0, (cells.shape[0], -1)).cpu().numpy()

    def control_codes(self, draws: Sequence[Tasks]) -> IntArray:
        """Codes (z, t, draws, n) by control tasks at the strengths of their properties."""
        z, n = self.cells.shape
        result = np.zeros((z, self.strengths.shape[2], len(draws), n), dtype=np.int64)
        for draw, tasks in enumerate(draws):
            path = Path(tasks.pose(self.cells, self.designs, self.train, self.strengths))
            for easing in EASINGS:
                path.advance(easing, rule=CONTROL_RULE)
            result[:, :, draw] = self._tested(path.problems.logits(path.solution)).argmax(2).cpu().numpy()
        return result

    def p_values(self, permuted: Sequence[IntArray]) -> Float64Array:
        """(z, t), NaN where nothing is ``permuted``."""
        result = np.full((self.cells.shape[0], self.strengths.shape[2]), np.nan)
        coordinates = self.designs.coordinates[:, :-1].unflatten(0, (len(result), -1))
        for number, codes in enumerate(permuted):
            hits = permutation_hits(coordinates, self.train, self.test, permuted=codes)
            result[:, number] = [permutation_p_value(own, codes) for own in hits]
        return result

    def _tested(self, logits: Tensor) -> Tensor:
        """Of logits (z x f, t, k, n) those (z, t, k, n) of each row in the fold that tests it."""
        tester = torch.from_numpy(self.test.argmax(0)).to(logits.device)
        own = logits.unflatten(0, (self.cells.shape[0], -1))
        tested: Tensor = own.gather(1, tester.expand(len(own), 1, *own.shape[2:]))[:, 0]
        return tested


def _code_lengths(cells: Cells, tasks: Tasks, portions: IntArray | None, rising: Float64Array) -> Float64Array:
    """Bits (z, t) a sample: see :func:`outcrop.probes.online.code_lengths`; NaN without ``portions``."""
    z = cells.shape[0]
    if portions is None:
        return np.full((z, len(tasks.codes)), np.nan)
    later = np.arange(1, int(portions.max()) + 1)[:, None]
    if not len(later):
        return np.stack([code_length(np.zeros((1, 0, len(tasks.codes))), tasks.stack, portions)] * z)
    rows, sent = portions < later, torch.from_numpy(portions == later).to(cells.device)
    path = Path(tasks.pose(cells, cells.designs(rows), rows, 1.0))
    counted = sent[:, None] & (tasks.codes >= 0)
    spread = 1 / (1 + (path.problems.weights > 0).sum(2, keepdim=True)).double().unflatten(0, (z, -1))
    even = 1 / torch.tensor(tasks.stack.sizes, device=cells.device, dtype=torch.float64)[:, None]
    lengths = []
    for strength in rising:
        solved = path.advance(float(strength), rule=CODE_RULE)
        losses = softmax(path.problems.logits(solved.solution), path.problems.codes)[0].double()
        own = (1 - spread) * (-losses).exp().unflatten(0, (z, -1)) + spread * even
        lengths.append(torch.where(counted, -own.log2(), 0).sum(3).cpu().numpy())
    return np.stack([code_length(own, tasks.stack, portions) for own in np.stack(lengths, axis=1)])


def _fit_all(cells: Cells, tasks: Tasks, choice: Choice) -> tuple[list[tuple[LinearWeights, ...]], Float64Array]:
    """The probes of all rows at each cell's median strengths, and their gaps (z, 1, t) relative to the objective."""
    rows = np.ones((1, cells.shape[1]), dtype=np.bool_)
    strengths = np.quantile(choice.strengths, 0.5, axis=1, method="lower", keepdims=True)
    problems = tasks.pose(cells, cells.designs(rows), rows, strengths)
    solved = minimise(problems, choice.near[:, 0].contiguous(), rule=FIT_RULE)
    weights = []
    for coefs, intercepts in cells.raw_weights(rows[0], solved.solution):
        own = zip(coefs, intercepts, tasks.stack.sizes, strict=True)
        weights.append(tuple(LinearWeights(c[:k], i[:k] - i[:k].mean()) for c, i, k in own))
    return weights, share(solved.gap, solved.objective)[:, None].cpu().numpy()
