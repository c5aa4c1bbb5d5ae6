"""Sizes as people write them."""

import pytest

from outcrop.data.errors import InputError
from outcrop.data.sizes import parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("800MB", 800 * 10**6), ("2GiB", 2**31), ("1.5G", 15 * 10**8), ("64 kib", 2**16), ("4096", 4096), ("7b", 7)],
)
def test_sizes_are_read_with_their_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-2GB", "2TBs", "GB", "1e9"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="such as 800MB or 2GiB"):
        parse_size(text)
