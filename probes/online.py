"""Minimum description length by online code: how few bits the labels cost someone who has the activations.

The samples are sent portion by portion, each about as large as all before it. The receiver fits a probe to what has
arrived and the next portion's labels are coded by its probabilities (Voita and Titov 2020, arXiv:2003.12298, section
3.2). A property that is easy to read from few samples costs few bits; one that is read only after many costs more, at
the same final accuracy. A strength that both sides can know is used: the one that would have coded the portions so far
in the fewest bits, of equals that of the strongest penalty, and so at first the strongest of all.
"""

from collections.abc import Sequence

import numpy as np

from outcrop.probes.design import Features, rotated_designs, stack_designs
from outcrop.probes.lbfgs import Rule
from outcrop.probes.path import follow
from outcrop.probes.problems import pose
from outcrop.probes.properties import IntArray
from outcrop.probes.softmax import BoolArray, Float64Array, TaskStack, probabilities
from outcrop.probes.strengths import batch_of_designs

SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Portions end where these shares of the samples have been sent, to the next end of a group."""

CODE_RULE = Rule(1e-3)
"""Closer than where strengths are compared by accuracy: at ten times this, code lengths of two dozen samples were up to
8 % off those of scikit-learn's optima; at this, 2 %.
"""

TIED = 1e-3
"""Strengths whose bits so far are within this share of the fewest are equals: rounding must not choose between them, as
it would where the first portions hold one class, which every strength codes alike.
"""


def deal_portions(groups: IntArray, *, seed: int) -> IntArray:
    """The portion (n,) from 0 of every sample; ``groups`` (n,) come in random order, each within one portion."""
    order = np.random.default_rng([seed, 2]).permutation(np.unique(groups))
    sizes = np.array([(groups == group).sum() for group in order])
    before = (np.cumsum(sizes) - sizes) / len(groups)
    portion = np.searchsorted(SHARES, before, side="right")
    result = np.empty(len(groups), dtype=np.int64)
    for group, number in zip(order, np.unique(portion, return_inverse=True)[1], strict=True):
        result[groups == group] = number
    return result


def code_lengths(
    features: Features, tasks: TaskStack, portions: IntArray, *, strengths: Sequence[float]
) -> Float64Array:
    """Bits per labelled sample (t,) that the labels of each task cost, given ``features`` (n, d).

    The first of ``portions`` (n,) is coded evenly, at log2 of the number of classes. Later on, of m labels known to the
    receiver, 1 in m + 1 of the probability is spread evenly, so that no label is ever impossible. With one portion, or
    no label, all is coded evenly.
    """
    later = range(1, int(portions.max()) + 1)
    if not later:
        return code_length(np.zeros((1, 0, len(tasks.sizes))), tasks, portions)
    rows, sent = np.stack([portions < number for number in later]), np.stack([portions == number for number in later])
    batch = batch_of_designs(features, tasks)
    batches = [slice(first, first + batch) for first in range(0, len(rows), batch)]
    lengths = np.concatenate([_path(features, tasks, rows[b], sent[b], strengths=strengths) for b in batches], axis=1)
    return code_length(lengths, tasks, portions)


def code_length(lengths: Float64Array, tasks: TaskStack, portions: IntArray) -> Float64Array:
    """Bits per labelled sample (t,), from ``lengths`` (s, f, t): bits of each later portion by each strength."""
    evenly: Float64Array = np.log2(np.asarray(tasks.sizes, dtype=np.float64))
    known = tasks.codes >= 0
    if not lengths.size:
        return evenly
    first = known[:, portions == 0].sum(1) * evenly
    before = np.cumsum(lengths, axis=1) - lengths
    chosen = (before <= (1 + TIED) * before.min(0)).argmax(0)
    used = np.take_along_axis(lengths, chosen[None], 0)[0].sum(0)
    return np.asarray((first + used) / np.maximum(known.sum(1), 1))


def _path(
    features: Features, tasks: TaskStack, rows: BoolArray, sent: BoolArray, *, strengths: Sequence[float]
) -> Float64Array:
    """Bits (s, f, t) of each portion ``sent`` (f, n) after ``rows`` (f, n), strengths rising."""
    rotations, designs = rotated_designs(features, rows)
    tested = stack_designs(features, rotations, sent)
    problems = pose(designs, tasks, strengths=np.ones((len(rows), len(tasks.sizes))))
    labels = tasks.label_index(tested.rows)
    counted = tasks.known(tested.rows) & tested.used[:, None]
    spread = 1 / (1 + (tasks.known(designs.rows) & designs.used[:, None]).sum(2))[:, :, None]
    even = 1 / np.asarray(tasks.sizes)[:, None]
    lengths = []
    for found in follow(problems, sorted(strengths), rule=CODE_RULE):
        shares = probabilities(tested.scores(found.solution) + problems.barrier[:, :, None], tasks)
        own = shares.reshape(-1)[labels].astype(np.float64)
        lengths.append(np.where(counted, -np.log2((1 - spread) * own + spread * even), 0).sum(2))
    return np.stack(lengths)
