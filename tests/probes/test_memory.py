"""The recursion of L-BFGS against the matrix that it stands for."""

import numpy as np
import pytest

from outcrop.probes.kernels import directions, remember
from outcrop.probes.memory import MEMORY, Memory
from outcrop.probes.problems import Block
from outcrop.probes.softmax import TaskStack

SHAPE, SIZES = (2, 5, 4), (2, 3)
CURVATURE = np.random.default_rng(3).uniform(0.5, 2, size=SHAPE[:2])
SPECTRUM = np.random.default_rng(4).uniform(0.5, 2, size=(SHAPE[0], SHAPE[2]))
RIDGES = np.random.default_rng(5).uniform(0.5, 2, size=(2, 2))
SEARCHING = np.array([[True, True], [False, True]])


@pytest.fixture
def tasks() -> TaskStack:
    return TaskStack(np.zeros((2, 3), dtype=np.int64), SIZES)


def diagonal(tasks: TaskStack) -> np.ndarray:
    """The first guess of the curvature: that of the loss, and the ridge for all but the intercept."""
    ridge = RIDGES[:, tasks.owner, None] * (np.arange(SHAPE[2]) < SHAPE[2] - 1)
    spectrum = np.where(np.arange(SHAPE[2]) < SHAPE[2] - 1, SPECTRUM, 1)
    return CURVATURE[:, :, None] * spectrum[:, None] + ridge


def fill(pairs: int, *, tasks: TaskStack) -> tuple[Memory, list[tuple[np.ndarray, np.ndarray]]]:
    """A memory of steps on quadratics, half of each direction."""
    rng = np.random.default_rng(0)
    memory, added = Memory.empty(np.zeros(SHAPE), tasks=tasks), []
    bend = rng.uniform(0.5, 2, size=SHAPE)
    for _ in range(pairs):
        direction, before = rng.standard_normal(SHAPE), rng.standard_normal(SHAPE)
        after = before + bend * direction / 2
        at = memory.next_place()
        remember(
            np.full((2, 2), 0.5), direction, before, after, CURVATURE, SPECTRUM, RIDGES, SEARCHING, tasks.bounds,
            memory.moves[at], memory.turns[at], memory.inverses[at], memory.scale,
        )  # fmt: skip
        added.append((direction / 2, after - before))
    return memory, added


def directions_of(
    memory: Memory, gradient: np.ndarray, tasks: TaskStack, *, design: slice = slice(None), task: slice = slice(None)
) -> tuple[np.ndarray, np.ndarray]:
    chosen = np.arange(len(SIZES))[task]
    columns = np.flatnonzero(np.isin(tasks.owner, chosen))
    parts = [np.ascontiguousarray(part[design][:, columns]) for part in (gradient, CURVATURE)]
    searching, ridges = (np.ascontiguousarray(part[design, task]) for part in (SEARCHING, RIDGES))
    result, slopes = np.full_like(parts[0], np.nan), np.zeros(searching.shape)
    directions(
        parts[0], memory.moves, memory.turns, memory.inverses, memory.order, memory.scale, parts[1],
        np.ascontiguousarray(SPECTRUM[design]), ridges, searching, tasks.take(chosen).bounds, result, slopes,
    )  # fmt: skip
    return result, slopes


def level(values: np.ndarray) -> np.ndarray:
    """(class, feature), what the intercepts share taken off: it changes no probability, so that it has no slope."""
    return values - values.mean(0) * (np.arange(values.shape[1]) == values.shape[1] - 1)


@pytest.mark.parametrize("pairs", [0, 3, MEMORY, MEMORY + 2])
def test_the_direction_is_that_of_the_bfgs_matrix(tasks: TaskStack, pairs: int) -> None:
    """Intercepts move against each other alone."""
    memory, added = fill(pairs, tasks=tasks)
    gradient = np.random.default_rng(1).standard_normal(SHAPE)
    for first, end in zip(tasks.bounds, tasks.bounds[1:], strict=False):
        gradient[:, first:end] = [level(own) for own in gradient[:, first:end]]
    found, slopes = directions_of(memory, gradient, tasks)
    for f, t in np.ndindex(SEARCHING.shape):
        first, end = tasks.bounds[t : t + 2]
        own = gradient[f, first:end].ravel()
        if not SEARCHING[f, t]:
            assert (found[f, first:end] == 0).all()
            continue
        guess = 1 / diagonal(tasks)[f, first:end].ravel()
        steps = [(move[f, first:end].ravel(), turn[f, first:end].ravel()) for move, turn in added]
        if steps:
            s, y = steps[-1]
            guess = guess * (s @ y) / (y @ (guess * y))
        inverse = np.diag(guess)
        for s, y in steps[-MEMORY:]:
            left = np.eye(len(s)) - np.outer(s, y) / (s @ y)
            inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ y)
        expected = level((-inverse @ own).reshape(end - first, -1))
        np.testing.assert_allclose(found[f, first:end], expected, atol=1e-9)
        assert slopes[f, t] == pytest.approx(-own @ inverse @ own)


def test_a_part_goes_on_as_the_whole_would(tasks: TaskStack) -> None:
    memory, _ = fill(3, tasks=tasks)
    part = memory.take(Block.of(tasks, designs=np.array([1]), chosen=np.array([1])))
    gradient = np.random.default_rng(1).standard_normal(SHAPE)
    whole, _ = directions_of(memory, gradient, tasks)
    own, _ = directions_of(part, gradient, tasks, design=slice(1, 2), task=slice(1, 2))
    np.testing.assert_allclose(own, whole[1:, 2:])
