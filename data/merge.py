"""Several runs of one model as one data set."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from outcrop.data.derive import Parent, Rows, derived_record, open_parent, read_rows, read_sample_table, write_derived
from outcrop.data.errors import InputError
from outcrop.data.schema import DatasetRecord

FIELDS = ("model", "dtype", "reduction", "half", "labels")
WEIGHTS = "weights_sha256"


def merge_datasets(paths: Sequence[str | Path], out: str | Path) -> int:
    """Write a data set with the samples of all ``paths`` (folders or shards), in their order; how many they are.

    Raises :class:`InputError`, naming the fields, for runs that differ in more than prompts and seeds, and for a sample
    that two of them hold.
    """
    if not paths:
        raise InputError("Give at least one data set to merge.")
    parents = [open_parent(Path(path)) for path in paths]
    for other in parents[1:]:
        if differing := differing_fields(parents[0].record, other.record):
            raise InputError(
                f"{parents[0].path} and {other.path} cannot be merged: they differ in {'; '.join(differing)}."
            )
    tables = [read_sample_table(parent) for parent in parents]
    for (first, table), (second, other_table) in itertools.combinations(zip(parents, tables, strict=True), 2):
        if both := sorted(set(table.index) & set(other_table.index)):
            raise InputError(f"{first.path} and {second.path} both hold sample {both[0]!r} ({len(both)} in all).")
    for name in parents[0].record.labels:
        kinds = {table[name].map(type).mode()[0] is str for table in tables}
        if len(kinds) > 1:
            raise InputError(f"Label {name!r} is text in one data set and a number in another. They cannot be merged.")
    record = derived_record(
        parents,
        operation={"operation": "merge"},
        planned=sum(map(len, tables)),
        shard_samples=max(parent.record.shard_samples for parent in parents),
    )
    return write_derived(Path(out), record, _all_rows(parents))


def differing_fields(first: DatasetRecord, second: DatasetRecord) -> list[str]:
    """What keeps two runs apart, as ``field: there, here``."""
    fields: dict[str, tuple[Any, Any]] = {name: (getattr(first, name), getattr(second, name)) for name in FIELDS}
    fields["sites"] = _sites(first), _sites(second)
    fields["steps"] = _timesteps(first), _timesteps(second)
    fields[WEIGHTS] = (first.provenance.get(WEIGHTS), second.provenance.get(WEIGHTS))
    return [f"{name} ({_short(one)} and {_short(two)})" for name, (one, two) in fields.items() if one != two]


def _sites(record: DatasetRecord) -> list[tuple[str, tuple[int, ...]]]:
    return [(site.name, site.shape) for site in record.sites]


def _timesteps(record: DatasetRecord) -> list[float]:
    return [step.timestep for step in record.steps]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _all_rows(parents: Sequence[Parent]) -> Iterator[tuple[Parent, Rows]]:
    for parent in parents:
        for rows in read_rows(parent):
            yield parent, rows
