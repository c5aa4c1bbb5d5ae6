"""The solver on a device: L-BFGS for all designs and tasks of a batch of cells in step, by the rule of
:mod:`outcrop.probes.lbfgs`.

Tensors are as in :mod:`outcrop.probes.tensors.problems`. A problem that is done takes steps of length 0, which on a GPU
should cost less than to pick the others out, until half of the designs are done. Sums over rows and weights, objectives
and the bounds on their excess are float64.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from outcrop.probes.lbfgs import ARMIJO, CAUTION, LEAST_CURVATURE, REFRESH, TRIALS, Rule
from outcrop.probes.memory import MEMORY
from outcrop.probes.tensors.problems import Problems, dot, like, softmax

STRIDES = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""A path goes on from the best of these multiples of its last move."""


KEPT = (
    "solution", "logits", "open", "objective", "residuals", "curvature", "gradient", "gap", "estimate", "scale"
)  # fmt: skip


class Search:
    """State of the searches: the weights ``solution`` (b, t, k, r + 1), and what is known there."""

    def __init__(self, problems: Problems, start: Tensor, wanted: Tensor) -> None:
        self.problems, self.solution, self.open = problems, start, wanted
        self.logits = problems.logits(start)
        self.objective = self.evaluate(self.logits) + problems.ridge / 2 * self.square(start)
        self.estimate, self.scale = torch.full_like(self.objective, torch.inf), torch.ones_like(self.objective)
        self.pairs: list[tuple[Tensor, Tensor, Tensor]] = []
        self.refresh()
        self.settle()

    def keep(self, index: Tensor) -> None:
        """Go on with some of the designs."""
        self.problems = self.problems.take(index)
        for name in KEPT:
            setattr(self, name, getattr(self, name)[index])
        self.pairs = [(move[index], turn[index], inverse[index]) for move, turn, inverse in self.pairs]

    def square(self, weights: Tensor) -> Tensor:
        """Squared norms (b, t), without intercepts."""
        return dot(weights[..., :-1], weights[..., :-1])

    def evaluate(self, logits: Tensor) -> Tensor:
        """Losses (b, t) at ``logits``; the residuals become those there."""
        weights = self.problems.weights
        losses, self.residuals = softmax(logits, self.problems.codes)
        self.residuals *= weights[:, :, None]
        return (losses * weights).sum(2, dtype=torch.float64)

    def refresh(self) -> None:
        """The mean of p (1 - p) of each column: the residual over the weight is p, or 1 - p, in size."""
        heaviest = self.problems.weights.amax(2).clamp_min(torch.finfo(self.residuals.dtype).tiny)[..., None, None]
        size = self.residuals.abs()
        least = (self.problems.ridge / 10).clamp_max(LEAST_CURVATURE)[..., None]
        self.curvature = (size * (1 - size / heaviest)).sum(3).maximum(least.to(size.dtype))

    def settle(self) -> None:
        """The gradient, and the bound on the excess: see :func:`outcrop.probes.kernels.settle`."""
        problems = self.problems
        gradient = (self.residuals.flatten(1, 2) @ problems.designs.coordinates.mT).view_as(self.solution)
        gradient[..., :-1] += like(problems.ridge, gradient) * self.solution[..., :-1]
        self.gradient = gradient
        intercepts = (gradient[..., -1].double().square() / self.curvature).sum(2)
        self.gap = (self.square(gradient) / problems.ridge + intercepts) / 2

    def guess(self, values: Tensor) -> Tensor:
        """``values`` over the diagonal first guess of the curvature."""
        diagonal = self.curvature[..., None] * self.problems.designs.spectrum[:, None, None]
        diagonal[..., :-1] += like(self.problems.ridge, diagonal)
        return values / diagonal

    def direction(self) -> Tensor:
        """Minus the inverse curvature of L-BFGS times the gradient."""
        result, shares = -self.gradient, []
        for move, turn, inverse in reversed(self.pairs):
            shares.append(inverse * dot(move, result))
            result = result - like(shares[-1], turn) * turn
        result = self.guess(result) * like(self.scale, result)
        for (move, turn, inverse), share in zip(self.pairs, reversed(shares), strict=True):
            result += like(share - inverse * dot(turn, result), move) * move
        there = self.gradient[..., -1] != 0  # as in outcrop.probes.kernels, intercepts move against each other alone
        shared = (result[..., -1] * there).sum(2, keepdim=True) / there.sum(2, keepdim=True).clamp_min(1)
        result[..., -1] -= shared * there
        return result

    def close(self, slope: Tensor, rule: Rule) -> None:
        """Close the problems that meet ``rule``, given the ``slope`` (b, t) along the direction."""
        estimate = -CAUTION * slope / 2
        excess = self.gap if rule.certified else self.gap.minimum(estimate.maximum(self.estimate))
        self.estimate = estimate
        rounding = torch.finfo(self.solution.dtype).eps * self.objective
        gain = (self.problems.entropy - self.objective).maximum(rounding).minimum(self.objective)
        self.open = self.open & (excess > rule.tolerance * gain)

    def step(self, direction: Tensor, slope: Tensor) -> None:
        """Go along ``direction``."""
        change = self.problems.products(direction)
        length = self._line_search(direction, change, slope)
        self.open = self.open & (length > 0)
        move = like(length, direction) * direction
        self.solution, self.logits = self.solution + move, self.logits + like(length, change) * change
        before = self.gradient
        self.settle()
        turn = self.gradient - before
        product, guessed = dot(move, turn), dot(turn, self.guess(turn))
        sound = (product > 1e-300) & (guessed > 0)
        self.pairs = [*self.pairs[-(MEMORY - 1) :], (move, turn, torch.where(sound, 1 / product, 0))]
        self.scale = torch.where(sound, product / guessed, self.scale)

    def _line_search(self, direction: Tensor, change: Tensor, slope: Tensor) -> Tensor:
        """Step lengths (b, t) that descend enough, 0 where none does; objective and residuals become those there."""
        ridge, before = self.problems.ridge, self.objective
        along = ridge * dot(direction[..., :-1], self.solution[..., :-1])
        across, norm = ridge * self.square(direction), ridge / 2 * self.square(self.solution)
        slack = 4 * torch.finfo(change.dtype).eps * before.abs()
        length = (self.open & (slope < 0)).double()
        for trial in range(TRIALS + 1):
            loss = self.evaluate(self.logits + like(length, change) * change)
            reached = loss + norm + length * along + length.square() / 2 * across
            short = (length > 0) & ~(reached <= before + ARMIJO * length * slope + slack)
            if not short.any():
                break
            excess = (reached - before - length * slope).clamp_min(torch.finfo(torch.float64).tiny)
            shrink = (-slope * length / (2 * excess)).clamp(0.1, 0.5) if trial < TRIALS - 1 else 0.0
            length = torch.where(short, length * shrink, length)
        self.objective = torch.where(length > 0, reached, before)
        return length


@dataclass(frozen=True)
class Minimum:
    """``solution`` (b, t, k, r + 1), ``objective`` (b, t), ``gap`` (b, t) bounding its excess."""

    solution: Tensor
    objective: Tensor
    gap: Tensor

    def store(self, search: Search, place: Tensor) -> None:
        """Write what ``search`` has reached to the designs ``place``."""
        for name in ("solution", "objective", "gap"):
            getattr(self, name)[place] = getattr(search, name)


def minimise(problems: Problems, start: Tensor, *, rule: Rule, wanted: Tensor | None = None) -> Minimum:
    """Minimise mean loss + ridge / 2 |weights|^2 from ``start`` (b, t, k, r + 1) until ``rule`` is met.

    ``wanted`` (b, t) false leaves a problem as it is.
    """
    wanted = torch.ones_like(problems.ridge, dtype=torch.bool) if wanted is None else wanted
    search, place = Search(problems, start, wanted), torch.arange(len(start), device=start.device)
    found = Minimum(start.clone(), search.objective.clone(), search.gap.clone())
    for iteration in range(1, rule.most + 1):
        direction = search.direction()
        slope = dot(search.gradient, direction)
        search.close(slope, rule)
        left = search.open.any(1).nonzero()[:, 0]
        if not len(left):
            break
        if 2 * len(left) <= len(place):
            found.store(search, place)
            search.keep(left)
            place, direction, slope = place[left], direction[left], slope[left]
        search.step(direction, slope)
        if iteration % REFRESH == 0:
            search.refresh()
    found.store(search, place)
    return found


class Path:
    """Problems on their way from strong penalties to weak; ``solution`` (b, t, k, r + 1) is where they are."""

    def __init__(self, problems: Problems) -> None:
        self.problems, self.solution = problems, problems.start()
        self._move = torch.zeros_like(self.solution)

    def advance(self, strength: float, *, rule: Rule, wanted: Tensor | None = None) -> Minimum:
        """Go on to ``strength`` times that of the problems where ``wanted`` (b, t)."""
        problems = replace(self.problems, ridge=self.problems.ridge / strength)
        stride = self._stride(problems) if wanted is None else torch.where(wanted, self._stride(problems), 0)
        start = self.solution + like(stride, self._move) * self._move
        found = minimise(problems, start, rule=rule, wanted=wanted)
        self._move, self.solution = found.solution - self.solution, found.solution
        return found

    def _stride(self, problems: Problems) -> Tensor:
        """The best (b, t) of ``STRIDES``."""
        logits, change = problems.logits(self.solution), problems.products(self._move)
        values = []
        for stride in STRIDES:
            losses = softmax(logits + stride * change, problems.codes)[0]
            weights = (self.solution + stride * self._move)[..., :-1]
            norm = problems.ridge / 2 * dot(weights, weights)
            values.append((losses * problems.weights).sum(2, dtype=torch.float64) + norm)
        strides = torch.tensor(STRIDES, dtype=torch.float64, device=logits.device)
        return strides[torch.stack(values).argmin(0)]
