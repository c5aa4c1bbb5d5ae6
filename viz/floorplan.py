"""Where the sites of a model stand in a drawing of it: a U for models with skips, a stack for all others."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

Arm = Literal["down", "mid", "up"]
TALLEST = 40  # rows of a column of a stack
MANY = 60  # from this many sites on, rows are low, and the names of blocks take two of them


@dataclass(frozen=True)
class Block:
    """A part of the network: an outline around ``rows`` cells from ``top`` in ``column`` (both in cells)."""

    name: str
    column: float
    top: float
    rows: int
    columns: int = 1


@dataclass(frozen=True)
class FloorPlan:
    """Cells of one size: ``cells`` gives column and row (0 is the top) of every site.

    ``skips`` are pairs of blocks, by place in ``blocks``: the first hands its activations to the second beside the main
    path. ``columns`` and ``rows`` are the extent.
    """

    shape: Literal["u", "stack"]
    cells: dict[str, tuple[float, float]]
    blocks: tuple[Block, ...]
    columns: float
    rows: float
    skips: tuple[tuple[int, int], ...] = field(default=())

    def block_at(self, site: str) -> Block:
        """The block whose outline the site's cell lies in."""
        x, y = self.cells[site]
        return next(b for b in self.blocks if b.column <= x < b.column + b.columns and b.top <= y < b.top + b.rows)


def floor_plan(sites: Sequence[str]) -> FloorPlan:
    """The plan for ``sites`` (module paths in execution order).

    A model whose sites lie in blocks that go down and blocks that go up is a U: the left arm reads downwards, the right
    arm upwards, and blocks of one resolution stand level. Anything else is a stack that reads downwards and breaks into
    columns; text streams (``.text``) stand beside their image streams.
    """
    groups = [(name, list(members)) for name, members in groupby(sites, key=block_of)]
    gap = 1 if len(sites) < MANY else 2
    arms = [_arm(name) for name, _ in groups]
    if "down" in arms and "up" in arms and arms.index("down") < arms.index("up"):
        return _u(groups, arms, gap=gap)
    return _stack(groups, gap=gap)


def block_of(site: str) -> str:
    """The part of the network that a site lies in (``down_blocks.1``, ``mid_block``); empty for a layer on its own."""
    parts = site.split(".")
    ends = (i + 1 for i, part in enumerate(parts) if part.isdigit() or _arm(part) == "mid")
    return ".".join(parts[: next(ends, 0)])


def _arm(block: str) -> Arm | None:
    words = re.split(r"[._\d]+", block)
    return next((arm for arm in ("down", "mid", "up") for word in words if word == arm), None)


def _u(groups: list[tuple[str, list[str]]], arms: list[Arm | None], *, gap: int) -> FloorPlan:
    """Blocks before the last that goes down on the left, from the first that goes up on the right, the rest below."""
    last_down = max(i for i, arm in enumerate(arms) if arm == "down")
    first_up = min(i for i, arm in enumerate(arms) if arm == "up" and i > last_down)
    left, bottom, right = groups[: last_down + 1], groups[last_down + 1 : first_up], groups[first_up:][::-1]
    shift = sum(arm is None for arm in arms[: last_down + 1]) - sum(arm is None for arm in arms[first_up:])
    left, right = [("", [])] * max(0, -shift) + left, [("", [])] * max(0, shift) + right
    cells: dict[str, tuple[float, float]] = {}
    blocks: list[Block] = []
    skips: list[tuple[int, int]] = []
    top = 0.0
    for level in range(max(len(left), len(right))):
        sides = [arm[level] if level < len(arm) else ("", []) for arm in (left, right)]
        height = max(len(members) for _, members in sides)
        for column, (name, members) in zip((0.0, 2.0), sides, strict=True):
            if members:
                blocks.append(Block(name, column, top + (height - len(members)) / 2, len(members)))
                ordered = members if column == 0 else members[::-1]
                cells |= {site: (column, blocks[-1].top + row) for row, site in enumerate(ordered)}
        if all(members and _arm(name) for name, members in sides):
            skips.append((len(blocks) - 2, len(blocks) - 1))
        top += height + gap
    for name, members in bottom:
        blocks.append(Block(name, 1.0, top, len(members)))
        cells |= {site: (1.0, top + row) for row, site in enumerate(members)}
        top += len(members) + gap
    return FloorPlan("u", {s: cells[s] for _, ms in groups for s in ms}, tuple(blocks), 3.0, top - gap, tuple(skips))


def _stack(groups: list[tuple[str, list[str]]], *, gap: int) -> FloorPlan:
    rows = [(name, _rows(members)) for name, members in groups]
    # Blocks of one cell each would leave more gap than block: those of one list share an outline.
    if sum(len(lines) for _, lines in rows) < 2 * len(rows):
        rows = [(name, [line for _, lines in same for line in lines]) for name, same in _families(rows)]
    width = max(len(line) for _, lines in rows for line in lines)
    total = sum(len(lines) + gap for _, lines in rows) - gap
    columns = math.ceil(total / TALLEST)
    tallest = math.ceil(total / columns) + (columns > 1) * 2
    cells: dict[str, tuple[float, float]] = {}
    blocks: list[Block] = []
    column, top, deepest = 0.0, 0, 0
    for name, lines in rows:
        rest = lines
        while rest:
            if top and tallest - top < min(len(rest), 3):
                column, top = column + width + 0.35, 0
            part, rest = rest[: tallest - top], rest[tallest - top :]
            blocks.append(Block(name, column, top, len(part), max(map(len, part))))
            for row, line in enumerate(part):
                cells |= {site: (column + place, top + row) for place, site in enumerate(line)}
            deepest, top = max(deepest, top + len(part)), top + len(part) + gap
    return FloorPlan("stack", cells, tuple(blocks), column + width, deepest)


def _families(rows: list[tuple[str, list[list[str]]]]) -> list[tuple[str, list[tuple[str, list[list[str]]]]]]:
    return [(name, list(same)) for name, same in groupby(rows, key=lambda row: re.sub(r"\.\d+$", "", row[0]))]


def _rows(members: list[str]) -> list[list[str]]:
    """A row for each site; a text stream stands in the row of its image stream."""
    rows: dict[str, list[str]] = {}
    for site in members:
        rows.setdefault(site.removesuffix(".text"), []).append(site)
    return list(rows.values())
