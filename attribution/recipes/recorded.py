"""Putting a model to a recipe about what can be decoded: record it, then judge the recording."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from outcrop.attribution.recipe import NOT_TESTABLE, Card, Verdict
from outcrop.attribution.recipes.decoding import (
    PEAK_NOISE,
    PLATONIC,
    POSITION_LEAK,
    peak_noise,
    platonic,
    position_leak,
)
from outcrop.attribution.recipes.run import Progress, Setting, save_verdict
from outcrop.attribution.study import default_prompts
from outcrop.capture.prompts import PromptFile, PromptGrid
from outcrop.capture.run import capture
from outcrop.capture.source import open_source
from outcrop.capture.spec import parse_spec
from outcrop.data.dataset import Dataset
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.sweep import probe

CARDS: dict[str, Card] = {card.name: card for card in (PEAK_NOISE, POSITION_LEAK, PLATONIC)}
RECORDED_STEPS = 8
HALVES, CELLS = "grid:2", "grid:4"
"""Reductions: enough to decode where something lies; and cells to tell apart."""


def run_recorded(
    name: str, models: Sequence[str], *, setting: Setting, out: Path, progress: Progress | None = None
) -> Verdict:
    """Run the recipe ``name`` of :data:`CARDS` and write recordings and verdict into ``out``.

    ``models``: one, and for *platonic* the reference and then others, from less to more capable. What was recorded
    before is used. Raises :class:`InputError` for a model or prompts that cannot be used.
    """
    run: Callable[..., Verdict] = {"peak-noise": _peak_noise, "position-leak": _position_leak, "platonic": _platonic}[
        name
    ]
    verdict = run(models, setting=setting, out=out, progress=progress)
    save_verdict(verdict, out, setting=setting)
    return verdict


def _peak_noise(models: Sequence[str], *, setting: Setting, out: Path, progress: Progress | None) -> Verdict:
    if _one_step(models[0], setting):
        return Verdict(PEAK_NOISE, models[0], NOT_TESTABLE, "the model makes its pictures in one step, without noise")
    recording = record(models[0], setting=setting, out=out / "recording", reduction=HALVES, progress=progress)
    if recording.labels.empty:
        return Verdict(PEAK_NOISE, models[0], NOT_TESTABLE, "the prompts have no labels to decode")
    table = probe(recording, spec=ProbeSpec(controls=1))
    table.save(out / "probes")
    return peak_noise(table, model=models[0], seed=setting.seed)


def _position_leak(models: Sequence[str], *, setting: Setting, out: Path, progress: Progress | None) -> Verdict:
    recording = record(models[0], setting=setting, out=out / "recording", reduction=CELLS, progress=progress)
    return position_leak(recording, model=models[0], most=setting.pairs)


def _platonic(models: Sequence[str], *, setting: Setting, out: Path, progress: Progress | None) -> Verdict:
    for model in models:
        open_source(model, device=setting.device)  # one that cannot be opened is told before any picture is made
    prompts = _prompts(models[0], setting)
    recordings = [
        record(
            model,
            setting=setting,
            out=out / f"recording-{number}",
            reduction=HALVES,
            prompts=prompts,
            progress=progress,
        )
        for number, model in enumerate(models)
    ]
    return platonic(recordings[0], recordings[1:], names=models, seed=setting.seed)


def record(
    model: str,
    *,
    setting: Setting,
    out: Path,
    reduction: str,
    steps: int = RECORDED_STEPS,
    prompts: PromptFile | PromptGrid | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """The outputs of a model's blocks at ``steps`` of its steps, for about four pictures a pair of ``setting``, or at
    least one of every prompt. ``prompts``: those of the setting, if none are given.
    """
    prompts = prompts or _prompts(model, setting)
    count = len(prompts.expand())
    one_step = _one_step(model, setting)
    taken = 1 if one_step else setting.steps
    fields: dict[str, Any] = {
        "model": model,
        "prompts": prompts.model_dump(mode="json"),
        "seeds": {"first": setting.seed, "per_prompt": max(1, round(4 * setting.pairs / count))},
        "sites": ["blocks"],
        "steps": taken,
        "record": min(taken, steps),
        "reduction": reduction,
        "batch": setting.batch,
        "device": setting.device,
        "guidance": 1.0 if one_step else setting.guided(model),
    }
    return capture(parse_spec(fields | setting.size, where="the recipe"), out, progress=progress)


def _prompts(model: str, setting: Setting) -> PromptFile | PromptGrid:
    if setting.prompts:
        return PromptFile(file=Path(setting.prompts))
    return default_prompts(model).model_copy(update={"wording": "rotate"})


def _one_step(model: str, setting: Setting) -> bool:
    return bool(getattr(open_source(model, device=setting.device), "one_step", False))
