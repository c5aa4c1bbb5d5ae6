"""What the figures and the report accept: anything that carries a probe frame, and a data set to illustrate it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import pandas as pd
from PIL import Image

from outcrop.data.errors import InputError
from outcrop.viz.accepts import PROBES, accept_frame, choose_names

BASELINE = "baseline"
"""The role of what is no site of the network: the latent, the prompt, the picture, an untrained copy."""


@runtime_checkable
class HasFrame(Protocol):
    """A result with a tidy ``frame``: one row per property, site and step (``outcrop.probes.table.ProbeTable``)."""

    @property
    def frame(self) -> pd.DataFrame: ...


class HasInfo(Protocol):
    """The part of ``outcrop.data.schema.DatasetRecord`` that a report shows."""

    @property
    def model(self) -> str: ...
    @property
    def spec(self) -> dict[str, Any]: ...
    @property
    def provenance(self) -> dict[str, Any]: ...


class HasSamples(Protocol):
    """The part of ``outcrop.data.dataset.Dataset`` that a report shows."""

    @property
    def uuid(self) -> str: ...
    @property
    def info(self) -> HasInfo: ...
    @property
    def samples(self) -> pd.DataFrame: ...
    @property
    def labels(self) -> pd.DataFrame: ...
    def images(self, ids: Sequence[str] | None = None) -> list[Image.Image]: ...


def read_frame(table: HasFrame | pd.DataFrame, figure: str = "The page") -> pd.DataFrame:
    """The checked frame of ``table``, for the ``figure`` of that name.

    Rows of baselines are left out where there are others: they have no place in the network.
    Raises ``InputError`` when the object has no frame, a column is missing, there are no rows, or a cell
    (property, site, step) occurs twice.
    """
    frame = accept_frame(figure, table, PROBES)
    if (frame["role"] != BASELINE).any():
        frame = frame[frame["role"] != BASELINE]
    twice = frame.duplicated(["property", "site", "step"])
    if twice.any():
        row = frame[twice].iloc[0]
        raise InputError(
            "expected one row per property, site and step; got several for "
            f"{row['property']!r}, {row['site']!r}, step {row['step']}. Select one result per cell before plotting."
        )
    return frame


def choose_properties(frame: pd.DataFrame, properties: Sequence[str] | None) -> tuple[str, ...]:
    """The properties to draw, in order of appearance unless named. Raises ``InputError`` for one that is unknown."""
    return choose_names(
        properties, [str(name) for name in frame["property"].unique()], what="properties", of="this table"
    )


def settings(table: HasFrame | pd.DataFrame) -> dict[str, Any]:
    """What the table remembers of how it was made; empty if it remembers nothing.

    From the ``provenance`` of a probe table: its ``spec``, the number of ``folds``, what was ``kept_apart`` and which
    properties are ``confounded``. From a bare frame: its ``attrs``.
    """
    provenance = getattr(table, "provenance", None)
    if not isinstance(provenance, Mapping):
        return {str(name): value for name, value in read_frame(table).attrs.items()}
    splits = provenance.get("splits", {})
    kept = {name: splits[name] for name in ("folds", "kept_apart") if name in splits}
    return {**provenance.get("spec", {}), **kept, "confounded": provenance.get("confounded", [])}


def confidence_of(table: HasFrame | pd.DataFrame) -> float | None:
    """The confidence of the table's intervals, if it remembers it."""
    value = settings(table).get("confidence")
    return None if value is None else float(value)
