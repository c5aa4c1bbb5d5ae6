"""The intervention grid: donor A, receiver B, and what became of B at each cell, with what is read off each picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from outcrop.attribution.effect_table import EffectTable
from outcrop.attribution.outcomes import Outcomes, Pictures
from outcrop.attribution.scores import PropertyScores
from outcrop.data.errors import InputError
from outcrop.viz import labels, site_names, style
from outcrop.viz.accepts import OUTCOMES, SCORES, accept, choose_names, choose_numbers

PICTURE, GAP, EDGE = 0.82, 0.1, 0.12  # inches
BAR, BAR_GAP = 0.05, 0.025
NAME_LINE, LINE = 0.1, 0.13
KEY_LINE, KEY_MARK = 0.16, 0.42  # a line of the key; what stands beside its words
FIRST_PAIRS = 3
MOST_CELLS, MOST_ACROSS = 24, 12  # of more cells, evenly spaced ones are drawn; so many pictures side by side


@dataclass(frozen=True)
class _Layout:
    """Sizes in inches; each of ``pairs`` is a band of ``lines`` lines of pictures, each with its name and its bars."""

    width: float
    height: float
    top: float
    across: int
    lines: int
    name_height: float
    bars: float
    key_columns: int
    notes: tuple[str, ...]

    @property
    def line_height(self) -> float:
        return self.name_height + PICTURE + self.bars + GAP

    def box(self, pair: int, number: int) -> tuple[float, float, float, float]:
        """The place of C ``number`` of a pair, as fractions of the figure; A is -2 and B -1."""
        line, column = divmod(max(number, 0), self.across)
        left = EDGE + ((column + 2) * (PICTURE + GAP) + GAP if number >= 0 else (number + 2) * (PICTURE + GAP))
        down = self.top + (pair * self.lines + line) * self.line_height + pair * GAP + self.name_height + PICTURE
        return left / self.width, 1 - down / self.height, PICTURE / self.width, PICTURE / self.height


def plot_interventions(
    outcomes: Outcomes,
    effects: EffectTable | None = None,
    *,
    pairs: Sequence[int] | None = None,
    cells: Sequence[int] | None = None,
    properties: Sequence[str] | None = None,
) -> Figure:
    """Draw for each of ``pairs`` (the first three) the pictures of donor A, receiver B, and C at each of ``cells``.

    With the study's ``effects`` a bar a property stands under each C: how far the picture went from B (empty) to A
    (full); none where A and B do not differ in the property. ``properties`` chooses among them, by default the first
    seven. Without ``cells`` those without control are drawn, of more than 24 evenly spaced ones. Raises ``InputError``
    for pairs, cells and properties that are not there, and for effects of another study.
    """
    count = len(accept("plot_interventions", outcomes, OUTCOMES).record.cells)
    free = [number for number, cell in enumerate(outcomes.record.cells) if cell.control == "none"]
    thinned = [free[at] for at in style.thin(len(free), room=MOST_CELLS)]
    first = range(min(FIRST_PAIRS, len(outcomes.pairs)))
    pairs = choose_numbers(first if pairs is None else pairs, range(len(outcomes.pairs)), what="pairs")
    chosen = choose_numbers(thinned if cells is None else cells, range(count), what="cells")
    scores = {} if effects is None else _scores(effects, properties, shape=(count, len(outcomes.pairs)))
    names = _cell_names(outcomes, chosen)
    with style.figure_style():
        layout = _layout(names, list(scores), pairs=len(pairs), part=cells is None and len(chosen) < len(free))
        figure = Figure(figsize=(layout.width, layout.height))
        for band, pair in enumerate(pairs):
            _picture(figure, layout.box(band, -2), outcomes.donors[pair], labels.DONOR, name=f"A {pair}")
            _picture(figure, layout.box(band, -1), outcomes.receivers[pair], labels.RECEIVER, name=f"B {pair}")
            for place, cell in enumerate(chosen):
                image = outcomes.cell_images(cell)[pair]
                axes = _picture(figure, layout.box(band, place), image, names[place], name=f"C {cell} {pair}")
                _bars(axes, scores, cell=cell, pair=pair)
        _words(figure, layout, list(scores))
    return figure


def _scores(
    effects: EffectTable, properties: Sequence[str] | None, *, shape: tuple[int, int]
) -> dict[str, PropertyScores]:
    """What is drawn of each picture; checked."""
    accept("plot_interventions", effects, SCORES)
    names = choose_names(properties, effects.properties, what="properties", of="these effects")
    if any(one.toward.shape != shape for one in effects.scores.values()):
        found = next(iter(effects.scores.values())).toward.shape
        raise InputError(f"The effects must be those of the study: (cells, pairs) {shape}. Got {found}.")
    shown = names[: len(style.COLOURS)] if properties is None else names
    return {name: effects.scores[name] for name in shown}


def _cell_names(outcomes: Outcomes, chosen: Sequence[int]) -> list[str]:
    """Site of each cell, and what tells it from others of the site: its window, its kind, its control."""
    cells = [outcomes.record.cells[number] for number in chosen]
    short = site_names.short_site_names(list(dict.fromkeys(cell.site for cell in cells)))
    kinds, windows = {cell.intervention for cell in cells}, {cell.window for cell in cells}
    return [
        site_names.SEPARATOR.join(
            [
                short[cell.site],
                *([cell.intervention] if len(kinds) > 1 else []),
                *([labels.steps_of(cell.window)] if len(windows) > 1 else []),
                *([labels.dose(cell.dose)] if cell.dose is not None else []),
                *([cell.control] if cell.control != "none" else []),
            ]
        )
        for cell in cells
    ]


def _layout(names: Sequence[str], properties: Sequence[str], *, pairs: int, part: bool) -> _Layout:
    across = min(len(names), MOST_ACROSS)
    lines = -(-len(names) // across)
    width = max(2 * EDGE + (across + 2) * (PICTURE + GAP), 4.4)
    key_columns = _key_columns(properties, width=width - 2 * EDGE)
    key_lines = -(-len(properties) // key_columns)
    name_lines = max(len(_name_lines(name)) for name in names)
    note = labels.intervention_footnote(bars=bool(properties), part=part)
    notes = tuple(style.wrap(note, size=style.SMALL_SIZE, width=width - 2 * EDGE))
    top = 0.42 + KEY_LINE * key_lines + 0.06 * bool(key_lines)
    made = _Layout(
        width,
        0.0,
        top,
        across,
        lines,
        NAME_LINE * name_lines + 0.04,
        len(properties) * (BAR + BAR_GAP) + 0.04,
        key_columns,
        notes,
    )
    height = top + pairs * (lines * made.line_height + GAP) + LINE * len(notes) + 0.1
    return replace(made, height=height)


def _key_columns(properties: Sequence[str], *, width: float) -> int:
    """How many names of the key stand side by side in ``width`` inches."""
    widest = max(
        (style.text_width(labels.property_title(name), size=style.SMALL_SIZE) for name in properties), default=0
    )
    return max(1, min(len(properties), int(width / (widest + KEY_MARK))))


def _name_lines(name: str) -> list[str]:
    """At most three lines of a name."""
    wrapped = style.wrap(name, size=style.TINY_SIZE, width=PICTURE)
    lines = [line.removesuffix(site_names.SEPARATOR.rstrip()) for line in wrapped]
    return [style.fit_text(line, size=style.TINY_SIZE, width=PICTURE + GAP / 2) for line in lines[:3]]


def _picture(figure: Figure, box: tuple[float, float, float, float], image: Pictures, title: str, *, name: str) -> Axes:
    axes = figure.add_axes(box, label=name)
    axes.imshow(image, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color=style.RULE)
    bold = "bold" if name[0] in "AB" else "normal"
    axes.set_title("\n".join(_name_lines(title)), fontsize=style.TINY_SIZE, fontweight=bold, pad=2, linespacing=1.05)
    return axes


def _bars(axes: Axes, scores: Mapping[str, PropertyScores], *, cell: int, pair: int) -> None:
    """A bar a property below a picture, in inches as shares of the picture's side."""
    colours = style.property_colours(list(scores))
    for number, (name, one) in enumerate(scores.items()):
        span = float(one.toward_span[pair])
        if not span > 0:  # A and B do not differ in it, or cannot be read
            continue
        share = float(one.toward[cell, pair]) / span
        base = -(number + 1) * (BAR + BAR_GAP) / PICTURE
        for length, colour, kind in ((1.0, style.ABSENT, "track"), (min(max(share, 0.0), 1.0), colours[name], "bar")):
            bar = Rectangle(
                (0, base), length, BAR / PICTURE, transform=axes.transAxes, color=colour, linewidth=0, clip_on=False,
                label=f"{kind} {name}",
            )  # fmt: skip
            axes.add_patch(bar)


def _words(figure: Figure, layout: _Layout, properties: Sequence[str]) -> None:
    """Title, key of the bars, and the lines below."""
    at = EDGE / layout.width
    figure.text(at, 1 - 0.24 / layout.height, labels.INTERVENTIONS_TITLE, fontsize=style.TITLE_SIZE, fontweight="bold")
    if properties:
        colours = style.property_colours(properties)
        across = layout.key_columns
        by_line = [name for start in range(across) for name in properties[start::across]]  # a legend fills columns
        marks = [Rectangle((0, 0), 1, 1, color=colours[name], linewidth=0) for name in by_line]
        figure.legend(
            marks, [labels.property_title(name) for name in by_line], loc="upper left", ncols=across,
            bbox_to_anchor=(at, 1 - 0.34 / layout.height), borderpad=0, borderaxespad=0, handlelength=1.6,
            handleheight=0.5, columnspacing=1.2, fontsize=style.SMALL_SIZE,
        )  # fmt: skip
    for line, text in enumerate(reversed(layout.notes)):
        place = (at, (0.1 + LINE * line) / layout.height)
        figure.text(*place, text, fontsize=style.SMALL_SIZE, color=style.MUTED)
