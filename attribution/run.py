"""Running a study: for every group of pairs the donors and receivers, then block by block the interventions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn

from outcrop.attribution.blocks import Block, Group, plan_groups
from outcrop.attribution.edits import Reference
from outcrop.attribution.hooks import Edit, Intervened
from outcrop.attribution.outcomes import (
    DONORS,
    IMAGES,
    PAIRS,
    RECEIVERS,
    TABLE,
    Outcomes,
    Pictures,
    load_outcomes,
    outcome_table,
    parquet_bytes,
)
from outcrop.attribution.pairs import as_sample, pair_table
from outcrop.attribution.parts import PartStore, drop_parts, merge, study_folder
from outcrop.attribution.prepare import Study, prepare_study
from outcrop.attribution.references import collect_references
from outcrop.attribution.restart import OutputTape, replayed
from outcrop.attribution.study import StudySpec
from outcrop.data.samples import Sample

Progress = Callable[[int, int], None]
"""Called with the pictures made and planned."""
Piece = tuple[Sequence[int], Pictures]


def run_study(spec: StudySpec, out: str | Path | None = None, *, progress: Progress | None = None) -> Outcomes:
    """Every cell of ``spec`` for every pair; on disk in the folder ``out``, or in memory if it is left out.

    What a killed run has finished is kept: the same call goes on there. Raises :class:`InputError` before any picture
    is made for a request that cannot work, and :class:`ConflictError` if ``out`` holds something else.
    """
    study = prepare_study(spec)
    return execute(study, None if out is None else Path(out), progress=progress)


def execute(study: Study, folder: Path | None, *, progress: Progress | None = None) -> Outcomes:
    """:func:`run_study` for a study that is prepared."""
    record, pairs = study.record(), pair_table(study.pairs)
    runner = Runner(study, PartStore(folder))
    if folder is None:
        runner.run(progress or _silent)
        arrays = {name: _gathered(runner.pieces(name), runner.count(name)) for name in (IMAGES, DONORS, RECEIVERS)}
        return Outcomes(record, pairs, arrays[IMAGES], arrays[DONORS], arrays[RECEIVERS])
    tables = {PAIRS: parquet_bytes(pairs), TABLE: parquet_bytes(outcome_table(record.cells, pairs))}
    with study_folder(folder, record, tables):
        if not (folder / IMAGES).exists():
            runner.run(progress or _silent)
            for name in (DONORS, RECEIVERS, IMAGES):
                merge(folder / name, runner.pieces(name), count=runner.count(name))
        drop_parts(folder)
    return load_outcomes(folder)


class Runner:
    """Makes what a store of blocks lacks."""

    def __init__(self, study: Study, store: PartStore) -> None:
        self.study, self._store = study, store
        self.groups = plan_groups(
            [cell.start for cell in study.cells],
            [cell.needs_donors for cell in study.cells],
            pairs=len(study.pairs),
            batch=study.spec.batch,
        )

    def run(self, progress: Progress) -> None:
        """Make every block that is not there yet."""
        sizes = {block.name: len(block.cells) * len(block.pairs) for group in self.groups for block in group.blocks}
        sizes |= {group.name: 2 * len(group.pairs) for group in self.groups}
        planned = sum(sizes.values())
        done = sum(size for name, size in sizes.items() if name in self._store)
        progress(done, planned)
        for group in self.groups:
            todo = [block for block in group.blocks if block.name not in self._store]
            fresh = group.name not in self._store
            tape = self._base(group, needed=any(self._replays(block) for block in todo))
            done += fresh * sizes[group.name]
            progress(done, planned)
            for block in todo:
                self._store.write(block.name, self.make(block, tape))
                done += sizes[block.name]
                progress(done, planned)

    def pieces(self, name: str) -> Iterator[Piece]:
        """The finished pictures of one of the three arrays, each piece with its rows."""
        total = len(self.study.pairs)
        for group in self.groups:
            if name == IMAGES:
                for block in group.blocks:
                    rows = [cell * total + pair for cell in block.cells for pair in block.pairs]
                    yield rows, self._store.read(block.name)
            else:
                both, count = self._store.read(group.name), len(group.pairs)
                yield group.pairs, both[:count] if name == DONORS else both[count:]

    def count(self, name: str) -> int:
        """How many rows one of the three arrays has."""
        return len(self.study.pairs) * (len(self.study.cells) if name == IMAGES else 1)

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
        if group.name in self._store and not needed:
            return None
        pictures, tape = self.base(group, taped=needed)
        if group.name not in self._store:
            self._store.write(group.name, pictures)
        return tape

    def _generate(self, samples: Sequence[Sample]) -> Pictures:
        spec = self.study.spec
        return self.study.source.generate(samples, steps=spec.steps, guidance=self.study.guidance, **spec.size)


def _gathered(pieces: Iterator[Piece], count: int) -> Pictures:
    rows, pictures = zip(*pieces, strict=True)
    whole = np.empty((count, *pictures[0].shape[1:]), np.uint8)
    whole[np.concatenate([np.asarray(part) for part in rows])] = np.concatenate(pictures)
    return whole


def _silent(_done: int, _planned: int) -> None:
    return
