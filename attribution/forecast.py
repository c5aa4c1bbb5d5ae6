"""What a study will take, before any of it is spent."""

import math
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from outcrop.attribution.folders import check_study_folder
from outcrop.attribution.pairs import as_sample
from outcrop.attribution.parts import PartStore
from outcrop.attribution.prepare import Study
from outcrop.attribution.run import Runner

TRIAL_ROWS = 16
TRIAL_STEPS = 2, 4


@dataclass(frozen=True)
class StudyForecast:
    """``passes`` are rows times steps that the network runs, ``full_passes`` those of a call of the pipeline for every
    picture (the donor beside the receiver where it is needed). ``seconds`` of the whole study come from a trial of a
    few rows, and ``disk_bytes`` are its pictures; ``done`` of the ``batches`` are on disk.
    """

    pairs: int
    cells: int
    images: int
    batches: int
    done: int
    passes: int
    full_passes: int
    seconds: float
    disk_bytes: int
    free: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_text(self) -> str:
        left = self.seconds * (1 - self.done / self.batches)
        return (
            f"{self.pairs} pairs x {self.cells} cells: {self.images} pictures, and {2 * self.pairs} of donors and "
            f"receivers: {self.images + 2 * self.pairs} in {self.batches} batches"
            f"{f', {self.done} of them done' if self.done else ''}\n"
            f"network: {self.passes} rows x steps (a row is one picture in a batch, and runs once a step; "
            f"{self.full_passes} with a whole pipeline call for every picture)\n"
            f"time: about {left / 60:.0f} min, from a trial of {TRIAL_ROWS} rows at most\n"
            f"on disk: {self.disk_bytes / 1e6:.0f} MB of pictures, {self.free / 1e9:.1f} GB free"
        )


def forecast_study(study: Study, out: Path) -> StudyForecast:
    """Make a few rows for a few steps, and add up. Nothing is written.

    Raises :class:`ConflictError` where ``out`` holds something else, as the run would.
    """
    check_study_folder(out, study.record())
    store = PartStore(out.absolute())
    runner = Runner(study, store)
    blocks = [block for group in runner.groups for block in group.blocks]
    steps = study.moments if study.spec.part == "denoiser" else study.spec.steps
    base = 2 * len(study.pairs) * steps
    runs = [0 if study.spec.part == "vae" else steps - block.start for block in blocks]
    rows = [len(block.pairs) * len(block.cells) for block in blocks]
    images = len(study.pairs) * len(study.cells)
    existing = next(place for place in [out.absolute(), *out.absolute().parents] if place.exists())
    passes = base + sum(block.rows * count for block, count in zip(blocks, runs, strict=True))
    return StudyForecast(
        pairs=len(study.pairs),
        cells=len(study.cells),
        images=images,
        batches=len(blocks) + len(runner.groups),
        done=sum(name in store for name in [part.name for part in blocks] + [part.name for part in runner.groups]),
        passes=passes,
        full_passes=sum(count * (1 + block.donors) * steps for block, count in zip(blocks, rows, strict=True)),
        seconds=_seconds(study, passes=passes, pictures=2 * len(study.pairs) + sum(block.rows for block in blocks)),
        disk_bytes=(images + 2 * len(study.pairs)) * math.prod(study.source.image_shape),
        free=shutil.disk_usage(existing).free,
    )


def _seconds(study: Study, *, passes: int, pictures: int) -> float:
    """Of all: what a row and step takes (guidance included), and what a picture takes beside its steps."""
    pairs = [study.pairs[place % len(study.pairs)] for place in range(min(TRIAL_ROWS, study.spec.batch))]
    samples = [as_sample(pair.receiver) for pair in pairs]
    short, long = sorted({min(count, study.spec.steps) for count in (0, *TRIAL_STEPS)})[-2:]

    def run(steps: int) -> float:
        started = time.perf_counter()
        if steps:
            study.source.generate(samples, steps=steps, guidance=study.guidance, **study.spec.size)
        return (time.perf_counter() - started) / len(samples)

    run(short or long)  # what happens once only is no part of it
    brief, whole = run(short), run(long)
    a_pass = max(whole - brief, 0.0) / (long - short)
    return passes * a_pass + pictures * max(brief - short * a_pass, 0.0)
