"""Names chosen by glob, with near misses for a pattern that matches nothing."""

import difflib
import fnmatch
from collections.abc import Iterable, Sequence

from outcrop.data.errors import InputError


def match_names(patterns: Sequence[str], names: Sequence[str], *, kind: str) -> list[str]:
    """The ``names``, in their own order, that match any of the glob ``patterns``.

    Raises :class:`InputError`, naming near misses, for a pattern that matches nothing.
    """
    chosen: set[str] = set()
    for pattern in patterns:
        matched = fnmatch.filter(names, pattern)
        if not matched:
            raise InputError(f"{kind} pattern {pattern!r} matches nothing.{near_misses(pattern, names)}")
        chosen.update(matched)
    return [name for name in names if name in chosen]


def near_misses(name: str, known: Iterable[str], *, count: int = 4) -> str:
    """A sentence that names what comes nearest, or lists the first names; starts with a space."""
    names = list(known)
    if close := did_you_mean(name, names, count=count):
        return close
    if len(names) < 2:
        return f" There is only {names[0]!r}." if names else " There are none."
    listed = ", ".join(repr(known_name) for known_name in names[:count])
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return f" There are {listed}{more}."


def did_you_mean(name: str, known: Iterable[str], *, count: int = 4, cutoff: float = 0.4) -> str:
    """A sentence that names what comes nearest, starting with a space; empty if nothing comes near."""
    close = difflib.get_close_matches(name.strip("*"), list(known), n=count, cutoff=cutoff)
    return f" Did you mean {', '.join(repr(match) for match in close)}?" if close else ""
