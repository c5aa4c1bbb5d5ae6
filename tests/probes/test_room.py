"""A column that is larger than the memory is told before any work."""

import dataclasses
import warnings
from types import SimpleNamespace

import pandas as pd
import pytest

from outcrop.data.errors import InputError
from outcrop.probes.room import RoomWarning, check_room, free_memory
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.sweep import probe


@dataclasses.dataclass
class Shaped:
    """What the check looks at: 100 samples of a site of 10 features, and of one of 1,000."""

    sites: pd.DataFrame
    samples: pd.DataFrame


@pytest.fixture
def shaped() -> Shaped:
    sites = pd.DataFrame({"shape": [(10,), (10, 10, 10), None]}, index=["narrow", "wide", "unstated"])
    return Shaped(sites, pd.DataFrame(index=range(100)))


def test_a_column_larger_than_the_memory_is_refused_with_the_ways_out(shaped: Shaped) -> None:
    with pytest.raises(InputError, match=r"'wide' holds 100 samples x 1,000 features.*--reduction mean.*--site"):
        check_room(shaped, ["narrow", "wide"], free=399_999)


def test_where_samples_outnumber_features_the_column_can_be_read_by_rows(shaped: Shaped) -> None:
    with pytest.raises(InputError, match=r"'narrow'.*Have it read by rows \(--memory 1MiB.*Capture with"):
        check_room(shaped, ["narrow"], free=3_999)
    with pytest.warns(RoomWarning, match="Have it read by rows"):
        check_room(shaped, ["narrow"], free=4_000)


def test_what_a_cell_takes_is_warned_of(shaped: Shaped) -> None:
    with pytest.warns(RoomWarning, match=r"a cell takes up to .* may be ended for want of memory\. Capture with"):
        check_room(shaped, ["wide"], free=400_000)


def test_what_fits_or_is_not_known_is_silent(shaped: Shaped) -> None:
    with warnings.catch_warnings(action="error"):
        check_room(shaped, ["wide"], free=2_800_000)
        check_room(shaped, ["narrow", "unstated"], free=12_000)
        check_room(shaped, ["wide"], free=None)
    assert (free_memory() or 1) > 0


def test_a_sweep_is_refused_before_anything_is_read(recording) -> None:
    sites = recording.sites.assign(shape=[(10**6, 10**6)] * 4)
    tables = {name: getattr(recording, name) for name in ("uuid", "steps", "samples", "labels")}
    unreadable = SimpleNamespace(sites=sites, **tables)
    with pytest.raises(InputError, match="must fit into memory as a whole"):
        probe(unreadable, spec=ProbeSpec(group_by=("template",)))
