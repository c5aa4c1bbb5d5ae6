"""Samples, sites and steps as pandas tables."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from outcrop.data.samples import Sample
from outcrop.data.schema import DatasetRecord

SAMPLE_COLUMNS = ("prompt", "negative_prompt", "seed", "template", "image")


def sample_table(samples: Sequence[Sample], labels: Sequence[str]) -> pd.DataFrame:
    """One row per sample, indexed by id."""
    rows = [
        {**{name: getattr(sample, name) for name in SAMPLE_COLUMNS}, **{name: sample.labels[name] for name in labels}}
        for sample in samples
    ]
    index = pd.Index([sample.id for sample in samples], name="id", dtype=str)
    return pd.DataFrame(rows, index=index, columns=[*SAMPLE_COLUMNS, *labels])


def site_table(dataset: DatasetRecord) -> pd.DataFrame:
    """One row per site in execution order, indexed by name."""
    rows = [site.model_dump() | {"reduction": dataset.reduction} for site in dataset.sites]
    return pd.DataFrame(rows).set_index("name")


def step_table(dataset: DatasetRecord) -> pd.DataFrame:
    """One row per recorded step, indexed 0, 1, ... in order of generation."""
    return pd.DataFrame([step.model_dump() for step in dataset.steps]).set_index("index")


def samples_of(table: pd.DataFrame, labels: Sequence[str]) -> tuple[Sample, ...]:
    """The rows of a sample table as samples with these labels: the way back from :func:`sample_table`."""
    rows: list[dict[str, Any]] = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    return tuple(
        Sample(
            id=str(name),
            labels={label: row[label] for label in labels},
            **{column: row[column] for column in SAMPLE_COLUMNS},
        )
        for name, row in zip(table.index, rows, strict=True)
    )
