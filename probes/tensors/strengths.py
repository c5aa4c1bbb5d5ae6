"""The choice of each outer fold's strength, on folds inside its training rows, for each cell."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from outcrop.probes.properties import IntArray
from outcrop.probes.softmax import BoolArray, Float64Array
from outcrop.probes.splits import Splits
from outcrop.probes.strengths import PATH_RULE, SCORED_LOSS, Validation, hits_apart
from outcrop.probes.tensors.designs import Cells
from outcrop.probes.tensors.problems import Problems, Tasks, share, softmax
from outcrop.probes.tensors.search import Minimum, Path


@dataclass(frozen=True)
class Choice:
    """``strengths`` (z, f, t) of each cell's outer folds; ``near`` (z, f, t, k, r + 1): weights that are optimal there
    for rows inside them; ``apart``: see :class:`outcrop.probes.strengths.Choice`.
    """

    strengths: Float64Array
    near: Tensor
    apart: list[IntArray]


def choose_strengths(cells: Cells, tasks: Tasks, splits: Splits, rising: Float64Array) -> Choice:
    """As :func:`outcrop.probes.strengths.choose_strengths`."""
    rows = np.stack([fold.train for fold in splits.inner])
    path = Path(tasks.pose(cells, cells.designs(rows), rows, 1.0))
    users = np.zeros((len(splits.inner), 2, len(splits.folds)), dtype=np.bool_)
    masks = np.zeros((len(splits.inner), 2, cells.shape[1]))
    for number, fold in enumerate(splits.inner):
        for side, (own, validated) in enumerate(fold.validate):
            users[number, side, own], masks[number, side] = True, validated
    seen = torch.from_numpy(masks).to(cells.device)
    lenders = torch.from_numpy(users.any(1).argmax(0)).to(cells.device)
    found = [Validation.empty(len(rising), splits, tasks=len(tasks.codes)) for _ in range(cells.shape[0])]
    going, kept = np.ones((cells.shape[0], *found[0].hits.shape[1:]), dtype=np.bool_), []
    for s, strength in enumerate(rising):
        wanted = np.einsum("puf,zft->zpt", users, going)
        solved = path.advance(
            float(strength), rule=PATH_RULE, wanted=torch.from_numpy(wanted).to(cells.device).flatten(0, 1)
        )
        kept.append(path.solution.unflatten(0, (cells.shape[0], -1))[:, lenders])
        _add(found, s, _validated(path.problems, solved, tasks, seen), users)
        going = np.stack([own.standing(s + 1)[1] for own in found])
        if not going.any():
            break
    best = np.stack([own.standing(len(rising))[0] for own in found])
    chosen = torch.from_numpy(best).to(cells.device)[None, ..., None, None].expand(1, *kept[0].shape)
    near = torch.stack(kept).gather(0, chosen)[0]
    return Choice(rising[best], near, [hits_apart(own.parts, splits, b) for own, b in zip(found, best, strict=True)])


def _validated(problems: Problems, solved: Minimum, tasks: Tasks, seen: Tensor) -> list[Float64Array]:
    """Hits and losses (z, p, 2, t) in the rows ``seen`` (p, 2, n), and objectives by entropies (z, p, t)."""
    logits = problems.logits(solved.solution)
    losses = softmax(logits, problems.codes)[0].clamp_max(SCORED_LOSS) * (tasks.codes >= 0)
    right = logits.argmax(2) == tasks.codes
    sums = [torch.einsum("zptn,pun->zput", own.double().unflatten(0, (-1, len(seen))), seen) for own in (right, losses)]
    unfitted = share(solved.objective, problems.entropy).unflatten(0, (-1, len(seen)))
    return [own.cpu().numpy() for own in (*sums, unfitted)]


def _add(found: Sequence[Validation], s: int, sums: Sequence[Float64Array], users: BoolArray) -> None:
    """Add what :func:`_validated` gave at strength ``s``; ``users`` (p, 2, f): who validates on an inner fold."""
    anyone = np.logical_or(users[:, 0], users[:, 1])
    for own, hits, losses, unfitted in zip(found, *sums, strict=True):
        own.parts[s] = hits
        own.hits[s] = np.einsum("put,puf->ft", hits, users)
        own.losses[s] = np.einsum("put,puf->ft", losses, users)
        own.unfitted[s] = np.where(anyone[:, :, None], unfitted[:, None], 0).max(0)
