"""Systems with a shift, against NumPy's general solver."""

import numpy as np
import pytest

from outcrop.probes.tridiagonal import Tridiagonal


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 2, 40])
def test_shifted_systems_are_solved(k: int, dtype: type) -> None:
    rng = np.random.default_rng(0)
    z, columns = rng.standard_normal((k + 5, k)), rng.standard_normal((k, 3)).astype(dtype)
    matrix = (z.T @ z).astype(dtype)
    system = Tridiagonal.of(matrix.copy())
    turned = system.forth(columns)
    rtol = 1e-3 if dtype == np.float32 else 1e-9
    for shift in (0.5, 100.0):
        found = system.back(system.solve(turned, shift))
        assert found.dtype == dtype
        np.testing.assert_allclose(found, np.linalg.solve(matrix + shift * np.eye(k), columns), rtol=rtol, atol=rtol)


def test_the_reflections_are_a_rotation() -> None:
    z = np.random.default_rng(1).standard_normal((9, 9))
    system = Tridiagonal.of(z.T @ z)
    np.testing.assert_allclose(system.back(system.forth(np.eye(9))), np.eye(9), atol=1e-12)


def test_a_direction_without_any_variance_stays_finite_without_a_penalty() -> None:
    z = np.random.default_rng(2).standard_normal((20, 4)).astype(np.float32)
    z[:, 3] = z[:, 0] + z[:, 1]
    system = Tridiagonal.of(z.T @ z)
    right = z.T @ z[:, :1]
    found = system.back(system.solve(system.forth(right), 0.0))
    np.testing.assert_allclose(z @ found, z[:, :1], atol=1e-3)
