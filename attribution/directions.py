"""Directions to steer along: what a probe reads, and the difference of two classes' means."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from outcrop.attribution.interventions import Vector
from outcrop.data.errors import InputError
from outcrop.data.patterns import near_misses
from outcrop.probes.table import ProbeTable, weights_key


def probe_direction(
    probes: ProbeTable, property_name: str, *, site: str, step: int, towards: str, away: str | None = None
) -> Vector:
    """The unit vector (d,) along which the probe's odds of ``towards`` over ``away`` grow fastest.

    ``away`` left out: over the mean of the other classes. A dose is then the length of what is added, in units of the
    activation. Raises :class:`InputError` for a probe or class that is not in the table.
    """
    key = weights_key(property_name, site, step)
    if key not in probes.weights:
        raise InputError(f"The table has no probe {key!r}.{near_misses(key, list(probes.weights))}")
    classes = [str(name) for name in probes.provenance["classes"][property_name]]
    coef = np.asarray(probes.weights[key].coef, np.float64)
    if len(coef) == 1:  # two classes, one row of scores: it points towards the second
        coef = np.concatenate([-coef, coef])
    one, others = _rows(classes, towards, away)
    direction = coef[one] - coef[others].mean(0)
    return _vector(direction / np.linalg.norm(direction))


def mean_difference(
    features: NDArray[np.floating], labels: Sequence[str], *, towards: str, away: str | None = None
) -> Vector:
    """The mean of the rows (n, d) of class ``towards`` less that of ``away``, or of all others.

    A dose of 1 takes one mean to the other (difference of means: Marks and Tegmark 2023, arXiv:2310.06824). Raises
    :class:`InputError` for a class without rows.
    """
    names = np.asarray(labels, dtype=np.str_)
    classes = sorted(set(names.tolist()))
    one, others = _rows(classes, towards, away)
    ours = features[names == classes[one]].astype(np.float64)
    theirs = features[np.isin(names, [classes[place] for place in others])].astype(np.float64)
    return _vector(ours.mean(0) - theirs.mean(0))


def _rows(classes: Sequence[str], towards: str, away: str | None) -> tuple[int, list[int]]:
    for name in (towards, *(() if away is None else (away,))):
        if name not in classes:
            raise InputError(f"There is no class {name!r}.{near_misses(name, list(classes))}")
    one = classes.index(towards)
    others = [place for place, name in enumerate(classes) if place != one and away in {None, name}]
    if not others:
        raise InputError(f"A direction towards {towards!r} needs another class to come from.")
    return one, others


def _vector(values: NDArray[np.float64]) -> Vector:
    return tuple(float(value) for value in values)
