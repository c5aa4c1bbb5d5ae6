"""What to study: one specification, the same from YAML, from flags and from Python, stored with the outcomes."""

from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Discriminator, Field, SerializerFunctionWrapHandler, Tag, ValidationError, model_serializer

from outcrop.attribution.cells import Cell, Grid
from outcrop.attribution.controls import Controls
from outcrop.attribution.interventions import KINDS
from outcrop.capture.models import SCHEME
from outcrop.capture.prompts import PromptFile, PromptGrid, PromptList
from outcrop.capture.spec import PROMPT_KINDS
from outcrop.data.errors import InputError
from outcrop.data.faults import fault_lines
from outcrop.data.samples import LabelValue
from outcrop.data.schema import Record

MOST_PAIRS = 10_000
"""Of one study: its pictures are held and tabled together. Others go into studies of their own, with other seeds."""


class PairPlan(Record):
    """``count`` pairs of prompts that differ in every label of ``differ`` (all labels, if left out), and no other.

    ``donor``: labels that every donor has, as ``{"style": "neon"}`` where a study asks what leads towards them.
    Donor and receiver are worded alike where the prompts allow it, and share the seed, so that the initial latent is
    the same; ``share_seed=False`` gives each its own (left out: shared where the model is told the prompt). ``seed``
    draws the pairs, ``first_seed`` is the first pair's.
    """

    count: int = Field(default=60, ge=1, le=MOST_PAIRS)
    differ: tuple[str, ...] = ()
    donor: dict[str, LabelValue] = Field(default_factory=dict)
    share_seed: bool | None = None
    seed: int = Field(default=0, ge=0)
    first_seed: int = Field(default=0, ge=0)

    @model_serializer(mode="wrap")
    def _leave_out_default(self, inner: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A study that asks for no donors is the one that it was before they could be asked for."""
        fields: dict[str, Any] = inner(self)
        return {name: value for name, value in fields.items() if name != "donor" or value}


class Side(Record):
    """One of a pair: a prompt, its seed and its labels."""

    prompt: str
    seed: int = Field(ge=0)
    negative_prompt: str = ""
    labels: dict[str, LabelValue] = Field(default_factory=dict)


class Pair(Record):
    """A donor and a receiver."""

    donor: Side
    receiver: Side


def _cell_tag(value: object) -> str:
    single = isinstance(value, Cell) or (isinstance(value, dict) and "interventions" in value)
    return "cell" if single else "grid"


def _pairs_tag(value: object) -> str:
    return "plan" if isinstance(value, dict | PairPlan) else "list"


AnyCell = Annotated[Annotated[Cell, Tag("cell")] | Annotated[Grid, Tag("grid")], Discriminator(_cell_tag)]
AnyPairs = Annotated[
    Annotated[PairPlan, Tag("plan")] | Annotated[tuple[Pair, ...], Tag("list")], Discriminator(_pairs_tag)
]


class StudySpec(Record):
    """Everything that decides the outcomes.

    ``pairs`` are drawn from ``prompts`` by a plan, or given one by one. ``prompts`` may be left out for the shipped
    models: then they are the demo's. ``controls`` are made for every cell beside those given. ``batch`` is how many
    pictures are made at once. ``steps``, ``guidance``, ``height``, ``width``, ``part`` and ``device`` are those of a
    capture.
    """

    model: str
    cells: tuple[AnyCell, ...] = Field(min_length=1)
    pairs: AnyPairs = PairPlan()
    prompts: PromptGrid | PromptFile | PromptList | None = None
    controls: Controls = Controls()
    part: str = "denoiser"
    steps: int = Field(default=20, ge=1)
    guidance: float | None = Field(default=None, ge=0)
    height: int | None = Field(default=None, ge=8)
    width: int | None = Field(default=None, ge=8)
    batch: int = Field(default=48, ge=2)
    device: str = "cpu"

    @property
    def size(self) -> dict[str, int]:
        """Height and width of the pictures, where they are asked for."""
        wanted = {"height": self.height, "width": self.width}
        return {name: value for name, value in wanted.items() if value is not None}


RECORDS: tuple[type[Record], ...] = (StudySpec, PairPlan, Cell, Grid, Side, *KINDS.values())
INNER = frozenset({"cell", "grid", "plan", "list", "int", *KINDS, *PROMPT_KINDS})
"""Names that pydantic gives to the branches of unions."""


def parse_study(fields: dict[str, Any], *, where: str) -> StudySpec:
    """A specification from plain data. Raises :class:`InputError` naming every field that is wrong."""
    try:
        return StudySpec.model_validate(fields)
    except ValidationError as error:
        known = {name for record in RECORDS for name in record.model_fields}
        lines = fault_lines(error.errors(), inner=INNER, keys=sorted(known))
        raise InputError(f"The study in {where} is not valid:\n" + "\n".join(lines)) from error


def default_prompts(model: str) -> PromptGrid:
    """The demo's prompts, which the shipped models know, in all wordings. Raises :class:`InputError` for others."""
    if not model.startswith(SCHEME):
        raise InputError(f"{model} needs prompts: give a file, a list or a grid, with labels that say what differs.")
    return PromptGrid.model_validate(_demo()["prompts"] | {"wording": "cross"})


def default_guidance(model: str) -> float | None:
    """The demo's guidance, at which the shipped models obey their prompts; None (the pipeline's own) for others."""
    return float(_demo()["guidance"]) if model.startswith(SCHEME) else None


def _demo() -> dict[str, Any]:
    config = Path(str(resources.files("outcrop.zoo"))) / "demo.yaml"
    found: dict[str, Any] = yaml.safe_load(config.read_text())
    return found
