"""One training loop for every model of the zoo: seeded, resumable after a kill, with progress and a log."""

import copy
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from outcrop.zoo.training.muon import Muon, split_parameters

LOG = logging.getLogger(__name__)
SPREAD = 1_000_003  # between the seeds of two runs
LossFunction = Callable[[torch.Generator], Tensor]


@dataclass(frozen=True)
class Schedule:
    """``rate`` is AdamW's, ``matrix_rate`` Muon's (0: AdamW has everything). Both rise over 100 steps; from
    ``decay_from`` they fall to 2 %.
    """

    steps: int
    rate: float = 1e-3
    matrix_rate: float = 0.02
    betas: tuple[float, float] = (0.9, 0.99)
    ema: float = 0.99
    decay_from: float = 0.6

    def factor(self, step: int) -> float:
        falling = (1 - step / self.steps) / (1 - self.decay_from)
        return min((step + 1) / 100, 1.0, max(0.02, falling))


@dataclass(frozen=True)
class Trainer:
    """Where checkpoints go and what seeds the run. Step ``k`` draws from a generator seeded by (seed, k),
    so that a resumed run goes through the same batches as an uninterrupted one.
    """

    folder: Path
    seed: int = 0
    every: int = 100

    def run(self, name: str, models: Mapping[str, nn.Module], loss: LossFunction, schedule: Schedule) -> None:
        """Minimise ``loss(generator)``; the models end in eval mode with averaged (EMA) weights."""
        state = _State.new(models, schedule)
        target = self.folder / f"{name}.safetensors"
        self.folder.mkdir(parents=True, exist_ok=True)
        first = state.load(target)
        started, total = time.monotonic(), 0.0
        for step in range(first, schedule.steps):
            generator = torch.Generator().manual_seed(self.seed * SPREAD + step)
            total += state.update(loss(generator), schedule, step)
            count = step + 1
            if count % self.every == 0 or count == schedule.steps:
                state.save(target, count)
                seen = count - max(first, (step // self.every) * self.every)
                spent = time.monotonic() - started
                self._report(name, count, schedule.steps, total / seen, spent, spent / (count - first))
                total = 0.0
        state.bundle.load_state_dict(state.average.state_dict())
        state.bundle.eval()

    def step_of(self, generator: torch.Generator) -> int:
        """The step that ``generator`` was made for."""
        return generator.initial_seed() - self.seed * SPREAD

    def _report(self, name: str, step: int, steps: int, loss: float, spent: float, pace: float) -> None:
        with (self.folder / f"{name}.jsonl").open("a") as stream:
            stream.write(json.dumps({"step": step, "loss": loss, "seconds": round(spent, 1)}) + "\n")
        LOG.info("%s %d/%d loss %.4f, %.0f min left", name, step, steps, loss, pace * (steps - step) / 60)


@dataclass(frozen=True)
class _State:
    """Everything that a checkpoint holds."""

    bundle: nn.Module
    average: nn.Module
    optimizers: tuple[torch.optim.Optimizer, ...]

    @classmethod
    def new(cls, models: Mapping[str, nn.Module], schedule: Schedule) -> "_State":
        bundle = nn.ModuleDict(models).train()
        average = copy.deepcopy(bundle).requires_grad_(requires_grad=False)
        thick, rest = split_parameters(models)
        muon = [Muon(thick, rate=schedule.matrix_rate)] if schedule.matrix_rate else []
        plain = rest if muon else rest + thick
        adam = torch.optim.AdamW(plain, lr=schedule.rate, betas=schedule.betas, weight_decay=1e-2, eps=1e-7)
        return cls(bundle, average, (*muon, adam))

    def update(self, value: Tensor, schedule: Schedule, step: int) -> float:
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(self.bundle.parameters(), 1.0)
        for optimizer in self.optimizers:
            rate = schedule.matrix_rate if isinstance(optimizer, Muon) else schedule.rate
            for group in optimizer.param_groups:
                group["lr"] = rate * schedule.factor(step)
            optimizer.step()
        _blend(self.average, self.bundle, min(schedule.ema, (step + 1) / (step + 10)))
        return float(value.detach())

    def save(self, target: Path, step: int) -> None:
        tensors = {f"now.{k}": v for k, v in self.bundle.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.average.state_dict().items()}
        for place, optimizer in enumerate(self.optimizers):
            for index, state in optimizer.state_dict()["state"].items():
                tensors |= {f"opt.{place}.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
        tensors["step"] = torch.tensor(step)
        partial = target.with_suffix(".partial")
        save_file({k: v.contiguous().clone() for k, v in tensors.items()}, partial)
        partial.replace(target)

    def load(self, target: Path) -> int:
        """Take up a checkpoint; the step to go on from."""
        if not target.exists():
            return 0
        tensors = load_file(target)
        self.bundle.load_state_dict({k[4:]: v for k, v in tensors.items() if k.startswith("now.")})
        self.average.load_state_dict({k[4:]: v for k, v in tensors.items() if k.startswith("ema.")})
        for place, optimizer in enumerate(self.optimizers):
            whole = optimizer.state_dict()
            for key, value in tensors.items():
                if key.startswith(f"opt.{place}."):
                    _, _, index, field = key.split(".")
                    whole["state"].setdefault(int(index), {})[field] = value
            optimizer.load_state_dict(whole)
        return int(tensors["step"])


@torch.no_grad()
def _blend(average: nn.Module, model: nn.Module, keep: float) -> None:
    for old, new in zip(average.parameters(), model.parameters(), strict=True):
        old.lerp_(new, 1 - keep)
    for kept, fresh in zip(average.buffers(), model.buffers(), strict=True):
        kept.copy_(fresh)
