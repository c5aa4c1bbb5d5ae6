"""The training loop and its optimiser."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from outcrop.zoo.training.loop import LossFunction, Schedule, Trainer
from outcrop.zoo.training.muon import orthogonalise, split_parameters


@pytest.mark.parametrize("shape", [(24, 24), (20, 60), (60, 20)])
def test_orthogonalising_keeps_the_directions_and_levels_the_lengths(shape: tuple[int, int]) -> None:
    """With U S V' the singular value decomposition, the result is near U V' (coefficients: Jordan et al. 2024)."""
    torch.manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(shape[0], min(shape), dtype=torch.float64))
    right, _ = torch.linalg.qr(torch.randn(shape[1], min(shape), dtype=torch.float64))
    lengths = torch.logspace(-1, 1, min(shape), dtype=torch.float64)
    result = orthogonalise(left * lengths @ right.T)
    inner = left.T @ result @ right
    levelled = inner.diagonal()
    assert (inner - torch.diag(levelled)).abs().max() < 1e-9
    assert levelled[lengths > 0.3].min() > 0.5
    assert levelled.max() < 1.3


def test_orthogonalising_forgets_scale_and_knows_transposes() -> None:
    matrix = torch.randn((20, 40), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(orthogonalise(1000 * matrix), orthogonalise(matrix), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(orthogonalise(matrix.T), orthogonalise(matrix).T)


def test_thick_matrices_go_to_muon_and_everything_else_to_adam() -> None:
    model = nn.ModuleDict({"words": nn.Embedding(50, 32), "thick": nn.Linear(32, 32), "thin": nn.Linear(32, 4)})
    frozen = nn.Linear(32, 32).requires_grad_(requires_grad=False)
    thick, rest = split_parameters({"model": model, "frozen": frozen})
    assert [id(parameter) for parameter in thick] == [id(model["thick"].weight)]
    assert len(rest) == 4


def build(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(24, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 24))


def loss_of(model: nn.Module, *, fail_at: int | None = None) -> LossFunction:
    calls = 0

    def loss(generator: torch.Generator) -> Tensor:
        nonlocal calls
        if calls == fail_at:
            raise KeyboardInterrupt
        calls += 1
        batch = torch.randn((16, 24), generator=generator)
        return (model(batch) - batch.flip(1)).square().mean()

    return loss


def test_training_lowers_the_loss_and_ends_in_eval_mode(tmp_path: Path) -> None:
    model = build()
    before = float(loss_of(model)(torch.Generator().manual_seed(9)).detach())
    Trainer(tmp_path, every=50).run("model", {"model": model}, loss_of(model), Schedule(150, ema=0.9))
    assert not model.training
    assert float(loss_of(model)(torch.Generator().manual_seed(9)).detach()) < before / 2


@pytest.mark.parametrize("fail_at", [0, 3, 4, 7, 10])
def test_an_interrupted_training_ends_with_the_same_weights(tmp_path: Path, fail_at: int) -> None:
    schedule = Schedule(11)
    whole, broken, resumed = build(), build(), build(seed=99)
    Trainer(tmp_path / "a", every=4).run("model", {"model": whole}, loss_of(whole), schedule)
    trainer = Trainer(tmp_path / "b", every=4)
    with pytest.raises(KeyboardInterrupt):
        trainer.run("model", {"model": broken}, loss_of(broken, fail_at=fail_at), schedule)
    if fail_at < 4:  # nothing is kept yet: the fresh start must be the same model
        resumed = build()
    trainer.run("model", {"model": resumed}, loss_of(resumed), schedule)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_a_finished_training_is_only_loaded(tmp_path: Path) -> None:
    model, again = build(), build(seed=1)
    Trainer(tmp_path).run("model", {"model": model}, loss_of(model), Schedule(5))
    Trainer(tmp_path).run("model", {"model": again}, loss_of(again, fail_at=0), Schedule(5))
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
