"""The vocabulary of interventions: frozen records that go to JSON and back, the same for every architecture.

Each names its sites (names, globs, roles or groups, as in a capture), a window of steps, and the half of guidance that
it writes. Several in one cell act in their order. What they do to tensors: :mod:`outcrop.attribution.edits`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
    model_validator,
)

from outcrop.data.errors import InputError
from outcrop.data.schema import Record

Half = Literal["cond", "uncond", "both"]
Window = tuple[int, int]
Vector = tuple[float, ...]
Matrix = tuple[Vector, ...]
LATENT = "latent"
"""The name that stands for the initial latent among sites."""


class Intervention(Record):
    """Where and when. ``window`` is the first and last step, both included and counted from 0 (left out: all steps)."""

    sites: tuple[str, ...] = Field(min_length=1)
    window: Window | None = None
    half: Half = "both"

    @model_validator(mode="after")
    def _check_window(self) -> "Intervention":
        if self.window is not None and not 0 <= self.window[0] <= self.window[1]:
            raise InputError(f"window must be a first and a last step, 0 <= first <= last. Got {self.window}.")
        return self

    @property
    def strength(self) -> float | None:
        """The dose or factor, where there is one."""
        return None

    def scaled(self, strength: float) -> "Intervention":  # noqa: ARG002  # for the kinds that have one
        """The same at another dose or factor. Raises :class:`InputError` for a kind that has none."""
        raise InputError(f"{type(self).__name__} has no dose: only Steering and HeadScaling have.")


class Written(Intervention):
    """One that writes a site's activation.

    ``turned`` makes a control of it: the change is turned by a random rotation of the channels, drawn with this seed,
    so that it is as large at every position and goes in a direction that means nothing.
    """

    turned: int | None = Field(default=None, ge=0)

    @model_serializer(mode="wrap")
    def _leave_out_default(self, inner: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = inner(self)
        return {name: value for name, value in fields.items() if name != "turned" or value is not None}


class PromptInjection(Intervention):
    """The site hears the donor's prompt, all others the receiver's.

    In cross-attention the text that the module is given is overwritten. Where a module changes the text too (joint
    attention), it runs twice, with either text: the image takes the donor's, the text stream that goes on is the
    receiver's own; with ``onward`` it runs once and the donor's text goes on to the later sites. A generator with a
    style per layer is given the donor's style there (style mixing, Karras et al. 2019).
    """

    kind: Literal["prompt-injection"] = "prompt-injection"
    onward: bool = False


class ActivationPatch(Written):
    """The site's activation is the donor's: the whole, or only what is named.

    ``region`` (top, left, bottom, right), as shares of the height and width from 0 to 1, of a map; ``tokens`` of a
    sequence, by index; ``heads`` of an attention, by index; ``subspace`` (k, channels), whose rows span the directions
    in which the donor's activation replaces the receiver's (interchange, Geiger et al. 2024, arXiv:2303.02536).
    ``dataset`` is the folder of a capture with ``reduction: full`` that donors come from instead of a second pass:
    one of ``samples`` a pair, by id, in the pairs' order.
    """

    kind: Literal["activation-patch"] = "activation-patch"
    region: tuple[float, float, float, float] | None = None
    tokens: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None
    subspace: Matrix | None = None
    dataset: str | None = None
    samples: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> "ActivationPatch":
        if self.region is not None:
            top, left, bottom, right = self.region
            if not (0 <= top < bottom <= 1 and 0 <= left < right <= 1):
                raise InputError(f"region must be top, left, bottom, right within 0 to 1. Got {self.region}.")
        if sum(part is not None for part in (self.region, self.tokens, self.heads)) > 1:
            raise InputError("An activation patch takes one of region, tokens and heads. Use several patches.")
        if self.heads is not None and (self.subspace is not None or self.dataset is not None):
            raise InputError("A patch of heads takes neither subspace nor dataset: heads are no recorded sites.")
        if self.heads is not None and self.turned is not None:
            raise InputError("A patch of heads cannot be turned: leave out turned, or patch the attention's output.")
        if bool(self.dataset) != bool(self.samples):
            raise InputError(
                "A patch from a data set needs both dataset (a folder) and samples (an id for every pair)."
            )
        return self


class Ablation(Written):
    """The site's activation is taken away.

    ``zero``; ``mean`` over all donors and receivers, per position and step; ``noise``: Gaussian, of the same mean and
    standard deviation; ``resample``: that of another pair's donor (Chan et al. 2022, causal scrubbing).
    """

    kind: Literal["ablation"] = "ablation"
    value: Literal["zero", "mean", "noise", "resample"] = "mean"


class Steering(Written):
    """``dose`` times ``direction`` is added.

    ``direction`` has a value a channel, added at every position; or k x k values a channel (channel, row, column), as
    probes of ``grid:k`` features have, spread over the map.
    """

    kind: Literal["steering"] = "steering"
    direction: Vector = Field(min_length=1)
    dose: float = 1.0

    @property
    def strength(self) -> float:
        return self.dose

    def scaled(self, strength: float) -> "Steering":
        return self.model_copy(update={"dose": strength})


class Erasure(Written):
    """A property is erased at every position: x - ``away`` ``into`` (x - ``mean``), the fields of
    :class:`outcrop.probes.erasure.Eraser` (LEACE, Belrose et al. 2023, arXiv:2306.03819).
    """

    kind: Literal["erasure"] = "erasure"
    mean: Vector
    into: Matrix
    away: Matrix

    @classmethod
    def of(cls, eraser: Any, sites: Sequence[str], **fields: Any) -> "Erasure":
        """From an eraser that was fitted on features with a value a channel."""
        arrays = {name: getattr(eraser, name).tolist() for name in ("mean", "into", "away")}
        return cls.model_validate({"sites": tuple(sites), **arrays, **fields})

    @model_validator(mode="after")
    def _check(self) -> "Erasure":
        width, rank = len(self.mean), len(self.into)
        if any(len(row) != width for row in self.into) or [len(row) for row in self.away] != [rank] * width:
            raise InputError(f"An erasure of mean ({width},) needs into ({rank}, {width}) and away ({width}, {rank}).")
        return self


class HeadScaling(Intervention):
    """What the named ``heads`` of an attention put out, before they are mixed, is multiplied by ``factor``."""

    kind: Literal["head-scaling"] = "head-scaling"
    heads: tuple[int, ...] = Field(min_length=1)
    factor: float = 0.0

    @property
    def strength(self) -> float:
        return self.factor

    def scaled(self, strength: float) -> "HeadScaling":
        return self.model_copy(update={"factor": strength})


class LatentSwap(Intervention):
    """The receiver's prompt on the donor's initial latent (and whatever noise its seed draws later)."""

    kind: Literal["latent-swap"] = "latent-swap"
    sites: tuple[str, ...] = (LATENT,)


AnyIntervention = Annotated[
    PromptInjection | ActivationPatch | Ablation | Steering | Erasure | HeadScaling | LatentSwap,
    Field(discriminator="kind"),
]
KINDS: Mapping[str, type[Intervention]] = {
    kind.model_fields["kind"].default: kind
    for kind in (PromptInjection, ActivationPatch, Ablation, Steering, Erasure, HeadScaling, LatentSwap)
}
_ADAPTER: TypeAdapter[AnyIntervention] = TypeAdapter(AnyIntervention)


def to_json(intervention: AnyIntervention) -> str:
    """One line of JSON, which :func:`from_json` reads."""
    return intervention.model_dump_json()


def from_json(text: str) -> AnyIntervention:
    """Raises :class:`InputError` for anything that is no intervention."""
    try:
        return _ADAPTER.validate_python(json.loads(text))
    except (ValueError, ValidationError) as error:
        raise InputError(f"This is no intervention: {error}") from error
