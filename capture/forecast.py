"""What a capture will take, before any of it is spent."""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from outcrop.capture.run import describe_run
from outcrop.capture.spec import CaptureSpec


@dataclass(frozen=True)
class Forecast:
    """Sizes in bytes; ``free`` is the room on the disk of the output folder."""

    samples: int
    sites: int
    steps: int
    sample_bytes: int
    total_bytes: int
    shards: int
    shard_bytes: int
    free: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_text(self) -> str:
        return (
            f"{self.samples} samples x {self.sites} sites x {self.steps} steps\n"
            f"{self.sample_bytes / 1e3:.1f} kB a sample, {self.total_bytes / 1e6:.1f} MB of activations "
            f"in {self.shards} shards of at most {self.shard_bytes / 1e6:.1f} MB (held in memory twice)\n"
            f"free on the disk: {self.free / 1e9:.1f} GB"
        )


def forecast(spec: CaptureSpec, out: Path) -> Forecast:
    """Load the model, run the dry pass of one step, and add up. Nothing is written."""
    record = describe_run(spec)
    size = record.sample_bytes
    existing = next(folder for folder in [out.absolute(), *out.absolute().parents] if folder.exists())
    return Forecast(
        samples=record.planned_samples,
        sites=len(record.sites),
        steps=len(record.steps),
        sample_bytes=size,
        total_bytes=size * record.planned_samples,
        shards=-(-record.planned_samples // record.shard_samples),
        shard_bytes=size * min(record.shard_samples, record.planned_samples),
        free=shutil.disk_usage(existing).free,
    )
