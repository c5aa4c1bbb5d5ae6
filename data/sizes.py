"""Sizes in bytes as people write them."""

import re

from outcrop.data.errors import InputError

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def parse_size(text: str) -> int:
    """Bytes from text such as ``800MB``, ``2GiB`` or ``1.5G``. Raises :class:`InputError` for anything else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]i?|)b?\s*", text, re.IGNORECASE)
    if match is None:
        raise InputError(f"A size must be a number with a unit, such as 800MB or 2GiB. Got {text!r}.")
    return int(float(match[1]) * UNITS[match[2].lower()])
