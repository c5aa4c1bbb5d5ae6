"""A column that is read by rows says of itself what the column in memory says."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from outcrop.data.errors import DataError
from outcrop.probes.design import fit_standards
from outcrop.probes.features import feature_matrix
from outcrop.probes.row_stream import RowStream, widen


@dataclass
class Stored:
    """Columns that lie elsewhere; ``read`` counts their rows that were asked for."""

    columns: dict[str, np.ndarray]
    read: int = 0
    uuid: str = "stored"

    @property
    def samples(self) -> pd.DataFrame:
        return pd.DataFrame(index=[f"{k:016x}" for k in range(len(next(iter(self.columns.values()))))])

    def activations(self, site: str, *, step: int) -> np.ndarray:
        return self.columns[site]

    def rows(self, site: str, step: int, rows: np.ndarray) -> np.ndarray:
        self.read += len(rows)
        return self.columns[site][rows]


@pytest.fixture
def stored() -> Stored:
    rng = np.random.default_rng(0)
    half = (5 + rng.standard_normal((90, 2, 4))).astype(np.float16)
    half[:, 1, 1], half[30:, 0, 3] = 2, 7
    return Stored({"half": half, "single": rng.standard_normal((90, 3)).astype(np.float32)})


def test_every_finite_half_is_widened_exactly() -> None:
    every = np.arange(2**16, dtype=np.uint16)
    finite = every[np.isfinite(every.view(np.float16))][None]
    result = np.empty(finite.shape, np.float32)
    widen(finite, np.zeros(finite.shape[1], np.float32), result)
    assert result.tobytes() == finite.view(np.float16).astype(np.float32).tobytes()


@pytest.mark.parametrize("memory", [1, 16 * 11 * 4 * 7, 2**30])
def test_its_parts_are_all_rows_less_the_means(stored: Stored, memory: int) -> None:
    beside = np.linspace(0, 1, 180, dtype=np.float32).reshape(90, 2)
    column = RowStream(stored, ("half", beside, "single"), 0, memory)
    whole = np.concatenate([stored.columns["half"].reshape(90, 8), beside, stored.columns["single"]], axis=1)
    assert column.shape == whole.shape
    places, parts = zip(*[(own, part.copy()) for own, part in column.parts()], strict=True)
    assert [own.start for own in places[1:]] == [own.stop for own in places[:-1]]
    assert max(len(part) for part in parts) == min(90, max(1, memory // (16 * 13 * 4)))
    np.testing.assert_allclose(np.concatenate(parts), whole - whole.mean(0, dtype=np.float64), atol=1e-6)
    np.testing.assert_array_equal(column.survey.constant, np.arange(13) == 5)


def test_standards_of_many_sets_of_rows_are_those_of_each(stored: Stored) -> None:
    """One feature is constant in the last sixty rows only."""
    rng = np.random.default_rng(1)
    rows = np.stack([rng.random(90) < 0.5, np.arange(90) >= 30, np.ones(90, bool), np.arange(90) < 31])
    found = RowStream(stored, ("half",), 0, 2000).standards(rows)
    whole = feature_matrix(stored, "half", step=0)
    for own, standards in zip(rows, found, strict=True):
        expected = fit_standards(whole[own])
        np.testing.assert_allclose(standards.mean, expected.mean, rtol=1e-6)
        np.testing.assert_allclose(standards.inverse_scale, expected.inverse_scale, rtol=1e-5)
    assert found[1].inverse_scale[3] == 0 < found[2].inverse_scale[3]


def test_values_that_are_not_finite_are_refused_as_in_memory(stored: Stored) -> None:
    stored.columns["half"][[7, 80], 1, [2, 3]] = np.nan, np.inf
    with pytest.raises(DataError, match="2 of 90 samples") as here:
        RowStream(stored, ("half",), 3, 2000).survey  # noqa: B018  # a first pass
    with pytest.raises(DataError) as there:
        feature_matrix(stored, "half", step=3)
    assert str(here.value) == str(there.value)


def test_the_digest_tells_columns_apart(stored: Stored) -> None:
    same, other = Stored(stored.columns), Stored({"half": stored.columns["half"].copy()})
    other.columns["half"][89, 1, 3] += 1
    digests = [RowStream(own, ("half",), 0, 2000).survey.digest for own in (stored, same, other)]
    assert digests[0] == digests[1] != digests[2]
