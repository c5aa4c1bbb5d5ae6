"""Which rows of which call of a denoiser are conditional: the bookkeeping of classifier-free guidance.

Guidance (Ho & Salimans 2022) needs a prediction with the prompt and one without. Pipelines get the two from one call
with a doubled batch, in either order, or from two calls, in either order.
"""

from dataclasses import dataclass
from typing import Literal

Half = Literal["cond", "uncond", "both"]
Part = Literal["cond", "uncond"]
PARTS: dict[Half, tuple[Part, ...]] = {"cond": ("cond",), "uncond": ("uncond",), "both": ("uncond", "cond")}


@dataclass(frozen=True)
class GuidanceLayout:
    """For every call of one step the parts of its batch: ``(("uncond", "cond"),)`` is one call with a doubled batch,
    ``(("cond",), ("uncond",))`` are two calls. In a doubled batch the rows of a part are neighbours, in the samples'
    order.
    """

    calls: tuple[tuple[Part, ...], ...]

    def parts_of(self, call: int) -> tuple[Part, ...]:
        """The parts in the batch of the ``call``-th call, counted from the start of the run."""
        return self.calls[call % len(self.calls)]

    def step_of(self, call: int) -> int:
        return call // len(self.calls)

    @property
    def parts(self) -> frozenset[Part]:
        """The parts that there are at all."""
        return frozenset(part for call in self.calls for part in call)


UNGUIDED = GuidanceLayout((("cond",),))
DOUBLED = GuidanceLayout((("uncond", "cond"),))
TWICE = GuidanceLayout((("cond",), ("uncond",)))
