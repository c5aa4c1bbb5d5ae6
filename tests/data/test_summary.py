"""What a data set shows of itself, and that nothing in it acts as markup or steers a terminal."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from outcrop.data.dataset import open_dataset
from outcrop.data.samples import Sample
from outcrop.data.summary import describe_label, printable, size_text

HOSTILE = "<script>alert(1)</script>\x1b[31m&\u202e\n"


def test_both_forms_name_what_there_is(folder: Path) -> None:
    ds = open_dataset(folder)
    for text in (repr(ds), ds._repr_html_()):
        for word in ("planted", "8 samples", "mid_block", "up_blocks.0", "disc 4, star 4", "float16", "none stated"):
            assert word in text
        assert text.index("mid_block") < text.index("up_blocks.0")


def test_what_a_stranger_wrote_is_shown_not_obeyed(
    tmp_path: Path, write: Callable[..., None], new_record: Callable
) -> None:
    sample = Sample("0" * 15 + "1", "a cat", 0, labels={"content": HOSTILE}, image="")
    record = new_record(model=HOSTILE, labels=("content",), planned=1, licences={HOSTILE: HOSTILE})
    write(tmp_path / "<img src=x>", record, [sample])
    ds = open_dataset(tmp_path / "<img src=x>")
    html, text = ds._repr_html_(), repr(ds)
    assert not re.search(r"<(script|img)", html)
    assert "&lt;script&gt;" in html
    for shown in (html, text):
        assert not {"\x1b", "\u202e"} & set(shown)
    assert all(line.isprintable() for line in text.splitlines())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", "b", "a"], "2 classes: a 2, b 1"),
        ([0.5 * k for k in range(20)], "0 to 9.5, mean 4.75"),
        (["a", None, ""], "1 class: a 1; 2 without a value"),
        (list(range(20)), "20 classes: 0 1, 1 1"),
    ],
)
def test_a_label_is_described_by_its_kind(values: list, expected: str) -> None:
    assert describe_label(pd.Series(values)).startswith(expected)


def test_long_values_are_cut_and_sizes_said() -> None:
    assert len(printable("x" * 500)) == 80
    assert [size_text(n) for n in (12, 3_400, 5.6e9, 7e12)] == ["12 bytes", "3.4 kB", "5.6 GB", "7 TB"]
