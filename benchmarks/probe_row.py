"""Write one row of a probe table into docs/probes.md: `python benchmarks/probe_row.py FOLDER`."""

import sys
from pathlib import Path

import pandas as pd

import outcrop as oc

PAGE = Path(__file__).parents[1] / "docs" / "probes.md"
MARKS = "<!-- probe_row.py writes from here -->\n", "<!-- to here -->\n"
PROPERTY, SITE, STEP = "layout", "mid_block", 3


def row_table(row: pd.Series) -> str:
    """The columns of ``row`` with their values, as a Markdown table of four columns."""
    cells = [f"`{name}` | {_shown(value)}" for name, value in row.items()]
    cells += [" | "] * (len(cells) % 2)
    half = len(cells) // 2
    lines = [f"| {left} | {right} |" for left, right in zip(cells[:half], cells[half:], strict=True)]
    return "\n".join(["| column | value | column | value |", "| --- | --- | --- | --- |", *lines]) + "\n"


def written(page: str, table: str) -> str:
    """``page`` with ``table`` between its marks."""
    before, rest = page.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    return f"{before}{MARKS[0]}\n{table}\n{MARKS[1]}{after}"


def _shown(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    frame = oc.ProbeTable.load(sys.argv[1]).frame
    chosen = frame[(frame["property"] == PROPERTY) & (frame["site"] == SITE) & (frame["step"] == STEP)]
    PAGE.write_text(written(PAGE.read_text(), row_table(chosen.iloc[0])))
