"""One data set as several: by a query, or by fractions that keep groups whole."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.data.derive import Parent, Rows, derived_record, open_parent, read_rows, read_sample_table, write_derived
from outcrop.data.errors import InputError
from outcrop.data.patterns import near_misses


def split_by_query(path: str | Path, out: str | Path, query: str) -> dict[str, int]:
    """Write ``out/selected``, the samples for which the pandas ``query`` holds, and ``out/rest``; how many each has.

    Raises :class:`InputError` for a query that does not parse or names no column.
    """
    parent = open_parent(Path(path))
    table = read_sample_table(parent)
    try:
        chosen = table.eval(query, engine="python")
        mask = np.asarray(chosen, dtype=bool)
    except Exception as error:
        raise InputError(f"The query {query!r} cannot be evaluated: {error}. Columns: {list(table)}.") from error
    if mask.shape != (len(table),):
        raise InputError(f"The query {query!r} does not say yes or no for each sample.")
    parts = {"selected": np.flatnonzero(mask), "rest": np.flatnonzero(~mask)}
    return _write_parts(parent, Path(out), parts, {"operation": "split", "query": query})


def split_by_fraction(
    path: str | Path,
    out: str | Path,
    parts: Mapping[str, float],
    *,
    group_by: Sequence[str] = ("prompt",),
    seed: int = 0,
) -> dict[str, int]:
    """Write ``out/<part>`` for each of ``parts``, name to fraction; how many samples each has.

    Samples that share a value in any column of ``group_by`` stay together, directly or through others. Raises
    :class:`InputError` for fractions that do not sum to 1, unknown columns, or fewer groups than parts.
    """
    if not parts or any(share <= 0 for share in parts.values()) or abs(sum(parts.values()) - 1) > 1e-6:
        raise InputError(f"The fractions must be positive and sum to 1. Got {dict(parts)}.")
    if unsafe := [name for name in parts if not name.isidentifier()]:
        raise InputError(f"A part becomes a folder; {unsafe[0]!r} is no name of letters, digits and '_'.")
    parent = open_parent(Path(path))
    table = read_sample_table(parent)
    if unknown := [name for name in group_by if name not in table]:
        raise InputError(f"There is no column {unknown[0]!r} to group by.{near_misses(unknown[0], table.columns)}")
    groups = whole_groups(table, group_by)
    chosen = _deal(groups, parts, seed)
    operation = {"operation": "split", "parts": dict(parts), "group_by": list(group_by), "seed": seed}
    return _write_parts(parent, Path(out), chosen, operation)


def whole_groups(table: pd.DataFrame, columns: Sequence[str]) -> NDArray[np.int64]:
    """(sample,): the number of the group of each; two samples with one value in common are in one group."""
    groups = np.arange(len(table))
    codes = [pd.factorize(table[name])[0] for name in columns]
    while True:
        before = groups
        for code in codes:
            lowest = np.full(code.max() + 1, len(table))
            np.minimum.at(lowest, code, groups)
            groups = lowest[code]
        if np.array_equal(before, groups):
            return groups


def _deal(groups: NDArray[np.int64], parts: Mapping[str, float], seed: int) -> dict[str, NDArray[np.int64]]:
    """Groups in random order, each to the part that lacks most of its share."""
    names, sizes = np.unique(groups, return_counts=True)
    if len(names) < len(parts):
        raise InputError(f"There are {len(names)} groups for {len(parts)} parts. Group by a finer column.")
    missing = {part: share * len(groups) for part, share in parts.items()}
    given: dict[str, list[int]] = {part: [] for part in parts}
    for place in np.random.default_rng(seed).permutation(len(names)):
        part = max(missing, key=lambda name: missing[name])
        given[part].append(int(names[place]))
        missing[part] -= int(sizes[place])
    return {part: np.flatnonzero(np.isin(groups, chosen)) for part, chosen in given.items()}


def _write_parts(
    parent: Parent, out: Path, parts: Mapping[str, NDArray[np.int64]], operation: Mapping[str, Any]
) -> dict[str, int]:
    if empty := [name for name, places in parts.items() if len(places) == 0]:
        raise InputError(f"The part {empty[0]!r} would have no sample. Choose another query or other fractions.")
    for name, places in parts.items():
        record = derived_record(
            [parent],
            operation={**operation, "part": name},
            planned=len(places),
            shard_samples=parent.record.shard_samples,
        )
        write_derived(out / name, record, _chosen_rows(parent, places))
    return {name: len(places) for name, places in parts.items()}


def _chosen_rows(parent: Parent, places: NDArray[np.int64]) -> Iterator[tuple[Parent, Rows]]:
    start = 0
    for rows in read_rows(parent):
        end = start + len(rows.samples)
        here = [int(place) - start for place in places if start <= place < end]
        if here:
            yield parent, rows.take(here)
        start = end
