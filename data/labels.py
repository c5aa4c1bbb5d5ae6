"""Labels that were added after the capture: ``labels/*.parquet``, keyed by sample id, listed in ``labels/index.json``.

Beside a label that the prompt asked for (``content``) stands what the picture shows (``content:oracle``): the name of
an added label that *realises* another begins with that name and a colon.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from outcrop.data.errors import DataError
from outcrop.data.safe_tables import read_table
from outcrop.data.schema import Record
from outcrop.data.store import Store

INDEX = "labels/index.json"
Kind = Literal["class", "number", "map"]


class LabelRecord(Record):
    """One added label: where it lies, what it is, and where it comes from."""

    name: str = Field(min_length=1, max_length=200)
    kind: Kind = Field(
        description="class: names or whole numbers; number: a continuous property; map: one value a cell"
    )
    file: str = Field(pattern=r"^labels/[A-Za-z0-9_.\-]+\.parquet$")
    sha256: str
    known: int = Field(ge=0, description="samples that have a value")
    realises: str | None = Field(default=None, description="the prompted label whose realised counterpart this is")
    shape: tuple[int, int] | None = Field(default=None, description="rows and columns of a map")
    classes: tuple[str, ...] = Field(default=(), description="names of a map's values 0, 1, ...")
    provenance: dict[str, Any] = Field(description="labeller, its settings, versions and what it was given")


class LabelIndex(Record):
    """``labels/index.json``. ``sha256``: of what it says, empty in the first ones."""

    format: Literal[1] = 1
    labels: tuple[LabelRecord, ...] = ()
    sha256: str = ""


def read_index(store: Store) -> LabelIndex:
    """The added labels; none for a data set without the file. Raises :class:`DataError` for one that is not valid."""
    content = store.find(INDEX)
    if content is None:
        return LabelIndex()
    try:
        index = LabelIndex.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"{store.location}/{INDEX} is no list of labels: {where}: {first['msg']}.") from error
    if index.sha256 and index.sha256 != _sha256(index.labels):
        raise DataError(f"{store.location}/{INDEX} was edited or damaged: its checksum does not match. Fetch it again.")
    return index


def index_bytes(labels: Sequence[LabelRecord]) -> bytes:
    """The one way in which ``labels/index.json`` is written."""
    return LabelIndex(labels=tuple(labels), sha256=_sha256(labels)).model_dump_json(indent=1).encode()


def _sha256(labels: Sequence[LabelRecord]) -> str:
    said = json.dumps([label.model_dump(mode="json") for label in labels], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def read_label(store: Store, record: LabelRecord, ids: pd.Index) -> pd.Series:
    """The values for ``ids``; missing where the label has none. A map's values are its cells as hexadecimal bytes.

    Raises :class:`DataError` for a file that was altered or has no column of that name.
    """
    content = store.read(record.file)
    if hashlib.sha256(content).hexdigest() != record.sha256:
        raise DataError(
            f"{store.location}/{record.file} is not what its record in {INDEX} says. Fetch or make it again."
        )
    table = read_table(content, where=f"{store.location}/{record.file}")
    if list(table.columns) != ["id", "value"] or table["id"].duplicated().any():
        raise DataError(f"{store.location}/{record.file} must have the columns id (unique) and value.")
    return table.set_index("id")["value"].reindex(ids).rename(record.name)


def read_map(store: Store, record: LabelRecord, ids: pd.Index) -> NDArray[np.int64]:
    """(sample, row, column) of a label of kind ``map``, -1 where a sample has none."""
    if record.kind != "map" or record.shape is None:
        raise DataError(f"Label {record.name!r} is a {record.kind}, no map.")
    cells = np.full((len(ids), *record.shape), -1, np.int64)
    for place, value in enumerate(read_label(store, record, ids)):
        if isinstance(value, str):
            cells[place] = _decode(value, record)
    return cells


def encode_map(cells: NDArray[np.int64]) -> str:
    """Cells (row, column) with values from -1 (unknown) to 254 as the text that is stored."""
    return (cells.astype(np.int64) % 256).astype(np.uint8).tobytes().hex()


def _decode(text: str, record: LabelRecord) -> NDArray[np.int64]:
    try:
        cells = np.frombuffer(bytes.fromhex(text), np.uint8).reshape(record.shape or ()).astype(np.int64)
    except ValueError as error:
        raise DataError(f"Label {record.name!r}: a map is no {record.shape} cells in hexadecimal.") from error
    return np.where(cells == 255, -1, cells)
