"""Muon: momentum whose update is orthogonalised, for weights that act as matrices (Jordan et al. 2024).

On two CPU cores the number of samples is what limits the zoo's quality, and on these networks Muon needs far fewer
of them than Adam. Biases, norms, embeddings and thin matrices stay with AdamW.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # quintic Newton-Schulz iteration, tuned by the authors for speed
THIN = 16


@torch.no_grad()
def orthogonalise(matrices: Tensor, *, iterations: int = 5) -> Tensor:
    """The nearest (semi-)orthogonal matrices to ``matrices`` (..., rows, columns), approximately."""
    a, b, c = COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x: Tensor = matrices.mT if tall else matrices
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """``rate`` is the size of a step relative to an orthogonal matrix; the momentum is Nesterov's."""

    def __init__(self, parameters: Iterable[nn.Parameter], *, rate: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": rate, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002  # no closure
        for group in self.param_groups:
            alike: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                alike[parameter.flatten(1).shape].append(parameter)
            for shape, parameters in alike.items():
                updates = orthogonalise(torch.stack([self._nesterov(p, group["momentum"]) for p in parameters]))
                scale = max(1.0, shape[0] / shape[1]) ** 0.5
                for parameter, update in zip(parameters, updates, strict=True):
                    parameter.add_(update.view_as(parameter), alpha=-group["lr"] * scale)

    def _nesterov(self, parameter: nn.Parameter, momentum: float) -> Tensor:
        assert parameter.grad is not None
        gradient, state = parameter.grad.flatten(1), self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(gradient)
        state["momentum"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(state["momentum"], momentum)


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
