"""What is said where a name is not among those that there are."""

import pytest

from outcrop.data.counted import counted
from outcrop.data.patterns import near_misses


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        ([], " There are none."),
        (["zzz"], " There is only 'zzz'."),
        (["x", "y"], " There are 'x', 'y'."),
        (list("abcdfg"), " There are 'a', 'b', 'c', 'd' and 2 more."),
        (["style", "layout"], " Did you mean 'style'?"),
    ],
)
def test_what_there_is_or_comes_near_is_named(known: list[str], sentence: str) -> None:
    assert near_misses("stile", known) == sentence


def test_one_has_no_plural() -> None:
    assert [counted(count, "group") for count in (0, 1, 2)] == ["0 groups", "1 group", "2 groups"]
    assert counted(1200, "property", plural="properties") == "1,200 properties"
