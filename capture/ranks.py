"""Several processes share one plan: each takes the shards whose number, divided by how many they are, leaves its own.

A shard holds whole batches, so that its values do not depend on who makes it; any number of ranks, also another one
after a restart, gives the same data set.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from outcrop.data.errors import InputError


@dataclass(frozen=True)
class Rank:
    """``index`` of ``world`` processes, counted from 0; ``local`` is its number on its own machine."""

    index: int
    world: int
    local: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.world:
            raise InputError(f"A rank must be one of 0 to {self.world - 1}, of {self.world}. Got {self.index}.")

    @classmethod
    def parse(cls, text: str) -> "Rank":
        """``2/8`` is the third of eight. Raises :class:`InputError` for anything else."""
        index, _, world = text.partition("/")
        if not (index.isdigit() and world.isdigit()):
            raise InputError(f"A rank must be given as INDEX/WORLD, such as 0/4. Got {text!r}.")
        return cls(int(index), int(world))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Rank | None":
        """What ``torchrun`` and ``accelerate launch`` say, or else a SLURM array; ``None`` for a process alone."""
        if "RANK" in environment and "WORLD_SIZE" in environment:
            index, world = _number(environment, "RANK"), _number(environment, "WORLD_SIZE")
            local = _number(environment, "LOCAL_RANK") if "LOCAL_RANK" in environment else 0
        elif "SLURM_ARRAY_TASK_ID" in environment:
            first, stride = (_number(environment, f"SLURM_ARRAY_TASK_{name}") for name in ("MIN", "STEP"))
            index = (_number(environment, "SLURM_ARRAY_TASK_ID") - first) // max(stride, 1)
            world, local = _number(environment, "SLURM_ARRAY_TASK_COUNT"), 0
        else:
            return None
        return cls(index, world, local) if world > 1 else None

    def device(self, wanted: str) -> str:
        """The device of this rank: a bare ``cuda`` becomes the one with the rank's number on its machine."""
        return local_device(wanted, self.local)

    def owns(self, shard: int) -> bool:
        """Whether ``shard`` is this rank's to make."""
        return shard % self.world == self.index


def local_device(wanted: str, number: int) -> str:
    """The device of the process with ``number`` on its machine: a bare ``cuda`` becomes the one with its number."""
    return f"{wanted}:{number}" if wanted == "cuda" else wanted


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    if not text.isdigit():
        raise InputError(
            f"The environment variable {name} must be a number where processes share a plan. Got {text!r}. "
            "Say which part this process takes: --rank INDEX/WORLD, or --rank 0/1 for all of it."
        )
    return int(text)
