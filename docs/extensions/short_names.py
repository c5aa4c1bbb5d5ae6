"""The table of names that ``import outcrop as oc`` offers, each with where it lives and what it is."""

import inspect
from collections.abc import Iterator

from sphinx.application import Sphinx

PAGE = "reference/outcrop"


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the table to its page when that is read."""
    app.connect("source-read", _add_names)
    return {"parallel_read_safe": True}


def _add_names(_app: Sphinx, page: str, source: list[str]) -> None:
    if page == PAGE:
        source[0] += "\n" + "\n".join(name_rows())


def name_rows() -> Iterator[str]:
    """A row of a Markdown table for every short name."""
    import outcrop

    yield "| name | what it is |\n| --- | --- |"
    for name in outcrop.__all__:
        found = getattr(outcrop, name)
        home = "outcrop.capture" if name == "capture" else f"outcrop.{found.__module__.split('.')[1]}"
        summary = inspect.getdoc(found) or ""
        yield f"| {{py:obj}}`oc.{name} <{home}.{name}>` | {' '.join(summary.split('.')[0].split())} |"
