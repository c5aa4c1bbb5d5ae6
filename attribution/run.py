"""Running a study: for every group of pairs the donors and receivers, then block by block the interventions."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from outcrop.attribution.assembly import plan_study
from outcrop.attribution.blocks import Block, Group
from outcrop.attribution.edits import Reference
from outcrop.attribution.hooks import Edit, Intervened
from outcrop.attribution.outcomes import Outcomes, Pictures
from outcrop.attribution.pairs import as_sample
from outcrop.attribution.parts import PartStore
from outcrop.attribution.prepare import Study, prepare_study
from outcrop.attribution.references import collect_references
from outcrop.attribution.restart import OutputTape, replayed
from outcrop.attribution.study import StudySpec
from outcrop.data.samples import Sample

Progress = Callable[[int, int], None]
"""Called with the pictures made and planned."""
Made = Callable[[int], None]
"""Called with the pictures of each part that was made."""


def run_study(spec: StudySpec, out: str | Path | None = None, *, progress: Progress | None = None) -> Outcomes:
    """Every cell of ``spec`` for every pair; on disk in the folder ``out``, or in memory if it is left out.

    What a killed run has finished is kept: the same call goes on there. Raises :class:`InputError` before any picture
    is made for a request that cannot work, and :class:`ConflictError` if ``out`` holds something else.
    """
    study = prepare_study(spec)
    return execute(study, None if out is None else Path(out), progress=progress)


def execute(study: Study, folder: Path | None, *, progress: Progress | None = None) -> Outcomes:
    """:func:`run_study` for a study that is prepared."""
    runner = Runner(study, PartStore(folder))
    if folder is None:
        runner.run(progress or _silent)
        return runner.plan.in_memory(runner.store)
    return runner.plan.on_disk(folder, lambda: runner.run(progress or _silent))


class Runner:
    """Makes what a store of parts lacks."""

    def __init__(self, study: Study, store: PartStore) -> None:
        self.study, self.store, self.plan = study, store, plan_study(study)

    @property
    def groups(self) -> tuple[Group, ...]:
        return self.plan.groups

    def run(self, progress: Progress) -> None:
        """Make every part that is not there yet."""
        planned, done = sum(self.plan.sizes.values()), self.plan.done(self.store)
        progress(done, planned)

        def count(fresh: int) -> None:
            nonlocal done
            done += fresh
            progress(done, planned)

        for group in self.plan.lacking(self.store):
            self.run_group(group, count)

    def run_group(self, group: Group, made: Made) -> None:
        """Make the parts of ``group`` that are not there yet."""
        todo = [block for block in group.blocks if block.name not in self.store]
        fresh = group.name not in self.store
        tape = self._base(group, needed=any(self._replays(block) for block in todo))
        if fresh:
            made(self.plan.sizes[group.name])
        for block in todo:
            self.store.write(block.name, self.make(block, tape))
            made(self.plan.sizes[block.name])

    def base(self, group: Group, *, taped: bool) -> tuple[Pictures, OutputTape | None]:
        """Pictures of the donors and then the receivers of a group, and what the network put out for them."""
        pairs = [self.study.pairs[pair] for pair in group.pairs]
        samples = [as_sample(pair.donor) for pair in pairs] + [as_sample(pair.receiver) for pair in pairs]
        if not taped or self._network is None:
            return self._generate(samples), None
        with OutputTape(self._network, samples=len(samples)) as tape:
            return self._generate(samples), tape

    def make(self, block: Block, tape: OutputTape | None) -> Pictures:
        """The pictures C of a block, cell by cell."""
        study, count = self.study, len(block.pairs)
        pairs = [study.pairs[pair] for pair in block.pairs]
        samples = [as_sample(pair.donor) for pair in pairs] if block.donors else []
        taped = list(range(count)) if block.donors else []
        edits: list[Edit] = []
        for index in block.cells:
            cell, first = study.cells[index], len(samples)
            rows = torch.arange(first, first + count), torch.arange(count)
            edits += study.edits(cell, block.pairs, rows, self._references)
            seeds = [pair.donor.seed if cell.swaps_latent else None for pair in pairs]
            samples += [as_sample(pair.receiver, seed=seed) for pair, seed in zip(pairs, seeds, strict=True)]
            taped += list(range(count, 2 * count))
        with ExitStack() as stack:
            if tape is not None and self._network is not None and self._replays(block):
                stack.enter_context(replayed(self._network, tape, taped, until=self._replayed_calls(block, tape)))
            stack.enter_context(Intervened(study.model, edits, layout=study.layout, samples=len(samples)))
            return self._generate(samples)[len(samples) - count * len(block.cells) :]

    @cached_property
    def _references(self) -> Mapping[str, Reference]:
        return collect_references(self.study)

    @cached_property
    def _network(self) -> nn.Module | None:
        """The network whose outputs can be replayed; none for a model of one step, and for texts."""
        if self.study.spec.part == "vae":
            return self.study.source.network
        return self.study.model if self.study.moments > 1 else None

    def _replays(self, block: Block) -> bool:
        if self.study.spec.part == "vae":
            return not any(self.study.cells[cell].swaps_latent for cell in block.cells)
        return block.start > 0

    def _replayed_calls(self, block: Block, tape: OutputTape) -> int:
        return len(tape) if self.study.spec.part == "vae" else block.start * len(self.study.layout.calls)

    def _base(self, group: Group, *, needed: bool) -> OutputTape | None:
        if group.name in self.store and not needed:
            return None
        pictures, tape = self.base(group, taped=needed)
        if group.name not in self.store:
            self.store.write(group.name, pictures)
        return tape

    def _generate(self, samples: Sequence[Sample]) -> Pictures:
        spec = self.study.spec
        return self.study.source.generate(samples, steps=spec.steps, guidance=self.study.guidance, **spec.size)


def _silent(_done: int, _planned: int) -> None:
    return
