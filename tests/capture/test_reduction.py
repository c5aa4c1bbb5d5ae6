"""Reductions, by what they must keep."""

import pytest
import torch

from outcrop.capture.reduction import Reduction
from outcrop.data.errors import InputError


@pytest.fixture
def maps() -> torch.Tensor:
    return torch.randn((3, 5, 8, 8), generator=torch.Generator().manual_seed(0))


def tokens_of(maps: torch.Tensor) -> torch.Tensor:
    return maps.flatten(2).transpose(1, 2)


def reduce(text: str, activation: torch.Tensor) -> torch.Tensor:
    return Reduction.parse(text).apply(activation)


def test_full_is_the_activation(maps: torch.Tensor) -> None:
    assert torch.equal(reduce("full", maps), maps)


@pytest.mark.parametrize("text", ["mean", "full", "grid:2", "tokens:3"])
def test_vectors_are_left_alone(text: str) -> None:
    vectors = torch.randn(3, 5)
    assert torch.equal(reduce(text, vectors), vectors)


def test_the_mean_forgets_place_and_keeps_the_average(maps: torch.Tensor) -> None:
    shuffled = maps.flatten(2)[:, :, torch.randperm(64)].unflatten(2, (8, 8))
    torch.testing.assert_close(reduce("mean", maps), reduce("mean", shuffled))
    torch.testing.assert_close(reduce("mean", maps), reduce("mean", tokens_of(maps)))
    torch.testing.assert_close(reduce("mean", torch.full((1, 2, 4, 4), 7.0)), torch.full((1, 2), 7.0))


@pytest.mark.parametrize("side", [1, 2, 4, 8])
def test_a_grid_keeps_the_layout(maps: torch.Tensor, side: int) -> None:
    pooled = reduce(f"grid:{side}", maps)
    assert pooled.shape == (3, 5, side, side)
    cell = 8 // side
    torch.testing.assert_close(pooled[:, :, 0, -1], maps[:, :, :cell, -cell:].mean((2, 3)))
    torch.testing.assert_close(pooled.mean((2, 3)), reduce("mean", maps))
    torch.testing.assert_close(pooled, reduce(f"grid:{side}", tokens_of(maps)))


def test_a_grid_needs_a_square() -> None:
    with pytest.raises(InputError, match="12 tokens, which are no square"):
        reduce("grid:2", torch.zeros(1, 12, 5))


@pytest.mark.parametrize("count", [1, 3, 64, 500])
def test_tokens_are_rows_of_the_sequence_spaced_evenly(maps: torch.Tensor, count: int) -> None:
    kept = reduce(f"tokens:{count}", maps)
    assert kept.shape == (3, min(count, 64), 5)
    assert torch.equal(kept[:, 0], tokens_of(maps)[:, 0])
    assert count == 1 or torch.equal(kept[:, -1], tokens_of(maps)[:, -1])
    assert torch.equal(kept, reduce(f"tokens:{count}", tokens_of(maps)))


def test_a_projection_is_linear_repeatable_and_keeps_distances_on_average(maps: torch.Tensor) -> None:
    projected = reduce("project:4000", maps)
    assert torch.equal(projected, reduce("project:4000", maps))
    torch.testing.assert_close(reduce("project:4000", 2 * maps), 2 * projected)
    ratio = torch.cdist(projected, projected) / torch.cdist(maps.flatten(1), maps.flatten(1))
    apart = ratio[~torch.eye(3, dtype=torch.bool)]
    torch.testing.assert_close(apart, torch.ones(6), atol=0.1, rtol=0)


@pytest.mark.parametrize("size", [1, 7, 64, 320])
def test_a_projection_keeps_squared_distances_on_average_with_the_stated_variance(size: int) -> None:
    """Pairs at many distances: their mean ratio is 1, and its spread at most that of the theory, sqrt(2 / size)."""
    pairs = torch.randn((2, 400, 320), generator=torch.Generator().manual_seed(1))
    before = (pairs[0] - pairs[1]).square().sum(1)
    after = (reduce(f"project:{size}", pairs[0]) - reduce(f"project:{size}", pairs[1])).square().sum(1)
    ratio = after / before
    expected = (2 / size) ** 0.5
    assert abs(float(ratio.mean()) - 1) <= 5 * expected / 400**0.5
    assert float(ratio.std()) <= 1.2 * expected


def test_what_is_no_larger_than_its_projection_stays_as_it_is(maps: torch.Tensor) -> None:
    assert torch.equal(reduce("project:320", maps), maps.flatten(1))
    assert reduce("project:319", maps).shape == (3, 319)


def test_a_projection_of_a_large_map_in_half_precision_needs_no_matrix() -> None:
    large = torch.ones((1, 1280, 64, 64), dtype=torch.float16) * 100
    projected = reduce("project:256", large)
    assert projected.dtype == torch.float32
    assert torch.isfinite(projected).all()
    assert 0.5 < float(projected.square().sum() / (100**2 * large.numel())) < 1.5


@pytest.mark.parametrize(
    "text", ["", "median", "grid", "grid:0", "grid:-1", "grid:x", "mean:2", "tokens:", "project:1.5"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="reduction must be one of mean, full, grid:K, tokens:N, project:D"):
        Reduction.parse(text)
