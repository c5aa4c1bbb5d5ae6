"""What a site adds to something that is known anyway, as columns of the table."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from outcrop.probes.plan import Plan
from outcrop.probes.usable import frequency_surprises

Float64Array = NDArray[np.float64]


def conditional_columns(plan: Plan, given: Sequence[Float64Array], both: Float64Array) -> dict[str, Float64Array]:
    """Columns in the order of the table's rows, in bits per sample, all out of fold.

    ``given``: per step the surprise (t, n) at the labels of a probe of what is given; ``both`` (t, cells, n): of a
    probe of that and the site. ``given_bits``: what the given tells of the label beyond the class frequencies;
    ``adds``: what the site tells beyond the given, with its interval over groups ``adds_low`` to ``adds_high``.
    """
    alone = np.stack([given[plan.steps.index(step)] for _, step in plan.cells], axis=1)
    evenly = frequency_surprises(plan.targets, plan.splits)
    columns: dict[str, list[Float64Array]] = {name: [] for name in ("given_bits", "adds", "adds_low", "adds_high")}
    for number, target in enumerate(plan.targets):
        known = target.known
        gain = (alone[number] - both[number])[:, known]
        low, high = plan.intervals(gain, target)
        told = (evenly[number] - alone[number])[:, known].mean(1)
        for name, values in zip(columns, (told, gain.mean(1), low, high), strict=True):
            columns[name].append(values)
    return {name: np.concatenate(parts) for name, parts in columns.items()}
