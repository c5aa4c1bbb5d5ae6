"""The title of a figure, and the lines below it that say how it is read."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from outcrop.viz import style

LINE, EDGE = 0.13, 0.12  # inches


def note_lines(text: str, *, width: float) -> list[str]:
    """``text`` in lines that fit a figure of ``width`` inches."""
    return style.wrap(text, size=style.SMALL_SIZE, width=width - 2 * EDGE)


def note_height(lines: Sequence[str]) -> float:
    """Inches that ``lines`` take at the bottom of a figure."""
    return LINE * len(lines) + 0.16


def write_notes(figure: Figure, lines: Sequence[str]) -> None:
    """Write ``lines`` at the bottom of ``figure``."""
    width, height = figure.get_size_inches()
    for number, text in enumerate(reversed(lines)):
        place = (EDGE / width, (0.1 + LINE * number) / height)
        figure.text(*place, text, fontsize=style.SMALL_SIZE, color=style.MUTED)


def write_title(figure: Figure, text: str, *, caption: str = "") -> None:
    """The title at the top left of ``figure``, and a smaller line below it."""
    width, height = figure.get_size_inches()
    room = width - 2 * EDGE

    def write(down: float, line: str, size: float, **look: Any) -> None:
        shown = style.fit_text(line, size=size, width=room)
        figure.text(EDGE / width, 1 - down / height, shown, va="baseline", fontsize=size, **look)

    write(0.24, text, style.TITLE_SIZE, fontweight="bold")
    if caption:
        write(0.40, caption, style.SMALL_SIZE, color=style.MUTED)
