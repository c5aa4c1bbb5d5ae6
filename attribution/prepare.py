"""A study that is ready to run: the model loaded, pairs drawn, sites chosen, every request checked."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from outcrop.attribution.cells import Cell, Grid
from outcrop.attribution.controls import Controls, make_controls
from outcrop.attribution.donations import Donation, open_donation
from outcrop.attribution.edits import Material, Reference, change_of
from outcrop.attribution.heads import HeadChange
from outcrop.attribution.hooks import Action, Edit, Injection, told_modules
from outcrop.attribution.interventions import (
    Ablation,
    ActivationPatch,
    AnyIntervention,
    HeadScaling,
    LatentSwap,
    PromptInjection,
)
from outcrop.attribution.outcomes import SiteInfo, StudyRecord
from outcrop.attribution.pairs import as_sample, draw_pairs
from outcrop.attribution.study import Pair, PairPlan, StudySpec, default_prompts
from outcrop.capture.guidance import PARTS, GuidanceLayout, Part
from outcrop.capture.job import provenance
from outcrop.capture.roles import SELF_ATTENTION, is_attention
from outcrop.capture.sites import Site, select_sites
from outcrop.capture.source import TRIAL_STEPS, DiffusersSource, open_source
from outcrop.data.errors import InputError


@dataclass(frozen=True)
class SiteAction:
    """An intervention at one site, checked."""

    record: AnyIntervention
    site: Site
    window: tuple[int, int]
    parts: frozenset[Part]
    donation: Donation | None = None

    @property
    def needs_donors(self) -> bool:
        if isinstance(self.record, ActivationPatch):
            return self.record.dataset is None
        resampled = isinstance(self.record, Ablation) and self.record.value == "resample"
        return resampled or isinstance(self.record, PromptInjection)

    @property
    def needs_reference(self) -> bool:
        return isinstance(self.record, Ablation) and self.record.value in {"mean", "noise"}


@dataclass(frozen=True)
class ReadyCell:
    """A cell with its actions. ``start`` is the first step that it touches."""

    cell: Cell
    actions: tuple[SiteAction, ...]
    swaps_latent: bool = False

    @property
    def start(self) -> int:
        return 0 if self.swaps_latent else min(action.window[0] for action in self.actions)

    @property
    def needs_donors(self) -> bool:
        return any(action.needs_donors for action in self.actions)


@dataclass(frozen=True)
class Study:
    """What stays the same for every block. ``moments`` is how many steps the part has that is intervened on,
    ``told`` are the modules that are given the prompt.
    """

    spec: StudySpec
    source: DiffusersSource
    sites: tuple[Site, ...]
    pairs: tuple[Pair, ...]
    layout: GuidanceLayout
    guidance: float
    moments: int
    cells: tuple[ReadyCell, ...] = ()
    told: frozenset[str] = frozenset()

    @property
    def model(self) -> nn.Module:
        return self.source.denoiser

    @property
    def twice(self) -> frozenset[str]:
        """Modules that put out a text stream beside the image."""
        return frozenset(site.read_at.module for site in self.sites if site.stream == "text")

    @property
    def parts(self) -> tuple[Part, ...]:
        """Those that there are, in the order in which a capture stores them."""
        return tuple(part for part in PARTS["both"] if part in self.layout.parts)

    def hears(self, site: Site) -> bool:
        """Whether the site's module is given the prompt by an argument of its own; self-attention is not."""
        return site.stream == "image" and site.role not in {SELF_ATTENTION, "skip"} and site.read_at.module in self.told

    def edits(
        self, cell: ReadyCell, group: Sequence[int], rows: tuple[Tensor, Tensor], references: Mapping[str, Reference]
    ) -> list[Edit]:
        """The edits of a cell for the pairs of ``group``: ``rows`` are the receivers' and the donors' of the batch."""
        seeds = [self.pairs[pair].receiver.seed for pair in group]
        made = []
        for action in cell.actions:
            donations = {action.site.name: action.donation.of(group)} if action.donation else {}
            material = Material(seeds, references, donations)
            donors = rows[1] if action.needs_donors else rows[1][:0]
            if isinstance(action.record, Ablation):
                donors = donors.roll(-1)
            made.append(Edit(action.site, self._act(action, material), rows[0], donors, action.window, action.parts))
        return made

    def record(self) -> StudyRecord:
        """What ``outcomes.json`` will say."""
        sites = tuple(
            SiteInfo(name=site.name, role=site.role, depth=site.depth, stream=site.stream, shape=site.shape)
            for site in self.sites
        )
        without = {"cells"} | ({"controls"} if self.spec.controls == Controls() else set())
        spec = self.spec.model_dump(mode="json", exclude=without)
        cells = tuple(ready.cell.info(self.moments) for ready in self.cells)
        told = provenance(self.source)
        content = json.dumps([spec, [cell.model_dump() for cell in cells], told["weights_sha256"]], sort_keys=True)
        return StudyRecord(
            identity=hashlib.sha256(content.encode()).hexdigest(),
            model=self.spec.model,
            steps=self.moments,
            guidance=self.guidance,
            sites=sites,
            cells=cells,
            spec=spec,
            provenance=told,
        )

    def _act(self, action: SiteAction, material: Material) -> Action:
        record = action.record
        if isinstance(record, PromptInjection):
            return Injection(twice=action.site.read_at.module in self.twice and not record.onward)
        if isinstance(record, HeadScaling):
            return HeadChange(record.heads, record.factor)
        if isinstance(record, ActivationPatch) and record.heads is not None:
            return HeadChange(record.heads)
        return change_of(record, action.site, material)


def prepare_study(spec: StudySpec, *, device: str | None = None) -> Study:
    """Check everything that can be wrong with a request; ``device`` runs it where it is not the one of ``spec``.

    Raises :class:`InputError`.
    """
    source = open_source(spec.model, device=device or spec.device, part=spec.part)
    if getattr(source, "one_step", False):
        spec = spec.model_copy(update={"steps": 1, "guidance": 1.0})
    guidance = source.default_guidance if spec.guidance is None else spec.guidance
    pairs = _pairs(spec, source)
    sites = tuple(site for site in source.sites(**spec.size) if not site.inside_attention)
    prompts = list(dict.fromkeys(side.prompt for pair in pairs for side in (pair.donor, pair.receiver)))[:2]
    layout = source.guidance_layout(guidance, prompts, **spec.size)
    moments = source.count_timesteps(spec.steps, **spec.size)
    study = Study(spec, source, sites, pairs, layout, guidance, moments)
    study = replace(study, told=_told(study))
    given = [cell for one in spec.cells for cell in _expanded(study, one)]
    given += make_controls(given, sites, spec.controls, fits=partial(_fits, study))
    cells = tuple(_ready(study, cell) for cell in given)
    ready = replace(study, cells=cells)
    row = torch.zeros(len(pairs), dtype=torch.long)
    for cell in cells:  # shapes that do not fit are told before any picture is made
        ready.edits(cell, range(len(pairs)), (row, row), {})
    return ready


def _pairs(spec: StudySpec, source: DiffusersSource) -> tuple[Pair, ...]:
    told = bool(getattr(source, "takes_prompts", True))
    if not isinstance(spec.pairs, PairPlan):
        if not spec.pairs:
            raise InputError("The study has no pairs: give at least one.")
        return spec.pairs
    if spec.prompts is None and not told:
        raise InputError(f"{spec.model} is not told a prompt: give pairs of seeds, one by one, or prompts as labels.")
    prompts = (spec.prompts or default_prompts(spec.model)).expand()
    share = told if spec.pairs.share_seed is None else spec.pairs.share_seed
    return draw_pairs(prompts, spec.pairs, share_seed=share)


def _told(study: Study) -> frozenset[str]:
    """Looked for where a prompt is to be injected at all."""
    given = [
        record
        for cell in study.spec.cells
        for record in (cell.interventions if isinstance(cell, Cell) else (cell.intervention,))
    ]
    return observe_told(study) if any(isinstance(record, PromptInjection) for record in given) else frozenset()


def observe_told(study: Study) -> frozenset[str]:
    """The modules that are given the prompt, seen in a short run."""
    samples = [as_sample(study.pairs[0].donor), as_sample(study.pairs[0].receiver)]
    steps = min(study.spec.steps, TRIAL_STEPS)
    return told_modules(
        study.model,
        lambda: study.source.generate(samples, steps=steps, guidance=study.guidance, **study.spec.size),
    )


def _expanded(study: Study, given: Cell | Grid) -> list[Cell]:
    if isinstance(given, Cell):
        return [given]
    record = given.intervention
    if isinstance(record, LatentSwap):
        return [Cell(interventions=(record,), control=given.control)]
    chosen = select_sites(study.sites, record.sites)
    if isinstance(record, PromptInjection):
        chosen = [site for site in chosen if study.hears(site)]
    if not chosen and not study.told:
        raise InputError(f"{study.spec.model} is told no prompt that could be replaced: choose another kind.")
    if not chosen:
        raise InputError(
            f"None of the sites {', '.join(record.sites)} is told the prompt: choose attentions or blocks."
        )
    return given.expand([site.name for site in chosen], steps=study.moments)


def _ready(study: Study, cell: Cell) -> ReadyCell:
    swaps = [isinstance(record, LatentSwap) for record in cell.interventions]
    records = [record for record, swap in zip(cell.interventions, swaps, strict=True) if not swap]
    actions = tuple(
        _action(study, record, site) for record in records for site in select_sites(study.sites, record.sites)
    )
    return ReadyCell(cell, actions, swaps_latent=any(swaps))


def _fits(study: Study, record: AnyIntervention, site: Site) -> bool:
    """Whether an intervention can act at another site."""
    row = torch.zeros(len(study.pairs), dtype=torch.long)
    cell = Cell(interventions=(record.model_copy(update={"sites": (site.name,)}),))
    try:
        study.edits(_ready(study, cell), range(len(study.pairs)), (row, row), {})
    except InputError:
        return False
    return True


def _action(study: Study, record: AnyIntervention, site: Site) -> SiteAction:
    last = study.moments - 1
    window = record.window or (0, last)
    if window[1] > last:
        raise InputError(f"window {window} goes beyond the last step, {last}: steps are counted from 0.")
    parts = frozenset(study.layout.parts if record.half == "both" else PARTS[record.half])
    if not parts <= study.layout.parts:
        raise InputError(
            f"half={record.half!r}, but {study.spec.model} is not run without the prompt at guidance {study.guidance}."
        )
    if isinstance(record, PromptInjection) and not study.hears(site):
        raise InputError(f"{site.name} ({site.role}) is not told the prompt: choose an attention or a block with text.")
    heads = getattr(record, "heads", None)
    if heads is not None:
        _check_heads(study.model.get_submodule(site.read_at.module), site, heads)
    if isinstance(record, Ablation) and record.value == "resample" and len(study.pairs) < 2:
        raise InputError("A resample ablation takes another pair's donor: give two pairs at least.")
    return SiteAction(record, site, window, parts, _donation(study, record, site, window, parts))


def _check_heads(module: nn.Module, site: Site, heads: Sequence[int]) -> None:
    if not is_attention(module):
        raise InputError(f"{site.name} ({site.role}) is no attention: it has no heads.")
    count = getattr(module, "heads", None)  # told by diffusers; others are seen to when they run
    if isinstance(count, int) and max(heads) >= count:
        raise InputError(f"{site.name} has heads 0 to {count - 1}. Got {', '.join(map(str, heads))}.")


def _donation(
    study: Study, record: AnyIntervention, site: Site, window: tuple[int, int], parts: frozenset[Part]
) -> Donation | None:
    if not isinstance(record, ActivationPatch) or record.dataset is None:
        return None
    if len(record.samples) != len(study.pairs):
        raise InputError(f"samples must name a donor for each of {len(study.pairs)} pairs. Got {len(record.samples)}.")
    steps = study.source.step_records(study.spec.steps, range(study.moments), **study.spec.size)
    timesteps = [step.timestep for step in steps]
    donation = open_donation(record.dataset, site, record.samples, timesteps=timesteps, parts=parts)
    unrecorded = [step for step in range(window[0], window[1] + 1) if donation.steps[step] < 0]
    if unrecorded:
        raise InputError(f"{record.dataset} does not record step {unrecorded[0]} of the study: record all steps.")
    return donation
