"""Sites as the rows of a panel: short names, thinned where they are many, and brackets around parts of the network."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from matplotlib.axes import Axes

from outcrop.viz import site_names, style

NARROW = 0.13  # inches; rows that are lower get smaller type


@dataclass(frozen=True)
class Rows:
    """``names`` of ``sites`` in type of ``size`` points, and the inches that parts of the network take beside them.

    ``written``: what stands beside each row in place of its site's name, where several rows have one site.
    """

    sites: tuple[str, ...]
    names: dict[str, str]
    size: float
    part_width: float
    written: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """What stands beside each row."""
        return self.written or tuple(self.names[site] for site in self.sites)

    @property
    def left(self) -> float:
        """Inches that everything takes, from the edge of the figure to the panel."""
        widest = max(style.text_width(text, size=self.size) for text in self.texts)
        return 0.12 + self.part_width + 0.16 * bool(self.part_width) + widest + 0.12


def part_boundaries(sites: Sequence[str]) -> list[float]:
    """Where, between two rows, one part of the network ends and the next begins."""
    parts = [site_names.site_group(site) for site in sites]
    return [i + 0.5 for i, (a, b) in enumerate(pairwise(parts)) if a != b]


def measure_rows(sites: Sequence[str], *, height: float) -> Rows:
    """Names for ``sites`` as rows of ``height`` inches."""
    parts = {site_names.site_group(site) for site in sites}
    part_width = max(style.text_width(part, size=style.TEXT_SIZE, bold=True) for part in parts)
    size = style.SMALL_SIZE if height > NARROW else style.TINY_SIZE
    return Rows(tuple(sites), site_names.short_site_names(sites), size, part_width)


def draw_rows(axes: Axes, rows: Rows, *, width: float, height: float) -> None:
    """Write the names beside the panel ``axes`` of ``width`` and ``height`` inches, whose row i is site i."""
    shown = style.thin(len(rows.sites), room=int(height / (rows.size * 1.2 / 72)))
    axes.set_yticks(shown, [rows.texts[i] for i in shown], fontsize=rows.size)
    axes.tick_params(axis="y", length=0, pad=3)
    bracket = -(rows.left - 0.12 - rows.part_width - 0.08) / width
    position = 0
    for part, members in groupby(rows.sites, key=site_names.site_group):
        count = len(list(members))
        if part:
            ends = (position - 0.35, position + count - 0.65)
            axes.plot(
                (bracket, bracket), ends, transform=axes.get_yaxis_transform(), color=style.RULE, linewidth=1.2,
                clip_on=False, label=f"group {part}",
            )  # fmt: skip
            axes.text(
                bracket - 0.06 / width, position + (count - 1) / 2, part, ha="right", va="center_baseline",
                transform=axes.get_yaxis_transform(), fontsize=style.TEXT_SIZE, fontweight="bold",
            )  # fmt: skip
        position += count
