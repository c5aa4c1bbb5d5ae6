"""The folder that a table is to go to: checked before any work, so that nothing of another kind is written over."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from outcrop.data.errors import ConflictError, InputError, StorageError
from outcrop.probes.features import Recording
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.table import PROVENANCE

OTHERS = {
    "dataset.json": "a data set",
    "outcomes.json": "a study of interventions",
    "verdict.json": "a recipe's verdict",
}
"""What a file of this name tells of its folder."""


def check_destination(folder: Path, recording: Recording, spec: ProbeSpec) -> str:
    """What a table in ``folder`` would be replaced; empty where there is none, or that of the same sweep.

    Raises :class:`InputError` where ``folder`` is or lies in a file, :class:`StorageError` where nothing can be
    written, and :class:`ConflictError` where it holds a data set, a study, or the table of another data set.
    """
    existing = next(place for place in [folder.absolute(), *folder.absolute().parents] if place.exists())
    if not existing.is_dir():
        raise InputError(f"{existing} is a file. Expected a folder for the table: give another --out.")
    if not os.access(existing, os.W_OK):
        raise StorageError(f"Nothing can be written in {existing}. Give another --out.")
    for name, held in OTHERS.items():
        if (folder / name).exists():
            raise ConflictError(f"{folder} holds {held}. Give the table a folder of its own (--out).")
    if not (folder / PROVENANCE).is_file():
        return ""
    try:
        found = json.loads((folder / PROVENANCE).read_text())
        dataset, asked = found["dataset"], found["spec"]
    except (OSError, ValueError, KeyError, TypeError):
        return f"The table in {folder} cannot be read and is replaced."
    if dataset != recording.uuid:
        raise ConflictError(f"{folder} holds the table of another data set ({dataset}). Give another --out.")
    changed = [name for name, value in _plain(spec).items() if asked.get(name, _plain(ProbeSpec())[name]) != value]
    if not changed:
        return ""
    return f"Another sweep's table in {folder} is replaced at the end (other {', '.join(changed)}); --out keeps it."


def _plain(spec: ProbeSpec) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(spec)))
    return plain
