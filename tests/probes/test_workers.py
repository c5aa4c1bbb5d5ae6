"""Work in other processes comes back in order, and is not drawn ahead of need."""

from collections.abc import Iterator

import numpy as np
import pytest

from outcrop.probes.design import fit_rotation
from outcrop.probes.workers import map_in_order

MATRICES = [np.random.default_rng(seed).standard_normal((20, 4)) for seed in range(6)]


def matrices(drawn: list[int]) -> Iterator[np.ndarray]:
    for number, matrix in enumerate(MATRICES):
        drawn.append(number)
        yield matrix


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_those_of_this_process_in_order(workers: int) -> None:
    drawn: list[int] = []
    found = map_in_order(fit_rotation, matrices(drawn), workers=workers)
    np.testing.assert_allclose(next(found).spectrum, fit_rotation(MATRICES[0]).spectrum)
    assert len(drawn) <= workers + 1
    for result, matrix in zip(found, MATRICES[1:], strict=True):
        np.testing.assert_allclose(result.spectrum, fit_rotation(matrix).spectrum)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_among_the_items_reaches_the_caller(workers: int) -> None:
    def broken() -> Iterator[np.ndarray]:
        yield MATRICES[0]
        raise ValueError("no second matrix")

    with pytest.raises(ValueError, match="no second matrix"):
        list(map_in_order(fit_rotation, broken(), workers=workers))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_the_work_reaches_the_caller(workers: int) -> None:
    with pytest.raises(np.linalg.LinAlgError):
        list(map_in_order(np.linalg.inv, [np.eye(2), np.zeros((2, 2))], workers=workers))
