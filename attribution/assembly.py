"""A study as it is put together: which parts it needs, and how these become the study's files."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from outcrop.attribution.blocks import Group, plan_groups
from outcrop.attribution.outcomes import (
    DONORS,
    IMAGES,
    PAIRS,
    RECEIVERS,
    TABLE,
    Outcomes,
    Pictures,
    StudyRecord,
    load_outcomes,
    outcome_table,
    parquet_bytes,
)
from outcrop.attribution.pairs import pair_table
from outcrop.attribution.parts import PartStore, drop_parts, merge, study_folder
from outcrop.attribution.prepare import Study

Piece = tuple[Sequence[int], Pictures]


@dataclass(frozen=True)
class StudyPlan:
    """What a study will write, and the ``groups`` of pairs that it is made in. It holds no model."""

    record: StudyRecord
    pairs: pd.DataFrame
    groups: tuple[Group, ...]

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Pictures by the names of the parts."""
        sizes = {group.name: 2 * len(group.pairs) for group in self.groups}
        return sizes | {b.name: len(b.cells) * len(b.pairs) for group in self.groups for b in group.blocks}

    def lacking(self, store: PartStore) -> list[Group]:
        """The groups of which ``store`` does not have every part."""
        return [group for group in self.groups if any(name not in store for name in _parts(group))]

    def done(self, store: PartStore) -> int:
        """Pictures that ``store`` has."""
        return sum(size for name, size in self.sizes.items() if name in store)

    def in_memory(self, store: PartStore) -> Outcomes:
        """The outcomes of a study whose parts are all in ``store``."""
        arrays = (_gathered(self._pieces(store, name), self._rows(name)) for name in (IMAGES, DONORS, RECEIVERS))
        return Outcomes(self.record, self.pairs, *arrays)

    def on_disk(self, folder: Path, make_parts: Callable[[], None]) -> Outcomes:
        """The outcomes as the files of ``folder``, which this process holds while ``make_parts`` fills its parts.

        Raises :class:`ConflictError` if ``folder`` holds something else, or another process writes to it.
        """
        store = PartStore(folder)
        tables = {PAIRS: parquet_bytes(self.pairs), TABLE: parquet_bytes(outcome_table(self.record.cells, self.pairs))}
        with study_folder(folder, self.record, tables):
            if not (folder / IMAGES).exists():
                make_parts()
                for name in (DONORS, RECEIVERS, IMAGES):
                    merge(folder / name, self._pieces(store, name), count=self._rows(name))
            drop_parts(folder)
        return load_outcomes(folder)

    def _pieces(self, store: PartStore, name: str) -> Iterator[Piece]:
        """The finished pictures of one of the three arrays, each piece with its rows."""
        for group in self.groups:
            if name == IMAGES:
                for block in group.blocks:
                    rows = [cell * len(self.pairs) + pair for cell in block.cells for pair in block.pairs]
                    yield rows, store.read(block.name)
            else:
                both, count = store.read(group.name), len(group.pairs)
                yield group.pairs, both[:count] if name == DONORS else both[count:]

    def _rows(self, name: str) -> int:
        return len(self.pairs) * (len(self.record.cells) if name == IMAGES else 1)


def plan_study(study: Study) -> StudyPlan:
    """How a prepared study is made and written."""
    starts, donors = [cell.start for cell in study.cells], [cell.needs_donors for cell in study.cells]
    groups = plan_groups(starts, donors, pairs=len(study.pairs), batch=study.spec.batch)
    return StudyPlan(study.record(), pair_table(study.pairs), tuple(groups))


def _parts(group: Group) -> list[str]:
    return [group.name, *(block.name for block in group.blocks)]


def _gathered(pieces: Iterator[Piece], count: int) -> Pictures:
    rows, pictures = zip(*pieces, strict=True)
    whole = np.empty((count, *pictures[0].shape[1:]), np.uint8)
    whole[np.concatenate([np.asarray(part) for part in rows])] = np.concatenate(pictures)
    return whole
