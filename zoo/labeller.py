"""The shipped oracles as labellers: what a picture of the scene world shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from outcrop.data.errors import InputError
from outcrop.data.label_writer import provenance
from outcrop.data.labellers import Pixels, Reading
from outcrop.zoo.oracle import PAIR_WEIGHTS, WEIGHTS, Oracle, load_oracle, load_pair_oracle


@dataclass(frozen=True)
class OracleLabeller:
    """content, style, layout and colour of pictures of one object, or axis, near, far, style and colour of two.

    A class whose probability is below ``least`` counts as unknown.
    """

    scene: Literal["one", "pair"] = "one"
    least: float = 0.0
    name: str = field(default="oracle", init=False)

    @cached_property
    def _oracle(self) -> Oracle:
        return load_oracle() if self.scene == "one" else load_pair_oracle()

    @property
    def provenance(self) -> Mapping[str, Any]:
        import hashlib

        weights = WEIGHTS if self.scene == "one" else PAIR_WEIGHTS
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        return provenance("oracle", "torch", scene=self.scene, least=self.least, weights_sha256=digest)

    def label(self, pixels: Pixels) -> Mapping[str, Reading]:
        if pixels.shape[1:] != (64, 64, 3):
            raise InputError(f"The oracle reads pictures of 64 x 64 pixels. Got {pixels.shape[2]} x {pixels.shape[1]}.")
        found = self._oracle.read(pixels.astype(np.float32) / 255)
        return {
            name: Reading(np.where(confidence >= self.least, names, "").astype(object))
            for name, (names, confidence) in found.items()
        }
