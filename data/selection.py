"""Choosing sites, steps and samples by what they are: names, roles, times, noise levels, labels."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from outcrop.data.column import Rows
from outcrop.data.errors import InputError
from outcrop.data.patterns import match_names, near_misses

Where = str | Mapping[str, Any]
Span = float | tuple[float, float]


def choose_sites(sites: pd.DataFrame, patterns: str | Sequence[str] | None, role: str | None) -> list[str]:
    """Names in execution order: those that match a glob of ``patterns`` and have ``role``."""
    names = [str(name) for name in sites.index]
    if patterns is not None:
        names = match_names([patterns] if isinstance(patterns, str) else list(patterns), names, kind="Site")
    if role is None:
        return names
    chosen = [name for name in names if sites.loc[name, "role"] == role]
    if not chosen:
        raise InputError(f"No chosen site has the role {role!r}.{near_misses(role, sites['role'].unique())}")
    return chosen


def choose_steps(
    steps: pd.DataFrame,
    wanted: int | Iterable[int] | None = None,
    *,
    timestep: Span | None = None,
    noise: Span | None = None,
) -> list[int]:
    """Step indices in order: those ``wanted``, or by ``timestep`` or ``noise``; a number means the recorded step that
    is nearest to it, a pair all from the lower to the higher.
    """
    given = [value is not None for value in (wanted, timestep, noise)]
    if sum(given) > 1:
        raise InputError("Give step, timestep or noise, not several of them.")
    if timestep is not None:
        return _within(steps, "timestep", timestep)
    if noise is not None:
        return _within(steps, "noise", noise)
    known = [int(index) for index in steps.index]
    if wanted is None:
        return known
    chosen = [int(wanted)] if isinstance(wanted, int | np.integer) else [int(step) for step in wanted]
    for step in chosen:
        if step not in known:
            span = f"0 to {len(known) - 1}" if known == list(range(len(known))) else str(known)
            raise InputError(f"step must be one of {span}. Got {step}.")
    if not chosen:
        raise InputError(f"steps must name at least one step. Got none; there are {known}.")
    return [step for step in known if step in chosen]


def choose_one_step(
    steps: pd.DataFrame, step: int | None, *, timestep: float | None = None, noise: float | None = None
) -> int:
    """The one step that is meant; it may be left out where there is only one."""
    chosen = choose_steps(steps, step, timestep=timestep, noise=noise)
    if len(chosen) > 1:
        raise InputError(f"step must be one of {chosen}. Got none: give step, timestep or noise.")
    return chosen[0]


def choose_rows(samples: pd.DataFrame, where: Where | None, ids: Sequence[str] | None) -> Rows:
    """Positions of the samples: all, those for which ``where`` holds, those of ``ids`` (in the order given), or both.

    ``where`` is a query over the columns of ``samples`` as pandas understands it (``"content == 'star' and seed < 9"``;
    a name such as ``content:oracle`` stands between backticks), or a mapping from columns to one value or several.
    """
    rows = np.arange(len(samples)) if ids is None else find_rows(samples, ids)
    if where is None:
        return rows
    keep = _holds(samples, where)
    chosen: Rows = rows[keep[rows]]
    if not len(chosen):
        raise InputError(f"No sample fulfils {where!r}. Look at the values in ds.labels.")
    return chosen


def find_rows(samples: pd.DataFrame, ids: Sequence[str]) -> Rows:
    """Positions of ``ids``. Raises :class:`InputError` for one that is not there."""
    rows = samples.index.get_indexer(pd.Index(list(ids), dtype=str))
    if (rows < 0).any():
        unknown = list(ids)[int(np.argmax(rows < 0))]
        raise InputError(f"There is no sample {unknown!r}. Ids stand in samples.index.")
    return rows.astype(np.int64)


def _holds(samples: pd.DataFrame, where: Where) -> np.ndarray:
    if isinstance(where, str):
        try:
            return np.asarray(samples.eval(where, engine="python"), dtype=bool)
        except Exception as error:
            raise InputError(
                f"where={where!r} is no query over the columns {list(samples.columns)}: {error}. "
                "Example: \"content == 'star' and seed < 9\"."
            ) from error
    keep = np.ones(len(samples), dtype=bool)
    for name, value in where.items():
        if name not in samples.columns:
            raise InputError(f"There is no column {name!r}.{near_misses(name, map(str, samples.columns))}")
        values = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
        keep &= samples[name].isin(values).to_numpy()
    return keep


def _within(steps: pd.DataFrame, column: str, wanted: Span) -> list[int]:
    values = steps[column].to_numpy(dtype=float)
    if not isinstance(wanted, tuple):
        return [int(steps.index[int(np.argmin(np.abs(values - wanted)))])]
    low, high = wanted
    chosen = [int(index) for index, value in zip(steps.index, values, strict=True) if low <= value <= high]
    if not chosen:
        raise InputError(f"No recorded step has a {column} from {low} to {high}; there are {values.tolist()}.")
    return chosen
