"""How a study is cut: groups of pairs, and for each group blocks of cells that are made in one batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

OVERHEAD = 6
"""What a batch costs beside its rows, in rows: a guess that only sets how groups are cut."""


@dataclass(frozen=True)
class Block:
    """Cells with one ``start``, for the pairs of one group. ``donors`` says whether the donors are in the batch."""

    name: str
    pairs: tuple[int, ...]
    cells: tuple[int, ...]
    start: int
    donors: bool

    @property
    def rows(self) -> int:
        return len(self.pairs) * (len(self.cells) + self.donors)


@dataclass(frozen=True)
class Group:
    """Neighbouring pairs, and their blocks."""

    name: str
    pairs: tuple[int, ...]
    blocks: tuple[Block, ...]


def plan_groups(starts: Sequence[int], donors: Sequence[bool], *, pairs: int, batch: int) -> list[Group]:
    """Cut a study of cells with the given ``starts`` (and need of ``donors``) and of ``pairs`` into batches.

    A batch holds ``batch`` rows at most (more only where two pairs with one cell are more already). The cut depends on
    nothing else, so that a study goes on where it stopped.
    """
    kinds = sorted({*zip(starts, donors, strict=True)})
    members = {
        kind: [cell for cell, own in enumerate(zip(starts, donors, strict=True)) if own == kind] for kind in kinds
    }
    options = range(min(2, pairs), max(2, min(pairs, batch // 2)) + 1)
    size = min(options, key=lambda size: _cost(size, members, pairs=pairs, batch=batch))
    groups = []
    for index, chosen in enumerate(_cut(pairs, max(1, pairs // size))):
        blocks: list[Block] = []
        for (start, needed), cells in members.items():
            room = max(1, batch // len(chosen) - needed)
            for part in _cut(len(cells), -(-len(cells) // room)):
                name = f"cells-{index:04d}-{len(blocks):04d}"
                blocks.append(Block(name, chosen, tuple(cells[place] for place in part), start, needed))
        groups.append(Group(f"pairs-{index:04d}", chosen, tuple(blocks)))
    return groups


def _cost(size: int, members: dict[tuple[int, bool], list[int]], *, pairs: int, batch: int) -> float:
    """Rows of all batches with groups of ``size``, the overhead of each added."""
    total = 0.0
    for (_, needed), cells in members.items():
        batches = -(-len(cells) // max(1, batch // size - needed))
        total += batches * (OVERHEAD + size * needed) + size * len(cells)
    return total * pairs / size


def _cut(count: int, parts: int) -> Iterator[tuple[int, ...]]:
    """0 to ``count`` - 1 in ``parts`` runs of almost the same length."""
    edges = [round(part * count / parts) for part in range(parts + 1)]
    return (tuple(range(first, last)) for first, last in pairwise(edges))
