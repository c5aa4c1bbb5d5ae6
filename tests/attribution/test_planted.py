"""A property that enters at one known site and window, in real generators of every family.

The table of effects ranks that site and window first, its interval and q-value say so, and all else is null: the other
sites and windows, another site of the same role, and changes as large in random directions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from outcrop.attribution.bootstrap import Resampling
from outcrop.attribution.controlled import against_controls
from outcrop.attribution.effect_table import EffectTable
from outcrop.attribution.effects import effects
from outcrop.attribution.outcomes import Outcomes
from outcrop.attribution.readouts import FloatArray, Images
from outcrop.attribution.run import run_study
from outcrop.attribution.study import StudySpec

STYLES, SHAPES = ("flat", "neon", "dotted"), ("disc", "star")
QUICK = Resampling(resamples=300)
DIRECTIONS = 3
Window = tuple[int, int]
NewStudy = Callable[..., StudySpec]
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:diffusers"),
    pytest.mark.filterwarnings("ignore::FutureWarning:transformers"),
]


@dataclass(frozen=True)
class Plant:
    """Where the style enters: ``site``, and ``window`` of a model of several steps.

    ``heard`` are sites that may be told the donor's prompt. ``patched`` are sites that hold nothing but what they add
    themselves; left out, every later site holds what came before, so that the planted one alone is patched.
    """

    site: str
    window: Window | None = None
    heard: tuple[str, ...] = ()
    patched: tuple[str, ...] = ()

    @property
    def cells(self) -> list[dict[str, Any]]:
        windows: Any = [(0, 0), (1, 2)] if self.window else 1
        own = [self.window] if self.window and not self.patched else windows
        patch = {"kind": "activation-patch", "sites": self.patched or [self.site]}
        made = [{"intervention": patch, "windows": own}]
        if self.heard:
            made.append({"intervention": {"kind": "prompt-injection", "sites": self.heard}, "windows": windows})
        return made


PLANTS = {
    "unet": Plant("up_blocks.0.attentions.1.transformer_blocks.0.attn2", (1, 2), ("*attn2",), ("up_blocks.*attn2",)),
    "dit": Plant("transformer_blocks.0.attn2", (0, 0), ("*attn2",), ("*attn2",)),
    "mmdit": Plant("transformer_blocks.0", (1, 2), ("transformer_blocks.?",)),
    "flux": Plant("single_transformer_blocks.0", (0, 0), ("*transformer_blocks.?",)),
    "gan": Plant("layers.3", None, ("layers.?", "to_latent")),
    "vae": Plant("blocks.1", patched=("blocks.?",)),
}


Found = tuple[Plant, Outcomes, EffectTable]


class NearestMean:
    """Reads the style off a picture: which of the styles' mean pictures, of the same seeds, is nearest."""

    classes: Mapping[str, tuple[str, ...]] = MappingProxyType({"style": STYLES})

    def __init__(self, images: Images, styles: Sequence[str]) -> None:
        self._means = np.stack([images[np.array(styles) == style].mean(0, dtype=np.float64) for style in STYLES])

    def probabilities(self, images: Images) -> dict[str, FloatArray]:
        nearest = ((images[:, None] - self._means) ** 2).sum((2, 3, 4)).argmin(1)
        return {"style": np.where(nearest[:, None] == np.arange(len(STYLES)), 0.98, 0.01)}


def pairs_of_styles() -> list[dict[str, Any]]:
    """Every style to every other, on each shape; a seed has every style as often, as donor and as receiver."""
    pairs = []
    for seed, shape in enumerate(SHAPES):
        for own, other in permutations(STYLES, 2):
            sides = {"receiver": own, "donor": other}
            pairs.append(
                {
                    side: {"prompt": f"a {style} {shape}", "seed": seed, "labels": {"style": style}}
                    for side, style in sides.items()
                }
            )
    return pairs


@pytest.fixture(scope="module", params=PLANTS)
def found(request: pytest.FixtureRequest, new_study: NewStudy) -> Found:
    family = str(request.param)
    plant = PLANTS[family]
    size = {"height": 16, "width": 16} if plant.window else {}
    controls = {"sites": 1, "directions": DIRECTIONS}
    spec = new_study(f"planted_{family}", plant.cells, pairs=pairs_of_styles(), controls=controls, batch=96, **size)
    outcomes = run_study(spec)
    asked = [*outcomes.pairs["a_style"], *outcomes.pairs["b_style"]]
    reader = NearestMean(np.concatenate([outcomes.donors, outcomes.receivers]), asked)
    return plant, outcomes, effects(outcomes, [reader], resampling=QUICK)


def is_planted(plant: Plant, rows: pd.DataFrame) -> pd.Series:
    window = "{}-{}".format(*plant.window or (0, 0))
    return (rows["site"] == plant.site) & (rows["window"] == window)


def test_the_planted_place_ranks_first_and_all_others_are_null(found: Found) -> None:
    plant, outcomes, table = found
    tested = table.frame[table.frame["control"] == "none"]
    assert set(tested["n"]) == {len(outcomes.pairs)}
    for kind, rows in tested.groupby("intervention"):
        here = is_planted(plant, rows)
        assert here.sum() == 1
        first, others = rows[here].iloc[0], rows[~here]
        assert first["effect"] > 0.99
        assert first["low"] > 0.99
        moved = table.frame[(table.frame["control"] == "random-site") & (table.frame["intervention"] == kind)]
        if (moved[is_planted(plant, moved)]["effect"] > 0.99).all():  # a later block holds the property, too
            assert kind == "activation-patch"
            assert not plant.patched
            assert first["q_value"] == 1
        else:
            assert first["q_value"] <= 0.05
        assert (others["effect"].abs() < 0.01).all()
        assert ((others["low"] <= 0) & (others["high"] >= 0)).all()
        assert (others["q_value"] > 0.05).all()


def test_a_random_direction_and_another_site_do_not_carry_the_property(found: Found) -> None:
    plant, outcomes, table = found
    reached = [str(cell.interventions[0]["sites"][0]) for cell in outcomes.record.cells]
    frame = table.frame.assign(reached=[reached[cell] for cell in table.frame["cell"]])
    turned = frame[frame["control"] == "random-direction"]
    assert is_planted(plant, turned).sum() == DIRECTIONS
    assert (turned["low"] <= 0.01).all()
    assert (turned["p_value"] > 0.05).all()
    alone = (frame["intervention"] == "prompt-injection") | bool(plant.patched)
    moved = frame[(frame["control"] == "random-site") & alone & (frame["reached"] != plant.site)]
    assert is_planted(plant, moved).any()
    assert (moved["effect"].abs() < 0.01).all()


def test_the_planted_place_alone_beats_its_controls(found: Found) -> None:
    plant, _, table = found
    for kind in ("random-direction", "random-site") if plant.patched else ("random-direction",):
        taken = against_controls(table, kind)
        here = is_planted(plant, taken)
        assert (taken[here]["over_low"] > 0.5).all()
        assert (taken[here]["q_value"] <= 0.05).all()
        assert (taken[~here]["over_high"] <= 0.01).all()
        spread = taken[here & (taken["intervention"] == "activation-patch")]
        assert (spread["control_low"] <= 0).all()
        assert (spread["control_high"] < 0.5).all()
