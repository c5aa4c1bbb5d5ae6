"""Making a data set ready for others: card, Croissant metadata, gallery, a table to look at, checksums, licences."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from outcrop.data.atomic import write_atomic
from outcrop.data.card import write_card
from outcrop.data.croissant import VIEWER, write_croissant
from outcrop.data.dataset import Dataset, open_dataset
from outcrop.data.errors import DataError, InputError
from outcrop.data.gallery import draw_gallery, encode_png, viewer_table
from outcrop.data.labels import INDEX
from outcrop.data.locks import locked
from outcrop.data.safe_tables import note_checked
from outcrop.data.statement import (
    CHECKSUMS,
    STATEMENT,
    SharedFile,
    Statement,
    checksum_lines,
    describe_files,
    make_statement,
    private_paths,
)
from outcrop.data.validate import validate_dataset

FIGURES = ("heatmap.png", "profiles.png", "architecture.png")
CARD, CROISSANT, GALLERY = "README.md", "croissant.json", "figures/gallery.png"


def share(
    location: str | Path | Dataset,
    *,
    licences: dict[str, str] | None = None,
    title: str | None = None,
    published: str | None = None,
    **said: Any,
) -> Statement:
    """Write into the data set's folder what others need: ``README.md``, ``croissant.json``, ``figures/``,
    ``viewer/samples.parquet``, ``share.json`` and ``checksums.sha256``.

    ``licences`` of ``data``, ``model`` and ``prompts`` add to those that the capture stated. ``said``: description,
    creators, citation (BibTeX), url, version. ``published``: a date, today if left out. What was captured is not
    changed; sharing again writes all this anew.

    Raises :class:`InputError` where a licence is missing or the record names paths of this machine, and
    :class:`DataError` for a data set that is not finished or not sound.
    """
    ds = location if isinstance(location, Dataset) else open_dataset(location)
    ds = open_dataset(ds.path)
    day = published or datetime.now(UTC).date().isoformat()
    name = title or ds.path.resolve().name
    fields = {"title": name, "published": day, "uuid": ds.uuid, "licences": ds.info.licences | (licences or {})} | said
    fields = {key: value for key, value in fields.items() if value is not None}
    fields["citation"] = fields.get("citation") or _citation(fields)
    statement = make_statement(**fields)
    _refuse_private_paths(ds, statement)
    _refuse_unsound(ds)
    with locked(ds.path):
        return _write_all(ds, statement)


def _write_all(ds: Dataset, statement: Statement) -> Statement:
    pictures = bool((ds.samples["image"] != "").all())
    figures = _write_figures(ds, pictures=pictures)
    table = viewer_table(ds, pictures=pictures)
    write_atomic(ds.path / VIEWER, table)
    note_checked(table)
    files = describe_files(ds.path, [*_captured(ds), *figures, VIEWER])
    write_atomic(ds.path / CROISSANT, write_croissant(ds, statement, files))
    write_atomic(ds.path / CARD, write_card(ds, statement, files, figures).encode())
    files = tuple(sorted((*files, *describe_files(ds.path, [CARD, CROISSANT])), key=lambda file: file.path))
    whole = statement.model_copy(update={"files": files})
    write_atomic(ds.path / STATEMENT, whole.model_dump_json(indent=1).encode())
    listed: tuple[SharedFile, ...] = (*files, *describe_files(ds.path, [STATEMENT]))
    write_atomic(ds.path / CHECKSUMS, checksum_lines(listed))
    return whole


def _captured(ds: Dataset) -> list[str]:
    """The data set's own files."""
    tables = ["dataset.json", "manifest.json", "samples.parquet", "journal.jsonl"]
    labels = [INDEX, *(label.file for label in ds.added_labels.values())] if ds.added_labels else []
    images = [path for path in ds.samples["image"] if path]
    return [*tables, *ds.shard_files, *labels, *images]


def _write_figures(ds: Dataset, *, pictures: bool) -> list[str]:
    """The gallery, and of the data set's probes the figures that are there."""
    written = []
    if pictures:
        write_atomic(ds.path / GALLERY, encode_png(draw_gallery(ds)))
        written.append(GALLERY)
    for name in FIGURES:
        drawn = ds.path / "probes" / "figures" / name
        if drawn.is_file():
            write_atomic(ds.path / "figures" / name, drawn.read_bytes())
            written.append(f"figures/{name}")
    return written


def _refuse_private_paths(ds: Dataset, statement: Statement) -> None:
    said: dict[str, Sequence[str]] = {
        "dataset.json": list(private_paths(ds.info.model_dump(mode="json"))),
        INDEX: list(private_paths([label.provenance for label in ds.added_labels.values()])),
        "what is stated": list(private_paths(json.loads(statement.model_dump_json(exclude={"files"})))),
    }
    for where, found in said.items():
        if found:
            raise InputError(
                f"{ds.path} cannot be shared: {where} names a path of this machine, {found[0][:200]!r}"
                f"{f', and {len(found) - 1} more' if len(found) > 1 else ''}. Others have no use for it, and it may "
                "tell what you would not. Capture or label again from the folder above, with a relative path or a "
                "model's name."
            )


def _refuse_unsound(ds: Dataset) -> None:
    if ds.stored != ds.planned or not (ds.path / "manifest.json").is_file():
        raise DataError(f"{ds.path} is not finished: {ds.stored} of {ds.planned} samples. Capture the rest first.")
    errors = [finding for finding in validate_dataset(ds.path) if finding.severity == "error"]
    if errors:
        raise DataError(f"{ds.path} is not sound: {errors[0]}. `outcrop validate` lists all {len(errors)} errors.")
    lost = [path for path in ds.samples["image"] if path and not (ds.path / path).is_file()]
    if lost:
        raise DataError(f"{ds.path} lacks {len(lost)} pictures, the first is {lost[0]}. Fetch or make them again.")


def _citation(fields: dict[str, Any]) -> str:
    entries = {
        "title": "{" + "".join(sign for sign in str(fields["title"]) if sign not in "{}\\") + "}",
        "author": " and ".join(fields.get("creators") or ()),
        "year": str(fields["published"])[:4],
        "url": fields.get("url", ""),
        "note": f"Activations recorded with Outcrop, data set {fields['uuid']}",
    }
    key = "".join(sign for sign in str(fields["uuid"]) if sign.isalnum())[:8]
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in entries.items() if value)
    return f"@misc{{outcrop-{key},\n{lines}}}"
