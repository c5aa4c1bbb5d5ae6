"""What pydantic finds wrong with plain data, told as a user wrote them: one line a fault, without its inner names."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from outcrop.data.patterns import did_you_mean


def fault_lines(problems: Sequence[Any], *, inner: Collection[str] = (), keys: Iterable[str] = ()) -> list[str]:
    """A line for each of ``problems`` (``ValidationError.errors()``): where, what was expected, what came.

    ``inner`` are names of branches of unions, which are no part of what was written. ``keys`` are the keys that there
    are, for near misses of those that there are not.
    """
    known = list(keys)
    told = [problem for problem in problems if problem["type"] != "too_short" or not _emptied(problem, problems)]
    return list(dict.fromkeys(_line(problem, inner, known) for problem in told))


def shorten(value: object, *, limit: int = 80) -> str:
    """``value`` as Python writes it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _emptied(problem: Any, problems: Sequence[Any]) -> bool:
    """Whether a list is too short only because what stands in it has faults of its own."""
    place = problem["loc"]
    return any(len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in problems)


def _line(problem: Any, inner: Collection[str], known: Sequence[str]) -> str:
    parts = [str(part) for part in problem["loc"]]
    place = ".".join(part for part in parts if part not in inner and not part.startswith("tuple["))
    kind = problem["type"]
    if kind == "missing":
        return f"  {place}: is missing"
    if kind == "extra_forbidden":
        near = did_you_mean(parts[-1], known)
        return f"  {place}: there is no such key.{near} Got {shorten(problem['input'])}."
    if kind == "union_tag_invalid":
        key = problem["ctx"]["discriminator"].strip("'")
        return f"  {place}.{key}: must be one of {problem['ctx']['expected_tags']}. Got {problem['ctx']['tag']!r}."
    if kind == "union_tag_not_found":
        return f"  {place}: {problem['ctx']['discriminator']} is missing"
    said = problem["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list")
    if not place:
        return f"  {said}"
    return f"  {place}: {said}" if "Got " in said else f"  {place}: {said}. Got {shorten(problem['input'])}."
