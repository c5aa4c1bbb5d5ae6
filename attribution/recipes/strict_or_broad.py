"""Strict or broad synthesis: one study and one index for every family of generators.

Schaerf 2025 (arXiv 2510.17383): in GANs and VAEs one compact latent determines content, style and layout together
(synthesis in a strict sense); diffusion spreads them over layers that specialise (in a broad sense). Two pictures A and
B differ in everything that the generator is given, latent and prompt. Into B's generation the activation of one site is
patched from A's, site by site (the same intervention in all families), and likewise the initial latent; where a layer
is told something from outside (the prompt, a style per layer), it is told A's, layer by layer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from outcrop.attribution.agreement import Agreement, compare_with_probes
from outcrop.attribution.cells import Cell, cut_windows
from outcrop.attribution.contrast import Contrast, contrast
from outcrop.attribution.effect_table import EffectTable
from outcrop.attribution.effects import effects
from outcrop.attribution.interventions import LATENT, ActivationPatch, LatentSwap, PromptInjection
from outcrop.attribution.labour import Labour, division_of_labour
from outcrop.attribution.outcomes import Outcomes
from outcrop.attribution.places import of_role
from outcrop.attribution.prepare import Study, observe_told, prepare_study
from outcrop.attribution.readouts import Classifier, Readout
from outcrop.attribution.recipe import NOT_TESTABLE, Card, Outcome, Verdict
from outcrop.attribution.recipes.recorded import HALVES, record
from outcrop.attribution.recipes.run import Setting
from outcrop.attribution.run import run_study
from outcrop.attribution.scores import asked_classes
from outcrop.attribution.study import Pair, Side, parse_study
from outcrop.capture.sites import Site
from outcrop.capture.source import open_source
from outcrop.data.errors import InputError
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.sweep import probe

PROPERTIES = ("content", "style", "layout")
PATCH, TOLD, WHEN = "activation-patch", "prompt-injection", "when"
WINDOWS = 4
MOMENTS = 4  # recorded for the probes
UNLABELLED = ("a_prompt", "b_prompt", "a_seed", "b_seed")
ALL = 0.8
"""From this effect on the latent alone is said to settle a property; below 1 - ALL it is said not to."""

CARD = Card(
    "strict-or-broad",
    "in GANs and VAEs one compact latent determines content, style and layout together; diffusion spreads them over "
    "layers that specialise",
    "Schaerf 2025, arXiv 2510.17383",
    "tiny models of one synthetic world; every block's output patched, the index of the division of labour over them",
)


@dataclass(frozen=True)
class Family:
    """What was found in one model.

    ``patched``: the index over blocks whose output is patched; ``told``: over the layers that are told something, None
    where there is at most one such layer; ``when``: over windows of steps, None for a single step. ``latent``: per
    property the effect of the initial latent alone. ``obeyed``: the share of the pictures A and B that show what the
    prompt asks for, as the readouts see it; empty where nothing is asked. ``agreement``: what probes decode at the
    blocks beside what patching them causes; None where nothing was recorded.
    """

    model: str
    one_step: bool
    table: EffectTable
    patched: Labour
    told: Labour | None
    when: Labour | None
    latent: dict[str, Contrast]
    obeyed: dict[str, float] = field(default_factory=dict)
    agreement: Agreement | None = None

    def drawn(self) -> dict[str, Labour]:
        """What there is of the three, by a name for readers."""
        found = {"output of each block": self.patched, "each layer told": self.told, "told in each window": self.when}
        return {name: labour for name, labour in found.items() if labour is not None}


def study_cells(sites: Sequence[Site], told: Sequence[str], *, steps: int) -> list[Cell]:
    """The cells of a family: the latent, a patch for each block, each layer in ``told``, and all of them by window."""
    blocks = [site.name for site in of_role(sites, "block", "bottleneck")]
    if not blocks:
        raise InputError("The model has no blocks to patch.")
    cells = [Cell(interventions=(LatentSwap(),), name=LATENT)]
    cells += [Cell(interventions=(ActivationPatch(sites=(name,)),)) for name in blocks]
    cells += [Cell(interventions=(PromptInjection(sites=(name,)),)) for name in told]
    if steps >= WINDOWS and told:
        cells += [
            Cell(interventions=(PromptInjection(sites=tuple(told), window=window),), name=WHEN)
            for window in cut_windows(steps, WINDOWS)
        ]
    return cells


def study_family(
    model: str,
    *,
    readouts: Sequence[Readout],
    setting: Setting,
    out: Path,
    progress: Callable[[int, int], None] | None = None,
) -> Family:
    """Run the study of one family into ``out``; what is there already is used."""
    one_step = bool(getattr(open_source(model, device=setting.device), "one_step", False))
    fields: dict[str, Any] = setting.fields(model, share_seed=False)
    if one_step:
        fields |= {"pairs": latent_pairs(setting), "steps": 1, "guidance": 1.0}
        fields.pop("prompts", None)
    latent = Cell(interventions=(LatentSwap(),), name=LATENT)
    trial = prepare_study(parse_study(fields | {"cells": (latent,)}, where=CARD.name))
    trial = replace(trial, told=observe_told(trial))
    cells = study_cells(trial.sites, told_layers(trial), steps=trial.moments)
    outcomes = run_study(parse_study(fields | {"cells": cells}, where=CARD.name), out / "study", progress=progress)
    shown = replace(outcomes, pairs=outcomes.pairs[list(UNLABELLED)])  # read alike everywhere: by what pictures show
    table = effects(shown, readouts)
    table.save(out)
    family = read_family(model, table, one_step=one_step)
    return replace(
        family, obeyed=obeyed(outcomes, readouts), agreement=decode(family, setting=setting, out=out, progress=progress)
    )


def decode(
    family: Family, *, setting: Setting, out: Path, progress: Callable[[int, int], None] | None = None
) -> Agreement:
    """Record the blocks of the family, probe them for what the prompts ask for, and hold it against the patches."""
    recording = record(
        family.model, setting=setting, out=out / "recording", reduction=HALVES, steps=MOMENTS, progress=progress
    )
    probes = probe(recording, spec=ProbeSpec(properties=PROPERTIES, controls=1), resume=out / "probes")
    probes.save(out / "probes")
    frame = family.table.frame
    patches = frame[(frame["property"] == family.table.properties[0]) & (frame["intervention"] == PATCH)]
    return compare_with_probes(probes, family.table, cells=list(patches["cell"]))


def obeyed(outcomes: Outcomes, readouts: Sequence[Readout]) -> dict[str, float]:
    """Per property the share of the pictures A and B that show what their prompt asks for."""
    found = {}
    for readout in readouts:
        if not isinstance(readout, Classifier):
            continue
        seen = [readout.probabilities(np.asarray(images)) for images in (outcomes.donors, outcomes.receivers)]
        for name, classes in readout.classes.items():
            asked = asked_classes(outcomes.pairs, name, classes)
            if (asked >= 0).all():
                found[name] = float((np.stack([side[name].argmax(1) for side in seen]) == asked).mean())
    return found


def latent_pairs(setting: Setting) -> tuple[Pair, ...]:
    """Pairs of two latents without a prompt."""
    first = setting.seed
    return tuple(
        Pair(donor=Side(prompt="", seed=first + setting.pairs + k), receiver=Side(prompt="", seed=first + k))
        for k in range(setting.pairs)
    )


def told_layers(study: Study) -> list[str]:
    """The layers that are told something from outside: attentions to the prompt, or layers with a style each."""
    found = of_role(study.sites, "cross-attention") or of_role(study.sites, "joint-attention") or list(study.sites)
    return [site.name for site in found if study.hears(site)]


def read_family(model: str, table: EffectTable, *, one_step: bool) -> Family:
    """The indices of a finished study."""
    few = EffectTable(
        table.frame[table.frame["property"].isin(PROPERTIES)],
        {name: table.scores[name] for name in PROPERTIES if name in table.scores},
        table.provenance,
    )
    rows = few.frame[few.frame["property"] == few.properties[0]]
    groups = {
        PATCH: rows[rows["intervention"] == PATCH],
        TOLD: rows[(rows["intervention"] == TOLD) & (rows["site"] != WHEN)],
        WHEN: rows[rows["site"] == WHEN],
    }
    latent = int(rows.loc[rows["site"] == LATENT, "cell"].iloc[0])

    def index(kind: str, over: Any) -> Labour | None:
        cells = list(groups[kind]["cell"])
        return division_of_labour(few, cells=cells, over=over) if len(cells) > 1 else None

    patched = division_of_labour(few, cells=list(groups[PATCH]["cell"]))
    settled = {name: contrast(table, [(name, latent)]) for name in table.properties}
    return Family(model, one_step, table, patched, index(TOLD, "site"), index(WHEN, "window"), settled)


def comparison_table(families: Sequence[Family]) -> pd.DataFrame:
    """One row per family and index: model, what was done, places, index, low, high, and where each property peaks."""
    rows = []
    for family in families:
        for done, labour in family.drawn().items():
            row: dict[str, object] = {"model": family.model, "done": done, "places": labour.profiles.shape[1]}
            row |= {"index": labour.index, "low": labour.low, "high": labour.high}
            for name in labour.properties.index:
                row[f"{name}_top"] = labour.properties.loc[name, "top"] if labour.properties.loc[name, "caused"] else ""
                row[f"{name}_entropy"] = labour.properties.loc[name, "entropy"]
                row[f"{name}_gini"] = labour.properties.loc[name, "gini"]
            rows.append(row)
    return pd.DataFrame(rows)


def conclude(families: Sequence[Family]) -> Verdict:
    """Hold the claim against what was found. Each line of the figures is one part of the claim."""
    rows: list[dict[str, object]] = []
    for family in families:
        for name in PROPERTIES:
            found = family.latent[name]
            settled = family.one_step
            text = f"{family.model}: the initial latent alone {'settles' if settled else 'does not settle'} {name}"
            shown = found.low > ALL if settled else found.high < 1 - ALL
            rows.append(_row(text, found.value, found.low, found.high, shown=shown))
    for broad in [family for family in families if not family.one_step]:
        for strict in [family for family in families if family.one_step]:
            gap = _difference(broad.patched, strict.patched)
            text = f"the layers of {broad.model} specialise more than those of {strict.model}"
            rows.append(_row(text, *gap, shown=gap[1] > 0))
    outcome, reason = _overall(rows, kinds={family.one_step for family in families})
    return Verdict(CARD, ", ".join(family.model for family in families), outcome, reason, pd.DataFrame(rows))


def _overall(rows: Sequence[dict[str, object]], *, kinds: set[bool]) -> tuple[Outcome, str]:
    if len(kinds) < 2:
        return NOT_TESTABLE, "it takes a model of one step and a model of several"
    failed = [str(row["part"]) for row in rows if row["reading"] != "shown"]
    return ("does not hold", f"not shown: {'; '.join(failed)}") if failed else ("holds", "every part of it is shown")


def _difference(one: Labour, other: Labour) -> tuple[float, float, float]:
    """Of the indices of two independent studies, with its interval (Zou and Donner 2008, doi:10.1002/sim.3095)."""
    gap = one.index - other.index
    low = gap - float(np.hypot(one.index - one.low, other.high - other.index))
    high = gap + float(np.hypot(one.high - one.index, other.index - other.low))
    return gap, low, high


def _row(text: str, value: float, low: float, high: float, *, shown: bool) -> dict[str, object]:
    reading = "shown" if shown else "cannot be read" if np.isnan(value) else "not shown"
    return {"part": text, "value": value, "low": low, "high": high, "reading": reading}
