"""The result of a study: a tidy table of effects, and the scores of every pair that it was made of."""

import io
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from outcrop.attribution.bootstrap import Resampling, ratio_intervals
from outcrop.attribution.scores import PropertyScores
from outcrop.data.atomic import write_atomic
from outcrop.data.errors import DataError, InputError
from outcrop.data.patterns import near_misses

FORMAT = 1
FRAME, SCORES, PROVENANCE = "effects.parquet", "scores.safetensors", "effects.json"

COLUMNS = (
    "property", "cell", "intervention", "site", "window", "dose", "half", "control", "role", "depth", "taken", "n",
    "effect", "low", "high", "necessity", "necessity_low", "necessity_high",
    "donor", "donor_low", "donor_high", "receiver", "receiver_low", "receiver_high",
    "neither", "neither_low", "neither_high",
    "over_control", "over_control_low", "over_control_high", "p_value", "q_value",
)  # fmt: skip
"""``effect``: how far the pictures went from B to A, 0 to 1, what luck gives taken off (is the intervention
*sufficient* to carry the property over?). ``necessity``: how far they went away from B, wherever to (was what was there
before needed?). ``donor``, ``receiver``, ``neither``: shares of the ``n`` pairs that can be read. ``over_control``: the
effect less that of the cell's controls, on the same pairs: the kind of control of which least is left; NaN without.
``taken``: the sites at which a random-site control acts; ``site`` is the one that it stands for."""


LEAST_PAIRS = 10
"""With fewer, an interval over pairs is too rough to conclude from."""


class FewPairsWarning(UserWarning):
    """A conclusion rests on few pairs."""


@dataclass(frozen=True)
class EffectTable:
    """``frame``: a row per property and cell (:data:`COLUMNS`); ``scores``: per property what each pair gave."""

    frame: pd.DataFrame
    scores: Mapping[str, PropertyScores]
    provenance: Mapping[str, Any]

    @property
    def properties(self) -> tuple[str, ...]:
        return tuple(self.scores)

    def cell(self, site: str, *, window: str | None = None, intervention: str | None = None) -> int:
        """The number of the one cell without control of that site. Raises :class:`InputError` if it is not one."""
        rows = self.frame[(self.frame["control"] == "none") & (self.frame["property"] == self.properties[0])]
        known = rows["site"].unique()
        if site not in known:
            raise InputError(f"The table has no cell of site {site!r}.{near_misses(site, list(known))}")
        for column, value in (("site", site), ("window", window), ("intervention", intervention)):
            rows = rows if value is None else rows[rows[column] == value]
        if len(rows) != 1:
            raise InputError(
                f"Site {site!r} must name one cell. Got {len(rows)}; give window and intervention as in table.frame."
            )
        return int(rows["cell"].iloc[0])

    def interaction(self, first: int, second: int, both: int) -> pd.DataFrame:
        """Is the labour of two cells shared or redundant? ``both`` is the cell in which they act together.

        A row per property: ``interaction``, the effect of both less the sum of the single ones, with its paired
        interval, and ``reading``: *redundant* (each does alone what both do; the interval lies below 0), *joint* (only
        together; above 0), or *undecided*.
        """
        cells = len(next(iter(self.scores.values())).toward)
        for number in (first, second, both):
            if not 0 <= number < cells:
                raise InputError(f"The table has cells 0 to {cells - 1}. Got {number}; .cell(site) gives the number.")
        resampling = self.resampling
        rows = []
        for name, one in self.scores.items():
            apart = one.toward[both] - one.toward[first] - one.toward[second]
            found = ratio_intervals(apart[None], one.toward_span[None], resampling=resampling)
            value, low, high = (float(part[0]) for part in found)
            reading = "redundant" if high < 0 else "joint" if low > 0 else "undecided"
            rows.append({"property": name, "interaction": value, "low": low, "high": high, "reading": reading})
        return pd.DataFrame(rows)

    def warn_of_few_pairs(self, names: Sequence[str]) -> None:
        """Say of which properties among ``names`` too few pairs could be read to conclude from."""
        few = {name: int(self.scores[name].read.sum()) for name in names}
        few = {name: count for name, count in few.items() if count < LEAST_PAIRS}
        if few:
            told = ", ".join(f"{name} {count}" for name, count in few.items())
            warnings.warn(
                f"Fewer than {LEAST_PAIRS} pairs could be read for: {told}. Intervals are too rough to conclude from; "
                "run the study with more pairs.",
                FewPairsWarning,
                stacklevel=3,
            )

    @property
    def resampling(self) -> Resampling:
        """How the intervals of the table were made."""
        made = self.provenance
        return Resampling(made["confidence"], made["resamples"], made["seed"])

    def to_text(self, *, best: int = 3) -> str:
        """Per property the ``best`` cells of largest effect, as text for a terminal."""
        rows = self.frame[self.frame["control"] == "none"]
        counts = rows.drop_duplicates("property").set_index("property")["n"]
        rows = rows[rows["n"] > 0]
        top = rows.sort_values("effect", ascending=False, kind="stable").groupby("property", sort=False).head(best)
        order = {name: number for number, name in enumerate(self.properties)}
        top = top.sort_values("property", key=lambda column: column.map(order), kind="stable")
        shown = top[["property", "site", "window", "n"]].copy()
        if top["dose"].notna().any():
            shown.insert(3, "dose", top["dose"].map(lambda dose: "" if np.isnan(dose) else f"{dose:g}"))
        shown["effect"] = top["effect"].map("{:.2f}".format)
        shown["interval"] = [f"{low:.2f} to {high:.2f}" for low, high in zip(top["low"], top["high"], strict=True)]
        if top["over_control"].notna().any():
            shown["over control"] = top["over_control"].map("{:.2f}".format)
        for name in ("donor", "receiver", "neither"):
            shown[name] = top[name].map("{:.2f}".format)
        shown["q"] = top["q_value"].map("{:.4f}".format)
        cells = rows["cell"].nunique()
        lines = [shown.to_string(index=False), f"The largest of {cells} cells per property (optimistic)."]
        if (counts == 0).any():
            unread = ", ".join(counts.index[counts == 0])
            lines.append(f"No pair differs in, and shows what was asked for: {unread}.")
        if few := [f"{name} {count}" for name, count in counts.items() if 0 < count < LEAST_PAIRS]:
            lines.append(
                f"Fewer than {LEAST_PAIRS} pairs: {', '.join(few)}. Too few to conclude from (one has no interval)."
            )
        return "\n".join(lines)

    def save(self, folder: str | Path) -> None:
        """Write effects.parquet, scores.safetensors and effects.json into ``folder``, each whole or not at all."""
        folder = Path(folder)
        names = [field.name for field in fields(PropertyScores)]
        tensors = {f"{name}/{part}": getattr(one, part) for name, one in self.scores.items() for part in names}
        table = io.BytesIO()
        self.frame.to_parquet(table, index=False)
        write_atomic(folder / FRAME, table.getvalue())
        write_atomic(folder / SCORES, save({key: np.ascontiguousarray(value) for key, value in tensors.items()}))
        record = {"format": FORMAT, "properties": list(self.scores), **self.provenance}
        write_atomic(folder / PROVENANCE, json.dumps(record, indent=2, sort_keys=True).encode() + b"\n")

    @classmethod
    def load(cls, folder: str | Path) -> "EffectTable":
        """Read what :meth:`save` wrote. Raises :class:`DataError` for what is missing, damaged or of another format."""
        folder = Path(folder)
        if not (folder / PROVENANCE).is_file():
            raise DataError(f"There is no effect table in {folder}: {PROVENANCE} is missing. Run `outcrop attribute`.")
        try:
            record = json.loads((folder / PROVENANCE).read_text())
            version = record.pop("format")
            frame, tensors = pd.read_parquet(folder / FRAME), load_file(folder / SCORES)
            scores = {
                name: PropertyScores(
                    **{field.name: tensors[f"{name}/{field.name}"] for field in fields(PropertyScores)}
                )
                for name in record.pop("properties")
            }
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise DataError(
                f"The effect table in {folder} cannot be read: {error}. Run `outcrop attribute` again."
            ) from error
        if version != FORMAT:
            raise DataError(f"The effect table in {folder} has format {version!r}; this version reads {FORMAT}.")
        return cls(frame, scores, record)
