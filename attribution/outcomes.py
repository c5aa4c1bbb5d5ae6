"""What a study of interventions puts out: a tidy table and the pictures, in memory and as a folder.

A *pair* is a donor A and a receiver B. A *cell* is one condition of the study: the interventions that turn B into C,
at their sites and steps. Every cell is made for every pair. The folder::

    study/
      outcomes.json      format, model, steps, guidance, sites, and per cell its interventions as records
      outcomes.parquet   one row per (cell, pair): the columns COLUMNS; row cell * len(pairs) + pair
      pairs.parquet      one row per pair: a_prompt, b_prompt, a_seed, b_seed, and a_<label>, b_<label> for each label
      images.npy         (row, height, width, 3) uint8: the pictures C, in the rows' order
      donors.npy         (pair, height, width, 3) uint8: the pictures A
      receivers.npy      (pair, height, width, 3) uint8: the pictures B

A study under way has ``parts/`` beside them and no ``images.npy``: it goes on when the same command is given again.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from outcrop.data.atomic import write_atomic
from outcrop.data.errors import DataError
from outcrop.data.schema import Record

FORMAT = "outcrop study"
FORMAT_VERSION = 1
RECORD, TABLE, PAIRS = "outcomes.json", "outcomes.parquet", "pairs.parquet"
IMAGES, DONORS, RECEIVERS = "images.npy", "donors.npy", "receivers.npy"
COLUMNS = ("cell", "pair", "intervention", "site", "window", "dose", "half", "control", "seed")
"""Columns of the table of outcomes.

``cell`` and ``pair`` are whole numbers from 0. ``intervention`` is the kind (several are joined by ``+``), ``site`` the
site's name (several: as the study calls the cell, or joined by ``+``), ``window`` the first and last step, ``"0-19"``,
both counted from 0 and included, ``dose`` a number or NaN, ``half`` one of cond, uncond and both, ``control`` is
``none`` or the kind of control, ``seed`` the receiver's.
"""

Pictures = NDArray[np.uint8]


class SiteInfo(Record):
    """A site of the model that was intervened on; ``depth`` is its place in execution order, from 0 to 1."""

    name: str
    role: str
    depth: float
    stream: str
    shape: tuple[int, ...]


class CellInfo(Record):
    """A cell as its rows in the table say it, and its ``interventions`` as plain records."""

    intervention: str
    site: str
    window: str
    dose: float | None = None
    half: str = "both"
    control: str = "none"
    interventions: tuple[dict[str, Any], ...] = ()

    @property
    def taken(self) -> str | None:
        """Where a random-site control acts; ``site`` is the one that it stands for. None for all other cells."""
        if self.control != "random-site":
            return None
        return "+".join(dict.fromkeys(str(site) for one in self.interventions for site in one["sites"])) or None


class StudyRecord(Record):
    """Everything about a study but its pictures. ``spec`` is the resolved specification, ``identity`` its hash."""

    format: str = FORMAT
    version: int = FORMAT_VERSION
    identity: str = ""
    model: str
    steps: int = Field(ge=1)
    guidance: float = 1.0
    sites: tuple[SiteInfo, ...] = ()
    """All sites of the model in execution order, also those without an intervention."""
    cells: tuple[CellInfo, ...]
    spec: dict[str, Any] = Field(default_factory=dict)
    provenance: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class Outcomes:
    """The pictures of a study and what each of them is.

    ``pairs`` is the table of pairs, indexed by ``pair``; ``images`` (cells x pairs, height, width, 3), ``donors`` and
    ``receivers`` (pairs, height, width, 3) are uint8, in the order of the rows of :attr:`table` and :attr:`pairs`.
    """

    record: StudyRecord
    pairs: pd.DataFrame
    images: Pictures
    donors: Pictures
    receivers: Pictures

    def __post_init__(self) -> None:
        wanted = {"images": len(self.record.cells) * len(self.pairs), "donors": len(self.pairs)}
        wanted["receivers"] = wanted["donors"]
        for name, count in wanted.items():
            found = getattr(self, name)
            if found.ndim != 4 or found.shape[0] != count or found.shape[3] != 3 or found.dtype != np.uint8:
                raise DataError(
                    f"The {name} of {len(self.record.cells)} cells and {len(self.pairs)} pairs must be uint8 of shape "
                    f"({count}, height, width, 3). Got {found.dtype} of shape {found.shape}."
                )

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per (cell, pair), cell by cell: the columns :data:`COLUMNS`."""
        return outcome_table(self.record.cells, self.pairs)

    @property
    def sites(self) -> pd.DataFrame:
        """The model's sites in execution order, indexed by name: role, depth, stream, shape."""
        rows = [site.model_dump() for site in self.record.sites]
        return pd.DataFrame(rows, columns=list(SiteInfo.model_fields)).set_index("name")

    def cell_images(self, cell: int) -> Pictures:
        """The pictures C of one cell, (pairs, height, width, 3), in the pairs' order."""
        return self.images[cell * len(self.pairs) : (cell + 1) * len(self.pairs)]

    def save(self, folder: str | Path) -> None:
        """Write the folder that :func:`load_outcomes` reads."""
        folder = Path(folder)
        write_atomic(folder / PAIRS, parquet_bytes(self.pairs))
        write_atomic(folder / TABLE, parquet_bytes(self.table))
        for name, pictures in ((DONORS, self.donors), (RECEIVERS, self.receivers), (IMAGES, self.images)):
            write_atomic(folder / name, npy_bytes(pictures))
        write_atomic(folder / RECORD, self.record.model_dump_json(indent=1).encode())


def outcome_table(cells: Sequence[CellInfo], pairs: pd.DataFrame) -> pd.DataFrame:
    """The rows of a study: every cell with every pair."""
    rows = [
        {"cell": index, "pair": pair, "dose": np.nan if cell.dose is None else cell.dose, "seed": int(seed)}
        | {name: getattr(cell, name) for name in ("intervention", "site", "window", "half", "control")}
        for index, cell in enumerate(cells)
        for pair, seed in pairs["b_seed"].items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"pair": int, "dose": float})


def load_outcomes(folder: str | Path) -> Outcomes:
    """Open a finished study; the pictures stay on disk until they are used.

    Raises :class:`DataError` for a folder that holds none, one that is not finished, and one of another format.
    """
    folder = Path(folder)
    record = read_study_record(folder)
    if not (folder / IMAGES).exists():
        raise DataError(f"The study in {folder} is not finished: it has no {IMAGES}. Run the same command to go on.")
    try:
        pairs = pd.read_parquet(folder / PAIRS)
        pictures = [np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in (IMAGES, DONORS, RECEIVERS)]
    except (OSError, ValueError) as error:
        raise DataError(f"The study in {folder} is damaged: {error}") from error
    return Outcomes(record, pairs, *pictures)


def read_study_record(folder: Path) -> StudyRecord:
    """What ``outcomes.json`` says. Raises :class:`DataError`."""
    path = folder / RECORD
    if not path.is_file():
        raise DataError(f"{folder} holds no study: there is no {RECORD}.")
    try:
        fields = json.loads(path.read_text())
        found = (fields.get("format"), fields.get("version"))
        if found != (FORMAT, FORMAT_VERSION):
            raise DataError(
                f"{path} must be of format {(FORMAT, FORMAT_VERSION)}. Got {found}. Use the version it names."
            )
        return StudyRecord.model_validate(fields)
    except (ValueError, AttributeError, ValidationError) as error:
        raise DataError(f"{path} is no record of a study: {error}") from error


def npy_bytes(pictures: Pictures) -> bytes:
    """An array as the content of a ``.npy`` file."""
    stream = io.BytesIO()
    np.save(stream, pictures, allow_pickle=False)
    return stream.getvalue()


def parquet_bytes(table: pd.DataFrame) -> bytes:
    """A table as the content of a ``.parquet`` file."""
    stream = io.BytesIO()
    table.to_parquet(stream)
    return stream.getvalue()
