"""Plans a capture: what to keep and how many samples to make, within a disk, some hours, and a width of intervals."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.capture.blank import blank_sites
from outcrop.capture.budget import Concession, Keeping, concessions
from outcrop.capture.forecast import forecast
from outcrop.capture.models import locate_model
from outcrop.capture.plan import usual_shard
from outcrop.capture.prompts import LabelledPrompt, PromptFile, check_labels
from outcrop.capture.sites import Site, select_sites
from outcrop.capture.source import open_source
from outcrop.capture.spec import CaptureSpec
from outcrop.data.errors import InputError, StorageError
from outcrop.data.patterns import near_misses
from outcrop.probes.grouping import form_groups
from outcrop.probes.power import design_effect, groups_needed, interval_width

BATCH = CaptureSpec.model_fields["batch"].default
FOLDS = 5
LEAST = 2 * FOLDS
"""Prompts below which no sweep is worth its while."""

SPATIAL = ("layout", "position", "place", "where")
"""Questions about where things are, by name; others are named with ``spatial``."""

RECORDING = 1.05
"""What recording and writing take on top of generation, at most (docs/benchmarks.md)."""

IMAGE_BYTES = 2e6
"""Of a picture, where no trial tells: of 1024 x 1024 pixels as PNG, a photograph takes 1 to 2 MB."""

WORTH = 0.98
"""Another picture of every prompt is made only if it narrows the interval to this share."""


@dataclass(frozen=True)
class Wish:
    """What is asked for: ``questions`` are label columns of the table ``prompts``; ``budget`` in bytes, ``hours`` of
    one process; ``width`` of a 95 % interval.

    ``correlation`` is that of being right within a group (:mod:`outcrop.probes.power`); ``seconds`` a sample and
    ``image_bytes`` of its picture are measured by two trial samples if ``seconds`` is left out; ``spatial`` are
    questions about where things are.
    """

    model: str
    prompts: Path
    questions: tuple[str, ...]
    budget: float
    hours: float
    width: float = 0.1
    correlation: float = 0.1
    steps: int = 20
    seconds: float | None = None
    image_bytes: float | None = None
    spatial: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        positive = {"hours": self.hours, "steps": self.steps, "seconds": self.seconds}
        positive["budget, in GB,"] = self.budget / 1e9
        positive["the size of a picture, in kB,"] = None if self.image_bytes is None else self.image_bytes / 1e3
        for name, value in positive.items():
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InputError(f"{name} must be above 0 and finite. Got {value:g}.")
        if not self.questions:
            raise InputError("Name at least one question: a label column of the prompts.")


@dataclass(frozen=True)
class Proposal:
    """A capture that fits. Bytes of the whole; ``width`` is the interval's that it gives; ``left_out`` in words.

    ``shard_samples`` is None where the usual shards do; ``shard_bytes`` are those of one while it is filled.
    """

    samples: int
    prompts: int
    per_prompt: int
    groups: int
    design_effect: float
    width: float
    groups_needed: int
    sites: tuple[str, ...]
    record: int
    steps: int
    reduction: str
    dtype: str
    activation_bytes: int
    image_bytes: int
    seconds: float
    shard_samples: int | None
    shard_bytes: int
    left_out: tuple[str, ...]
    command: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_text(self) -> str:
        lines = [
            f"samples   {self.samples}: {self.prompts} prompts x {self.per_prompt} images, in {self.groups} groups",
            f"power     95 % intervals of about +-{100 * self.width / 2:.2g} points (width {self.width:.3f}); design "
            f"effect {self.design_effect:.2f}; the asked width takes {self.groups_needed} groups of this size",
            f"keep      {len(self.sites)} sites x {self.record} of {self.steps} steps, {self.reduction}, {self.dtype}",
            f"disk      {self.activation_bytes / 1e9:.3g} GB of activations, {self.image_bytes / 1e9:.3g} GB of images",
            f"time      {self.samples * self.seconds / 3600:.3g} h at {self.seconds:.3g} s a sample with its recording",
            f"memory    2 x {self.shard_bytes / 1e9:.2g} GB, for two shards at once{self._why}",
            "left out",
            *(f"  - {text}" for text in self.left_out or ("nothing",)),
            "run",
            f"  {self.command}",
        ]
        return "\n".join(lines)

    @property
    def _why(self) -> str:
        if self.shard_samples is None:
            return ""
        return (
            f": each has {self.shard_samples} samples, for of smaller ones the list would be longer than readers take"
        )


@dataclass(frozen=True)
class _Rate:
    """Of one sample: ``seconds`` with its recording, and bytes of its picture."""

    seconds: float
    image_bytes: float


@dataclass(frozen=True)
class _Samples:
    """``copies`` pictures of each of ``prompts``."""

    prompts: tuple[LabelledPrompt, ...]
    copies: int

    def __len__(self) -> int:
        return self.copies * len(self.prompts)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Of the groups that a sweep will keep apart."""
        return self.copies * group_sizes(self.prompts)

    def thinned(self, count: int) -> "_Samples":
        """At most ``count`` samples: fewer pictures of a prompt first, then fewer prompts, drawn at random."""
        copies = max(1, min(self.copies, count // len(self.prompts)))
        kept = min(len(self.prompts), count // copies)
        rows = np.sort(np.random.default_rng(0).permutation(len(self.prompts))[:kept])
        return _Samples(tuple(self.prompts[row] for row in rows), copies)


def propose(wish: Wish, out: str | Path) -> Proposal:
    """The proposal for ``wish``, to be captured into ``out``.

    Where time or disk do not suffice for all prompts, a table with some of them, drawn at random, is written beside
    ``out`` as ``OUT.prompts.csv``. Raises :class:`InputError` for a question that no label answers and for too little
    time, and :class:`StorageError` where not even the least fits on the disk.
    """
    prompts = tuple(PromptFile(file=wish.prompts).expand())
    _check_questions(prompts, wish.questions)
    wanted, rate = _wanted(prompts, wish), _rate(wish, out)
    affordable = wanted.thinned(_within_hours(wish.hours * 3600, rate.seconds))
    sites = _sites(wish.model)
    spatial = bool({*wish.questions} & {*SPATIAL, *wish.spatial})
    taken, chosen = _within_disk(
        list(concessions(sites, steps=wish.steps, spatial=spatial)), sites, affordable, wish, rate
    )
    table = wish.prompts
    if len(chosen.prompts) < len(prompts):
        table = Path(f"{out}.prompts.csv")
        _write_table(chosen.prompts, table)
    said = [*_fewer_samples(wanted, affordable, chosen, table), *(each.why for each in taken if each.why)]
    keeping = taken[-1].keeping
    kept = keeping.chosen(sites)
    said += _sites_left(sites, kept)
    sizes = chosen.sizes
    width = interval_width(sizes, correlation=wish.correlation)
    needed = groups_needed(wish.width, size=round(sizes.mean()), correlation=wish.correlation)
    if width > wish.width:
        said.insert(
            0, f"the width of {wish.width} that was asked: it takes {needed} wordings or prompts, not {len(sizes)}"
        )
    shard = _larger_shard(keeping, sites, len(chosen))
    whole = len(kept) == len(select_sites(sites, keeping.sites))
    patterns = keeping.sites if whole else tuple(site.name for site in kept)
    return Proposal(
        samples=len(chosen),
        prompts=len(chosen.prompts),
        per_prompt=chosen.copies,
        groups=len(sizes),
        design_effect=design_effect(sizes, correlation=wish.correlation),
        width=width,
        groups_needed=needed,
        sites=tuple(site.name for site in kept),
        record=keeping.record,
        steps=wish.steps,
        reduction=keeping.reduction,
        dtype=keeping.dtype,
        activation_bytes=len(chosen) * keeping.sample_bytes(sites),
        image_bytes=round(len(chosen) * rate.image_bytes),
        seconds=rate.seconds,
        shard_samples=shard,
        shard_bytes=keeping.shard_memory(sites, min(shard or _usual_shard(keeping, sites), len(chosen))),
        left_out=tuple(said),
        command=_command(wish, keeping, patterns, table=table, copies=chosen.copies, out=out, shard=shard),
    )


def group_sizes(prompts: Sequence[LabelledPrompt]) -> NDArray[np.int64]:
    """Prompts in each group that a sweep keeps apart: wordings, or prompts. Raises :class:`InputError` for too few."""
    rows = [{"prompt": prompt.text, "template": prompt.template} for prompt in prompts]
    units = form_groups(pd.DataFrame(rows), group_by=("template",), folds=FOLDS).units
    return min((np.bincount(unit.codes) for unit in units), key=len)


def _check_questions(prompts: Sequence[LabelledPrompt], questions: Sequence[str]) -> None:
    labels = check_labels(prompts)
    for question in questions:
        if question not in labels:
            raise InputError(f"No label column of the prompts is called {question!r}.{near_misses(question, labels)}")
        found = {prompt.labels[question] for prompt in prompts}
        if len(found) < 2:
            raise InputError(
                f"All prompts have the same {question!r} ({found.pop()!r}): there is nothing to tell apart."
            )


def _sites(model: str) -> list[Site]:
    """From the configuration alone where there is a folder; of modules of one's own, by a dry pass."""
    if not model.startswith("python:") and Path(locate_model(model)).is_dir():
        return blank_sites(model)
    return open_source(model).sites()


def _rate(wish: Wish, out: str | Path) -> _Rate:
    if wish.seconds is not None:
        return _Rate(wish.seconds * RECORDING, wish.image_bytes or IMAGE_BYTES)
    spec = CaptureSpec(
        model=wish.model, prompts=PromptFile(file=wish.prompts), sites=("all",), steps=wish.steps, record=1
    )
    trial = forecast(spec, out)
    return _Rate(trial.seconds / trial.samples * RECORDING, wish.image_bytes or trial.image_bytes / trial.samples)


def _wanted(prompts: Sequence[LabelledPrompt], wish: Wish) -> _Samples:
    """All prompts, each as often as the width takes, or as long as another picture is worth it."""
    samples = _Samples(tuple(prompts), 1)
    sizes = samples.sizes
    width = interval_width(sizes, correlation=wish.correlation)
    while width > wish.width:
        narrower = interval_width((samples.copies + 1) * sizes, correlation=wish.correlation)
        if narrower > WORTH * width:
            break
        samples, width = replace(samples, copies=samples.copies + 1), narrower
    return samples


def _within_hours(total: float, each: float) -> int:
    count = int(total / each)
    if count < LEAST:
        raise InputError(
            f"hours must suffice for {LEAST} samples, which take {LEAST * each / 3600:.2g}. Got {total / 3600:.2g}. "
            "Take fewer steps, a faster device, or more time."
        )
    return count


def _within_disk(
    ladder: Sequence[Concession], sites: Sequence[Site], samples: _Samples, wish: Wish, rate: _Rate
) -> tuple[list[Concession], _Samples]:
    """Down the ladder until all samples fit; at its end as many as fit. The concessions made, and the samples."""
    for number, concession in enumerate(ladder):
        each = concession.keeping.sample_bytes(sites) + rate.image_bytes
        if each * len(samples) <= wish.budget:
            return list(ladder[: number + 1]), samples
    count = int(wish.budget / each)
    if count < LEAST:
        raise StorageError(
            f"A sample takes at least {each / 1e6:.2f} MB ({rate.image_bytes / 1e6:.2f} MB of it its image), and "
            f"{LEAST} samples {LEAST * each / 1e9:.3g} GB. Got a budget of {wish.budget / 1e9:.3g} GB. Give more."
        )
    return list(ladder), samples.thinned(count)


def _fewer_samples(wanted: _Samples, affordable: _Samples, chosen: _Samples, table: Path) -> list[str]:
    said = []
    for before, after, lacking in ((wanted, affordable, "the hours"), (affordable, chosen, "the disk")):
        if len(after) < len(before):
            said.append(f"{len(before) - len(after)} of {len(before)} samples: {lacking} do not suffice for more")
    if len(chosen.prompts) < len(wanted.prompts):
        said.append(f"{len(wanted.prompts) - len(chosen.prompts)} prompts: {table} holds those that are used")
    return said


def _sites_left(sites: Sequence[Site], kept: Sequence[Site]) -> list[str]:
    names = {site.name for site in kept}
    others = [site for site in sites if not site.inside_attention and site.name not in names]
    inside = sum(bool(site.inside_attention) for site in sites)
    said = []
    if others:
        said.append(f"{len(others)} of {len(sites) - inside} sites, such as {others[0].name}: other roles, or no map")
    if inside:
        said.append(f"{inside} sites inside attention (heads, words): ask for them by name")
    return said


def _usual_shard(keeping: Keeping, sites: Sequence[Site]) -> int:
    return usual_shard(keeping.filled_bytes(sites), batch=BATCH)


def _larger_shard(keeping: Keeping, sites: Sequence[Site], samples: int) -> int | None:
    """Samples a shard where there would be too many of the usual ones to list."""
    listed = keeping.listing(sites)
    fits = listed.fits(samples, shard_samples=_usual_shard(keeping, sites))
    return None if fits else listed.least_shard(samples)


def _command(
    wish: Wish,
    keeping: Keeping,
    patterns: Sequence[str],
    *,
    table: Path,
    copies: int,
    out: str | Path,
    shard: int | None,
) -> str:
    parts = ["outcrop", "capture", "--model", wish.model, "--prompts", str(table), "--per-prompt", str(copies)]
    parts += [part for pattern in patterns for part in ("--site", pattern)]
    parts += ["--steps", str(wish.steps), "--record", str(keeping.record)]
    parts += ["--shard-samples", str(shard)] if shard else []
    return shlex.join([*parts, "--reduction", keeping.reduction, "--dtype", keeping.dtype, "--out", str(out)])


def _write_table(prompts: Sequence[LabelledPrompt], path: Path) -> None:
    rows = [
        {"prompt": each.text, "template": each.template, "negative_prompt": each.negative, **each.labels}
        for each in prompts
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(path, index=False)
