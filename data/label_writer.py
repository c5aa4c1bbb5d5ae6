"""Adding labels to a data set: columns and maps keyed by sample id, each with where it comes from."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.data.atomic import write_atomic
from outcrop.data.dataset import Dataset
from outcrop.data.errors import InputError
from outcrop.data.labels import INDEX, Kind, LabelRecord, encode_map, index_bytes, read_index
from outcrop.data.locks import locked
from outcrop.data.safe_tables import note_checked
from outcrop.data.store import LocalStore
from outcrop.data.tables import SAMPLE_COLUMNS


@dataclass(frozen=True)
class NewLabel:
    """A label to be added. ``values``: indexed by sample id, text or whole numbers for classes, floats for a continuous
    property, missing where unknown; for a map, arrays (row, column) of class codes, -1 where unknown.
    """

    name: str
    values: pd.Series
    provenance: Mapping[str, Any]
    realises: str | None = None
    is_map: bool = False
    classes: Sequence[str] = ()


def add_labels(ds: Dataset, labels: Sequence[NewLabel], *, replace: bool = False) -> list[LabelRecord]:
    """Write the labels into the folder of ``ds``; open it again to see them.

    Raises :class:`InputError` for an id that is not there, a name that is taken (an added label may be replaced), and
    values of mixed kinds; nothing is written then.
    """
    store = LocalStore(ds.path)
    with locked(store.folder):
        known = {record.name: record for record in read_index(store).labels}
        for label in labels:
            _check_name(label.name, ds, known, replace=replace)
        made = [_encode(label, ds) for label in labels]
        for record, content in made:
            write_atomic(store.folder / record.file, content)
            note_checked(content)
            known[record.name] = record
        write_atomic(store.folder / INDEX, index_bytes(list(known.values())))
    return [record for record, _ in made]


def provenance(labeller: str, *packages: str, **settings: Any) -> dict[str, Any]:
    """How a label was made: by what, with which settings, with which versions."""
    versions = {name: metadata.version(name) for name in ("outcrop", *packages)}
    return {"labeller": labeller, "settings": settings, "versions": versions}


def _check_name(name: str, ds: Dataset, known: Mapping[str, LabelRecord], *, replace: bool) -> None:
    if not name or not name.isprintable() or len(name) > 200:
        raise InputError(f"A label needs a name of 1 to 200 printable characters. Got {name!r}.")
    if name in known and not replace:
        raise InputError(
            f"{ds.path} has an added label {name!r} already. Replace it (--replace), or choose another name."
        )
    if name not in known and (name in SAMPLE_COLUMNS or name in ds.labels.columns):
        raise InputError(
            f"{name!r} is a column of the capture, which is never changed. Choose another name, such as {name}:2."
        )


def _encode(label: NewLabel, ds: Dataset) -> tuple[LabelRecord, bytes]:
    unknown = [name for name in label.values.index if name not in ds.samples.index]
    if unknown:
        raise InputError(
            f"Label {label.name!r} names {len(unknown)} samples that are not in {ds.path}, the first is {unknown[0]!r}."
            " Ids are the 16 hexadecimal digits of ds.samples.index."
        )
    if label.values.index.has_duplicates:
        twice = label.values.index[label.values.index.duplicated()][0]
        raise InputError(f"Label {label.name!r} has two values for sample {twice}. Give one.")
    kind, values, shape = _as_map(label) if label.is_map else _as_column(label)
    values = values.dropna()
    if not len(values):
        raise InputError(f"Label {label.name!r} has no value for any sample of {ds.path}.")
    buffer = BytesIO()
    frame = pd.DataFrame({"id": values.index.astype(str), "value": values.to_numpy()})
    frame.to_parquet(buffer, index=False, compression="zstd")
    content = buffer.getvalue()
    record = LabelRecord(
        name=label.name,
        kind=kind,
        file=f"labels/{_file_name(label.name)}.parquet",
        sha256=hashlib.sha256(content).hexdigest(),
        known=len(values),
        realises=label.realises,
        shape=shape,
        classes=tuple(label.classes),
        provenance=dict(label.provenance),
    )
    return record, content


def _as_column(label: NewLabel) -> tuple[Kind, pd.Series, None]:
    values = label.values
    if pd.api.types.is_bool_dtype(values) or pd.api.types.is_integer_dtype(values):
        return "class", values.astype("int64"), None
    if pd.api.types.is_float_dtype(values):
        return "number", values.astype("float64").where(np.isfinite(values.astype("float64"))), None
    texts = values.dropna()
    if not all(isinstance(value, str) for value in texts):
        kinds = sorted({type(value).__name__ for value in texts})
        raise InputError(f"Label {label.name!r} must be text or numbers throughout. Got {', '.join(kinds)}.")
    return "class", texts[texts != ""].astype(str), None


def _as_map(label: NewLabel) -> tuple[Kind, pd.Series, tuple[int, int]]:
    shapes = {np.shape(value) for value in label.values}
    if len(shapes) != 1 or len(shape := next(iter(shapes))) != 2:
        raise InputError(
            f"The maps of {label.name!r} must all have the same rows and columns. Got {sorted(shapes)[:4]}."
        )
    cells: list[NDArray[np.int64]] = [np.asarray(value) for value in label.values]
    if any(value.min() < -1 or value.max() > 254 for value in cells):
        raise InputError(f"The maps of {label.name!r} may hold -1 (unknown) to 254.")
    encoded = pd.Series([encode_map(value) for value in cells], index=label.values.index, dtype=object)
    return "map", encoded, (int(shape[0]), int(shape[1]))


def _file_name(name: str) -> str:
    """Safe on every system, and another one for every name."""
    plain = re.sub(r"[^A-Za-z0-9_\-]+", "_", name)[:60].lstrip("_") or "label"
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def read_label_file(path: Path) -> pd.DataFrame:
    """A CSV or parquet file with a column ``id``; the others are labels. Raises :class:`InputError`."""
    try:
        text = path.suffix.lower() in {".csv", ".tsv"}
        separator = "\t" if path.suffix.lower() == ".tsv" else ","
        table = pd.read_csv(path, sep=separator, dtype={"id": str}) if text else pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no CSV or parquet table: {error}.") from error
    table = table.reset_index() if table.index.name == "id" else table
    if "id" not in table.columns or len(table.columns) < 2:
        raise InputError(
            f"{path} needs a column id and at least one label. It has {', '.join(map(str, table.columns))}."
        )
    return table.set_index(table["id"].astype(str)).drop(columns="id")
