"""How many of what, as a phrase."""


def counted(count: int, noun: str, *, plural: str = "") -> str:
    """``1 group``, ``2 groups``; ``plural`` where it takes more than an s.

    >>> counted(1, "property", plural="properties"), counted(1200, "row")
    ('1 property', '1,200 rows')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
