"""How figures look: one rc context, colours that are safe for colour-blind readers, and measuring of text."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import matplotlib as mpl
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

# Okabe and Ito (2008), ordered by contrast on white; their yellow is left out because it is too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# Seven more for many classes: each chosen as far as can be from all before it, for normal, protanopic, deuteranopic and
# tritanopic sight (Machado et al. 2009), among colours of contrast 2 or more on white.
MORE_COLOURS = ("#8700F0", "#5A2D00", "#001E87", "#5A4B5A", "#C3B469", "#9678FF", "#3C004B")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
COLOUR_MAP = "viridis"
INK = "#1a1a1a"
MUTED = "#5c5c5c"
RULE = "#b5b5b5"
ABSENT = "#e3e3e3"
FONT = "DejaVu Sans"  # shipped with matplotlib, so that a figure looks the same on every machine

HINTING = 1.05  # on the screen, glyphs at small sizes are rounded to whole pixels and come out wider

TITLE_SIZE = 10.5
TEXT_SIZE = 8.0
SMALL_SIZE = 7.0
TINY_SIZE = 6.0

# The type of the keys differs between versions of matplotlib.
RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": [FONT],
    "font.size": TEXT_SIZE,
    "text.color": INK,
    "axes.titlesize": TITLE_SIZE,
    "axes.labelsize": TEXT_SIZE,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "xtick.labelsize": SMALL_SIZE,
    "ytick.labelsize": SMALL_SIZE,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "legend.fontsize": TEXT_SIZE,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "outcrop",
    "pdf.fonttype": 42,
    "text.usetex": False,
    "text.parse_math": False,
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Within the context, figures are drawn and saved in the house style; outside nothing changes."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        yield


def property_colours(properties: Sequence[str]) -> dict[str, str]:
    """A colour per property; they repeat after fourteen, where ``property_markers`` then differ."""
    known = COLOURS + MORE_COLOURS
    return {name: known[i % len(known)] for i, name in enumerate(properties)}


def property_markers(properties: Sequence[str]) -> dict[str, str]:
    """A marker per property, so that colour is never the only distinction."""
    count = len(MARKERS)
    return {name: MARKERS[(i + i // count) % count] for i, name in enumerate(properties)}


def text_width(text: str, *, size: float, bold: bool = False) -> float:
    """Width of ``text`` in inches at ``size`` points, in the figures' font."""
    return HINTING * _width_of_100_points(text, bold=bold) * size / 100 / 72


@lru_cache(maxsize=4096)
def _width_of_100_points(text: str, *, bold: bool) -> float:
    font = FontProperties(family=FONT, weight="bold" if bold else "normal")
    # An outer pair of bars keeps blanks at the ends and makes the empty text measurable.
    with mpl.rc_context({"text.parse_math": False}):
        across = [TextPath((0, 0), shown, size=100, prop=font).vertices for shown in (f"|{text}|", "||")]
    widths = [float(vertices[:, 0].max()) for vertices in across]
    return widths[0] - widths[1]


def fit_text(text: str, *, size: float, width: float) -> str:
    """``text``, its middle replaced by an ellipsis if it is wider than ``width`` inches."""
    if text_width(text, size=size) <= width:
        return text
    for keep in range(len(text) - 2, 1, -1):
        shorter = f"{text[: (keep + 1) // 2]}…{text[-(keep // 2) :]}"
        if text_width(shorter, size=size) <= width:
            return shorter
    return "…"


def thin(count: int, *, room: int) -> list[int]:
    """At most ``room`` of the indices 0..count-1 at one regular interval, the first among them."""
    interval = max(1, -(-count // max(1, room)))
    return list(range(0, count, interval))


def wrap(text: str, *, size: float, width: float) -> list[str]:
    """``text`` in lines that are at most ``width`` inches wide at ``size`` points, broken at spaces."""
    lines: list[str] = []
    room = 0.0
    for word in text.split():
        needed = text_width(f" {word}", size=size)
        if lines and needed <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
            room = width
        room -= needed
    return lines
