"""What a figure accepts: each kind of result, and the one error for everything else."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from outcrop.data.errors import InputError
from outcrop.data.patterns import did_you_mean, near_misses

Given = TypeVar("Given")

MOST_NAMES = 6  # of the columns that an error names


@dataclass(frozen=True)
class Kind:
    """A kind of result: its ``name`` as an error says it, ``made``: how to come by one.

    ``parts``: what such an object has; ``columns``: those of its table.
    """

    name: str
    made: str
    parts: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


PROBES = Kind(
    "a probe table",
    'outcrop.probe(ds) makes one, outcrop.ProbeTable.load("DIR") reads one.',
    columns=(
        "property", "site", "step", "timestep", "noise", "depth", "role", "order", "n", "classes", "groups", "group_by",
        "accuracy", "low", "high", "chance", "majority", "control", "selectivity", "selectivity_low",
        "selectivity_high",
    ),
)  # fmt: skip
_READ_EFFECTS = 'outcrop.attribution.effect_table.EffectTable.load("DIR") reads one (of outcrop attribute --effects).'
EFFECTS = Kind("an EffectTable", _READ_EFFECTS, columns=("property", "site", "control", "effect", "low", "high"))
SCORES = Kind("an EffectTable", _READ_EFFECTS, parts=("frame", "scores", "properties"))
OUTCOMES = Kind(
    "the Outcomes of a study",
    'outcrop.attribution.load_outcomes("DIR") reads them.',
    parts=("record", "pairs", "donors", "receivers", "cell_images"),
)
AGREEMENT = Kind(
    "an Agreement",
    "outcrop.attribution.agreement.compare_with_probes(table, effects) makes one.",
    parts=("correlations", "least"),
    columns=("property", "site", "decodable", "decodable_low", "decodable_high", "effect", "low", "high", "reading"),
)
LABOUR = Kind(
    "a Labour under the name of each family",
    'outcrop.attribution.labour.division_of_labour(effects) makes one: {"NAME": labour}.',
    parts=("index", "low", "high", "profiles"),
)
CURVE = Kind(
    "a learning curve",
    "outcrop.probes.learning_curve(ds, ...) makes one.",
    columns=("samples", "accuracy", "low", "high", "chance", "majority"),
)
TRANSFER = Kind(
    "a transfer matrix",
    "outcrop.probes.transfer_matrix(ds, ...) makes one.",
    columns=("site", "step", "tested_site", "tested_step", "accuracy"),
)
ALIGNMENT = Kind("an array of alignments (site, site)", "outcrop.probes.alignment_matrix(features) makes one.")
ATLAS = Kind(
    "an Atlas", "outcrop.atlas(ds) makes one.", parts=("property_values", "coordinates", "trustworthiness", "place")
)
DATASET = Kind(
    "a data set", 'outcrop.open_dataset("DIR") opens one.', parts=("select", "images", "activations", "samples")
)
FIGURE = Kind("a matplotlib Figure", "The functions outcrop.viz.plot_... make them.", parts=("savefig", "get_axes"))


def refusal(figure: str, given: object, kind: Kind, *, lacking: Sequence[str] = ()) -> InputError:
    """The error for what ``figure`` does not take: what it takes, what came, how to come by the right thing."""
    came = _came(given)
    if lacking:
        more = len(lacking) - MOST_NAMES
        came += f" without the column{'s' * (len(lacking) > 1)} {', '.join(lacking[:MOST_NAMES])}" + (
            f" and {more} more" if more > 0 else ""
        )
    return InputError(f"{figure} takes {kind.name}; {came} came. {kind.made}")


def accept(figure: str, given: Given, kind: Kind) -> Given:
    """``given``, if it has the parts of ``kind``. Raises ``InputError`` for anything else."""
    # A table has its columns as parts.
    if isinstance(given, type | pd.DataFrame) or not all(hasattr(given, part) for part in kind.parts):
        raise refusal(figure, given, kind)
    return given


def accept_frame(figure: str, given: object, kind: Kind, *, also: Sequence[str] = ()) -> pd.DataFrame:
    """The table of ``given`` (a DataFrame, or what has one as ``frame``), if it has rows, and all columns.

    These are those of ``kind``, and ``also``. Raises ``InputError`` for anything else.
    """
    frame = given if isinstance(given, pd.DataFrame) else getattr(given, "frame", None)
    if not isinstance(frame, pd.DataFrame):
        raise refusal(figure, given, kind)
    lacking = [name for name in (*kind.columns, *also) if name not in frame.columns]
    if lacking and len(frame.columns):
        raise refusal(figure, given, kind, lacking=lacking)
    if frame.empty:
        raise InputError(f"{figure} takes {kind.name} with at least one row; one without rows came. {kind.made}")
    return frame


def _came(given: object) -> str:
    """``a list``, ``an EffectTable``, ``the text 'runs/demo'``, ``None``."""
    if given is None:
        return "None"
    if isinstance(given, str):
        return f"the text {given!r}"
    if isinstance(given, type):
        return f"the class {given.__name__} itself"
    name = type(given).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def choose_names(wanted: object, known: Iterable[str], *, what: str, of: str) -> tuple[str, ...]:
    """``wanted`` as names, if there is at least one and all are among ``known``; ``None``: all of them.

    Raises ``InputError``, which speaks of the ``what`` (sites) ``of`` (this table), for anything else.
    """
    names = tuple(known)
    if wanted is None:
        return names
    if isinstance(wanted, str) or not isinstance(wanted, Iterable) or not (chosen := tuple(wanted)):
        raise InputError(f"expected {what} as a list of at least one name; got {wanted!r}.{near_misses('', names)}")
    unknown = [name for name in chosen if name not in names]
    if unknown:
        nearest = did_you_mean(str(unknown[0]), names, cutoff=0.6) or near_misses("", names)
        raise InputError(f"expected {what} of {of}; got {', '.join(map(repr, unknown))}.{nearest}")
    return chosen


def choose_numbers(wanted: object, known: Sequence[int], *, what: str) -> list[int]:
    """``wanted`` as whole numbers of ``known``, at least one. Raises ``InputError``, which speaks of ``what``."""
    chosen = list(wanted) if isinstance(wanted, Iterable) and not isinstance(wanted, str) else []
    if not chosen or not all(isinstance(one, int | np.integer) and one in known for one in chosen):
        there = f"{known[0]} to {known[-1]}" if isinstance(known, range) else ", ".join(map(str, sorted(known)))
        raise InputError(f"{what} must be a list of at least one of {there}. Got {chosen or wanted!r}.")
    return [int(one) for one in chosen]
