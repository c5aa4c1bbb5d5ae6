"""What a sweep was asked for beyond accuracy, as lines for a terminal."""

from collections.abc import Iterator

import pandas as pd

from outcrop.probes.baselines import ROLE as BASELINE

LEVEL = 0.05
FORMATS = {
    "p_value": "{:.4f}",
    "q_value": "{:.4f}",
    "q_value_dependent": "{:.4f}",
    "code_length": "{:.3f}",
    "compression": "{:.2f}",
    "given_bits": "{:.3f}",
    "adds": "{:.3f}",
}
"""Columns that stand in a table only if they were asked for."""


def asked_lines(frame: pd.DataFrame, best: pd.DataFrame) -> Iterator[str]:
    """Lines that give those of ``FORMATS`` that ``frame`` has for the ``best`` cells, and count the discoveries."""
    asked = [name for name in FORMATS if name in frame]
    if not asked:
        return
    shown = best[["property"]].copy()
    for name in asked:
        shown[name] = best[name].map(FORMATS[name].format).where(best[name].notna(), "-")
    if "adds" in asked:
        ends = zip(best["adds_low"], best["adds_high"], strict=True)
        shown["its interval"] = [f"{low:.3f} to {high:.3f}" for low, high in ends]
    yield ""
    yield shown.to_string(index=False)
    if "q_value" in asked:
        yield from _discoveries(frame[frame["role"] != BASELINE])


def _discoveries(own: pd.DataFrame) -> Iterator[str]:
    for name, cells in own.groupby("property", sort=False):
        if cells["q_value"].isna().all():
            yield f"{name}: no p-values, as groups determine it (permuting labels within groups changes nothing)."
        else:
            found, strict = (int((cells[column] <= LEVEL).sum()) for column in ("q_value", "q_value_dependent"))
            yield f"{name}: q_value <= {LEVEL} in {found} of {len(cells)} cells, q_value_dependent in {strict}."
