"""Muon: momentum whose update is orthogonalised, for weights that act as matrices (Jordan et al. 2024).

On two CPU cores the number of samples is what limits the zoo's quality, and on these networks Muon needs far fewer
of them than Adam. Biases, norms, embeddings and thin matrices stay with AdamW.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # quintic Newton-Schulz iteration, tuned by the authors for speed
THIN = 16


@torch.no_grad()
def orthogonalise(matrix: Tensor, *, iterations: int = 5) -> Tensor:
    """The nearest (semi-)orthogonal matrix to ``matrix`` (rows, columns), approximately."""
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x: Tensor = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """``rate`` is the size of a step relative to an orthogonal matrix; the momentum is Nesterov's."""

    def __init__(self, parameters: Iterable[nn.Parameter], *, rate: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": rate, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002  # no closure
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad.flatten(1)
                state = self.state[parameter]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(gradient)
                state["momentum"].lerp_(gradient, 1 - group["momentum"])
                update = orthogonalise(gradient.lerp(state["momentum"], group["momentum"]))
                scale = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
                parameter.add_(update.view_as(parameter), alpha=-group["lr"] * scale)


def split_parameters(models: Mapping[str, nn.Module]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Those for Muon (kernels and matrices that are thick both ways) and the rest."""
    embeddings = {
        id(module.weight) for model in models.values() for module in model.modules() if isinstance(module, nn.Embedding)
    }
    thick: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for model in models.values():
        for parameter in model.parameters():
            if not parameter.requires_grad:
                continue
            wide = parameter.ndim >= 2 and min(len(parameter), parameter[0].numel()) > THIN
            (thick if wide and id(parameter) not in embeddings else rest).append(parameter)
    return thick, rest
