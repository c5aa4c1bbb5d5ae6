"""Over a grid of cells that resemble each other, discoveries are false as rarely as promised."""

import numpy as np
import pandas as pd

from outcrop.probes.design import fit_rotation, stack_designs
from outcrop.probes.permutation import adjusted, permutation_hits, permutation_p_value, permuted_codes
from outcrop.probes.properties import encode

N, CELLS, GROUPS, LEVEL = 48, 6, 8, 0.05


def q_values(*, planted: float, seed: int) -> np.ndarray:
    """Of 6 cells that share half their variance, the property in the first with strength ``planted``."""
    rng = np.random.default_rng(seed)
    y, groups = rng.integers(2, size=N), np.arange(N) % GROUPS
    target = encode(pd.Series(y), name="y")
    codes = permuted_codes(target, groups, np.arange(N), permutations=199, seed=seed)
    rows = np.stack([groups % 4 != fold for fold in range(4)])
    shared = rng.standard_normal((N, 4)) + rng.standard_normal((GROUPS, 4))[groups]
    p_values = np.empty(CELLS)
    for cell in range(CELLS):
        x = (shared + rng.standard_normal((N, 4))).astype(np.float32)
        x[:, 0] += planted * y * (cell == 0)
        rotations = [fit_rotation(x[train]) for train in rows]
        designs, tested = stack_designs(x, rotations, rows), stack_designs(x, rotations, ~rows)
        p_values[cell] = permutation_p_value(permutation_hits(designs, tested, target, codes), codes)
    return adjusted(p_values)


def test_of_200_null_grids_at_most_5_percent_claim_anything() -> None:
    claims = np.array([(q_values(planted=0.0, seed=seed) <= LEVEL).any() for seed in range(200)])
    assert claims.mean() <= LEVEL + 2 * np.sqrt(LEVEL * (1 - LEVEL) / 200)


def test_a_planted_cell_is_found_and_few_others() -> None:
    claims = np.stack([q_values(planted=6.0, seed=seed) <= LEVEL for seed in range(60)])
    assert claims[:, 0].mean() > 0.9
    false = claims[:, 1:].sum(1) / np.maximum(claims.sum(1), 1)
    assert false.mean() <= LEVEL + 2 * false.std() / np.sqrt(60)
