"""What to capture: one specification, the same from YAML, from flags and from Python, stored with the data."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from outcrop.capture.prompts import PromptFile, PromptGrid, PromptList
from outcrop.capture.reduction import Reduction
from outcrop.data.errors import InputError
from outcrop.data.faults import fault_lines, shorten
from outcrop.data.schema import DType

PROMPT_KINDS = frozenset({"PromptGrid", "PromptFile", "PromptList"})


class SeedPlan(BaseModel):
    """Seeds: ``per_prompt`` images of every prompt, from ``first`` on.

    ``shared=False`` gives every image a seed of its own; ``shared=True`` the same seeds to every prompt.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    first: int = Field(default=0, ge=0)
    per_prompt: int = Field(default=1, ge=1)
    shared: bool = False


class CaptureSpec(BaseModel):
    """Everything that decides what a capture puts on disk.

    ``sites`` are globs over site names, roles or groups (``blocks``, ``attentions``, ``resnets``, ``all``);
    ``baselines`` adds what the denoiser is given, ``untrained`` a copy with random weights.
    ``record`` is how many of the ``steps`` are recorded, evenly spaced with the first and the last (all, if left out).
    Schedulers that make more timesteps than they are asked for, such as Heun's, have that many steps.
    ``part`` is what is recorded: the denoiser, or once an image ``text_encoder``, ``vae`` (its decoder), ...
    ``guidance`` is the scale of classifier-free guidance (the pipeline's own default, if left out). ``true_cfg`` is
    that of pipelines such as Flux, whose ``guidance`` is a number that the model is told and no second prediction.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    model: str
    part: str = "denoiser"
    prompts: PromptGrid | PromptFile | PromptList
    seeds: SeedPlan = SeedPlan()
    sites: tuple[str, ...] = ("blocks", "attentions")
    steps: int = Field(default=20, ge=1)
    record: int | None = Field(default=None, ge=1)
    guidance: float | None = Field(default=None, ge=0)
    true_cfg: float | None = Field(default=None, ge=0)
    half: Literal["cond", "uncond", "both"] = "cond"
    reduction: str = "mean"
    dtype: DType = "float16"
    batch: int = Field(default=16, ge=1)
    shard_samples: int | None = Field(default=None, ge=1)
    height: int | None = Field(default=None, ge=8)
    width: int | None = Field(default=None, ge=8)
    images: bool = True
    device: str = "cpu"
    licences: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> "CaptureSpec":
        Reduction.parse(self.reduction)
        if self.record is not None and self.record > self.steps:
            raise InputError(f"record must be at most steps ({self.steps}). Got {self.record}.")
        return self


def parse_spec(fields: dict[str, Any], *, where: str) -> CaptureSpec:
    """A specification from plain data. Raises :class:`InputError` naming every field that is wrong."""
    if not isinstance(fields.get("prompts", {}), dict):
        raise InputError(
            f"prompts in {where} must be a mapping: {{file: prompts.csv}}, {{texts: [a cat, ...]}}, or a grid with "
            f"factors and templates. Got {shorten(fields['prompts'])}."
        )
    try:
        return CaptureSpec.model_validate(fields)
    except ValidationError as error:
        lines = fault_lines(_relevant(error, fields), inner=PROMPT_KINDS, keys=CaptureSpec.model_fields)
        raise InputError(f"The capture specification in {where} is not valid:\n" + "\n".join(lines)) from error


def read_spec_fields(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises :class:`InputError` if it is missing or not a mapping."""
    try:
        fields = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise InputError(f"There is no configuration file {path}.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} is not readable YAML: {error}") from error
    if not isinstance(fields, dict):
        raise InputError(f"{path} must hold a mapping such as 'model: outcrop:unet'. Got {type(fields).__name__}.")
    prompts = fields.get("prompts")
    if isinstance(prompts, dict) and isinstance(prompts.get("file"), str):
        fields["prompts"] = {"file": str(path.parent / prompts["file"])}
    return fields


def _relevant(error: ValidationError, fields: dict[str, Any]) -> list[Any]:
    """The prompts are a union: keep only the complaints of the kind that was meant."""
    prompts = fields.get("prompts")
    keys = prompts if isinstance(prompts, dict) else {}
    meant = "PromptFile" if "file" in keys else "PromptList" if "texts" in keys else "PromptGrid"
    others = PROMPT_KINDS - {meant}
    return [problem for problem in error.errors() if not ({*map(str, problem["loc"])} & others)]
