"""Parquet of strangers goes through a limited child first; what this user wrote does not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from outcrop.data import safe_tables
from outcrop.data.errors import DataError
from outcrop.data.safe_tables import note_checked, read_table


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def test_a_sound_table_comes_back_through_the_child_and_is_known_afterwards(cache: Path) -> None:
    table = pd.DataFrame(
        {"prompt": ["a", "b"], "seed": [1, 2], "size": [0.5, np.nan]}, index=pd.Index(["x", "y"], name="id")
    )
    content = table.to_parquet()
    pd.testing.assert_frame_equal(read_table(content, where="t"), table)
    assert len(list((cache / "outcrop" / "checked").iterdir())) == 1
    pd.testing.assert_frame_equal(read_table(content, where="t"), table)


def test_what_was_written_here_needs_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    content = pd.DataFrame({"a": [1]}).to_parquet()
    note_checked(content)
    monkeypatch.setattr(safe_tables, "_CHILD", "raise SystemExit('a child ran')")
    assert list(read_table(content, where="t")["a"]) == [1]


def dictionary_bomb() -> bytes:
    """Few kilobytes that say: the same megabyte, two thousand times."""
    words = pa.DictionaryArray.from_arrays(pa.array(np.zeros(2000, np.int32)), ["x" * 2**20])
    return parquet(pa.table({"a": words}))


HOSTILE = {
    "nothing": lambda: b"",
    "no_parquet": lambda: b"PAR1" + b"\0" * 100 + b"PAR1",
    "a_pickle": lambda: b"\x80\x04cposix\nsystem\n",
    "cut": lambda: pd.DataFrame({"a": range(1000)}).to_parquet()[:-20],
    "a_footer_of_gigabytes": lambda: b"PAR1" + b"\0" * 8 + b"\xff\xff\xff\x7fPAR1",
    "nested": lambda: parquet(pa.table({"a": [[[1, 2]]]})),
    "binary": lambda: parquet(pa.table({"a": [b"x"]})),
    "a_bomb": dictionary_bomb,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_table_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="t is no table that Outcrop reads") as refusal:
        read_table(HOSTILE[name](), where="t")
    assert len(str(refusal.value)) < 600


def test_a_child_that_crashes_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    content = pd.DataFrame({"a": [1]}).to_parquet()
    monkeypatch.setattr(safe_tables, "_CHILD", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(DataError, match="ended with code -11"):
        read_table(content, where="t")
