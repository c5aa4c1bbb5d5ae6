"""The two-loop recursion against the matrix that it stands for."""

import numpy as np
import pytest

from outcrop.probes.memory import MEMORY, Memory, two_loop
from outcrop.probes.problems import Block
from outcrop.probes.softmax import TaskStack

SHAPE, SIZES = (2, 5, 4), (2, 3)


def fill(pairs: int, *, tasks: TaskStack) -> tuple[Memory, list[tuple[np.ndarray, np.ndarray]]]:
    rng = np.random.default_rng(0)
    memory, added = Memory.empty(np.zeros(SHAPE), tasks=tasks), []
    curvature = rng.uniform(0.5, 2, size=SHAPE)
    for _ in range(pairs):
        move = rng.standard_normal(SHAPE)
        turn = curvature * move
        product = tasks.sums((move * turn).sum(2))
        memory.add(move, turn, product=product, guessed=product)
        added.append((move, turn))
    return memory, added


@pytest.fixture
def tasks() -> TaskStack:
    return TaskStack(np.zeros((2, 3), dtype=np.int64), SIZES)


@pytest.mark.parametrize("pairs", [0, 3, MEMORY, MEMORY + 2])
def test_the_direction_is_that_of_the_bfgs_matrix(tasks: TaskStack, pairs: int) -> None:
    memory, added = fill(pairs, tasks=tasks)
    gradient = np.random.default_rng(1).standard_normal(SHAPE)
    searching = np.array([[True, True], [False, True]])
    direction = two_loop(memory, gradient, searching, np.full(SHAPE, 0.7), tasks)
    for f, t in np.ndindex(searching.shape):
        first, end = tasks.bounds[t : t + 2]
        size = (end - first) * SHAPE[2]
        inverse = 0.7 * np.eye(size)
        for move, turn in added[-MEMORY:]:
            s, y = move[f, first:end].ravel(), turn[f, first:end].ravel()
            left = np.eye(size) - np.outer(s, y) / (s @ y)
            inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ y)
        expected = -inverse @ gradient[f, first:end].ravel() if searching[f, t] else np.zeros(size)
        np.testing.assert_allclose(direction[f, first:end].ravel(), expected, atol=1e-9)


def test_a_part_goes_on_as_the_whole_would(tasks: TaskStack) -> None:
    memory, _ = fill(3, tasks=tasks)
    block = Block.of(tasks, designs=np.array([1]), chosen=np.array([1]))
    part = memory.take(block)
    gradient, guess = np.random.default_rng(1).standard_normal(SHAPE), np.ones(SHAPE)
    whole = two_loop(memory, gradient, np.ones((2, 2), dtype=bool), guess, tasks)
    own = two_loop(part, gradient[1:, 2:], np.ones((1, 1), dtype=bool), guess[1:, 2:], tasks.take(block.tasks))
    np.testing.assert_allclose(own, whole[1:, 2:])
