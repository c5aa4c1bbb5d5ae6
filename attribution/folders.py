"""What a folder to be written into holds already: studies, verdicts and data sets do not share one."""

import json
from collections.abc import Sequence
from pathlib import Path

from outcrop.attribution.outcomes import RECORD, StudyRecord, read_study_record
from outcrop.data.errors import ConflictError

VERDICT = "verdict.json"
HELD = {RECORD: "a study", VERDICT: "the verdict of a recipe", "dataset.json": "a recorded data set"}
"""What a file of this name tells of its folder."""


def check_study_folder(folder: Path, record: StudyRecord) -> None:
    """Raises :class:`ConflictError` where ``folder`` holds another study, or something else."""
    _refuse_others(folder, RECORD)
    if (folder / RECORD).exists():
        found = read_study_record(folder)
        if found.identity != record.identity:
            raise ConflictError(f"{folder} holds another study (of {found.model}). Choose another folder.")


def check_recipe_folder(folder: Path, recipe: str, models: Sequence[str]) -> None:
    """Raises :class:`ConflictError` where ``folder`` holds another recipe's or model's verdict, or something else."""
    _refuse_others(folder, VERDICT)
    if (folder / VERDICT).exists():
        found = json.loads((folder / VERDICT).read_text())
        if (found["recipe"], found["model"]) != (recipe, ", ".join(models)):
            raise ConflictError(
                f"{folder} holds the verdict of {found['recipe']} on {found['model']}. Choose another folder."
            )


def _refuse_others(folder: Path, own: str) -> None:
    for name, held in HELD.items():
        if name != own and (folder / name).exists():
            raise ConflictError(f"{folder} holds {held}. Choose another folder.")
