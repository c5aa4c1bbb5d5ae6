"""All text that figures show: axis names, titles, footnotes and numbers; names of sites come from ``site_names``."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from outcrop.viz.embedding.spec import Method
from outcrop.viz.grid import PropertyGrid, StepAxis, StepKind, Value
from outcrop.viz.site_names import short_site_names

VALUE_NAMES: dict[Value, str] = {
    "accuracy": "accuracy of the probe",
    "selectivity": "selectivity (accuracy minus control)",
}
STEP_NAMES: dict[StepKind, str] = {
    "noise": "noise level (100 = pure noise, 0 = finished image)",
    "timestep": "timestep of the scheduler (noisy to clean)",
    "step": "step (in the order of generation)",
    "head": "head of the attention",
}
STEP_WORDS: dict[StepKind, str] = {"noise": "noise", "timestep": "timestep", "step": "step", "head": "head"}
STEP_GUIDES: dict[StepKind, str] = {
    "noise": "The generator starts from pure noise (noise level 100) and removes it step by step until the image is "
    "finished (0).",
    "timestep": "The generator starts from noise (high timesteps) and removes it step by step until the image is "
    "finished (timestep 0).",
    "step": "Steps are counted in the order in which the generator takes them.",
    "head": "Heads are counted as the model has them; a head of one attention has nothing to do with that of another.",
}
GLOSSARY = {
    "down": "the first half, which condenses the image",
    "mid": "the narrowest point",
    "up": "the second half, which builds the image up again",
    "res": "a convolutional part, which sees the neighbourhood of each place",
    "attn": "an attention part, which relates distant places",
    "self": "attention of the image to itself",
    "cross": "attention to the prompt: here the words enter",
    "ff": "a step that treats every place alone",
}
CHANCE = "chance"
MAJORITY = "majority"
NO_SELECTIVITY = "none"
CONTROL = "control task"
STAGES = ("early", "middle", "late")

METHOD_NAMES: dict[Method, str] = {"umap": "UMAP", "tsne": "t-SNE", "pca": "First two principal components"}
UNLABELLED = "no label"
NO_DIFFERENCE = "all alike"

DECODABLE = "decodable (0: chance, 1: always right)"
CAUSAL = "effect (0: as B, 1: as A)"
DOSE = "dose"
NOT_READ = "cannot be read"
CUT = "Arrow: the interval\nreaches further."
ABOVE_NONE, NOT_ABOVE_NONE = "interval above 0", "interval reaches 0"
SIGNIFICANT = 0.05
WINDOWS = "steps of the window, noisy to clean"
DONOR, RECEIVER = "A (donor)", "B (receiver)"
INTERVENTIONS_TITLE = "What became of B"
PICTURE = "picture"
SITE, FIRST_MODEL, OTHER_MODEL = "site", "site of the first", "site of the second"
MEASURES = {
    "cka": "Alignment of sites (CKA)",
    "rbf-cka": "Alignment of sites (CKA, Gaussian kernel)",
    "mutual-knn": "Alignment of sites (shared neighbours)",
    "rsa": "Alignment of sites (RSA)",
    "procrustes": "Alignment of sites (Procrustes)",
    "svcca": "Alignment of sites (SVCCA)",
}
ALIGNMENT = "alignment of two sites (1: the most)"
MEASURE_NOTES = {
    "cka": "1: both place the samples alike, but for turning and size; about 0: they have nothing in common.",
    "rbf-cka": "1: both place the samples alike, but for turning and size; about 0: they have nothing in common.",
    "mutual-knn": "the share of a sample's nearest neighbours that both agree on.",
    "rsa": "1: samples that are alike at one are alike at the other; about 0: they have nothing in common.",
    "procrustes": "1: alike but for turning and size. Sites that have nothing in common get more than 0, too: "
    "compare values of equally many samples only.",
    "svcca": "1: one can be told from the other. Sites that have nothing in common get more than 0, too: compare "
    "values of equally many samples only.",
}
"""What a value of each measure of alignment says, in plain words."""
DESCRIPTORS = {
    "structure": "light and dark in their places (SSIM)",
    "keypoints": "telling corners and spots (SIFT)",
    "colours": "the colours of the whole picture (a histogram)",
    "texture": "its grain (local binary patterns)",
    "place": "where what differs from the background lies",
}
"""What the descriptors of pictures measure, in plain words."""
TRAINING_SAMPLES = "training samples"
LEARNING_TITLE = "How many samples it takes"
TRANSFER_TITLE = "Probes carried over"
TRANSFER_NOTE = (
    "A row is a probe that was fitted at one place, a column where it was tested, on samples that it has not seen. "
    "Bold: tested where it was fitted. Bright all along a row: the property is written alike there; bright on "
    "the diagonal alone: each place writes it in its own way."
)
LEARNING_NOTE = (
    "A mark: probes fitted on so many samples and tested on others; band: interval. Where the band lies above both "
    "lines, so many samples are enough to show that the property can be decoded."
)
DOSE_NOTE = (
    "How far pictures go from B (0) to A (1) in each property when so much is changed; band: interval. A property that "
    "the dose moves leaves 0; one that goes below it moves away from A."
)
DOSE_CONTROLS = " Dashed: controls."
FITTED_AT = "fitted at"
TESTED_AT = "tested at"
ACCURACY = "accuracy of the probe"
SELECTIVITY = "selectivity"
DEPTH = "depth of the site (0 input, 1 output)"
AGREEMENT_NOTE = (
    "A mark is a site; lines: intervals. Dotted: from where on a value counts. A site is undecided where an interval "
    "reaches across a dotted line. Named: of each reading, the site that shows it most."
)

HEATMAP_TITLE = "Where and when"
PROFILES_TITLE = "Along the network"
STEPS_TITLE = "On the way from noise to image"
ARCHITECTURE_TITLE = "In the model"
EFFECTS_TITLE = "What is caused where"
EFFECT_MAP_TITLE = "What is caused where and when"
AGREEMENT_TITLE = "Decodable against causal"
PICTURE_TITLES = (ARCHITECTURE_TITLE, HEATMAP_TITLE, PROFILES_TITLE, STEPS_TITLE)


def number(value: float) -> str:
    """``.97`` for 0.97, ``1.00`` for 1: two decimals without a leading zero, a true minus sign, a dash for NaN."""
    if not math.isfinite(value):
        return "–"
    text = f"{abs(value):.2f}"
    sign = "−" if value < 0 and float(text) != 0 else ""
    return sign + text.removeprefix("0")


def q_value(value: float) -> str:
    """``q = .012``, ``q < .001``, a dash for NaN."""
    if not math.isfinite(value):
        return "q –"
    return unbroken("q < .001" if value < 0.001 else f"q = {value:.3f}".replace("0.", ".", 1))


def rivals(count: int, others: int) -> str:
    """How many of the ``others`` have a value within the best one's interval; empty where there are no others."""
    if others < 2:
        return f"The only other cell {'reaches' if count else 'does not reach'} this interval." if others else ""
    if count == 0:
        return f"None of the other {others} cells has a value within its interval."
    verb = "reaches" if count == 1 else "reach"
    return f"{count} of the other {others} cells {verb} the same interval, so read it as a region, not as a point."


def majority_level(value: float, *, below: bool) -> str:
    """``majority .09, below chance``."""
    return f"{MAJORITY} {number(value)}" + (f", below {CHANCE}" if below else "")


def rank_correlation(value: float, low: float, high: float, sites: int) -> str:
    """``rank correlation .62 (.30 to .81), 22 sites``."""
    known = with_interval(value, low, high) if math.isfinite(value) else "–"
    return f"rank correlation {known}, {sites} sites"


def with_interval(value: float, low: float, high: float) -> str:
    """``.62 (.30 to .81)``."""
    return f"{number(value)} ({number(low)} to {number(high)})"


def trust(value: float) -> str:
    """``T .93``: the trustworthiness of a panel of an atlas."""
    return f"T {number(value)}" if math.isfinite(value) else NO_DIFFERENCE


def other_classes(count: int) -> str:
    """What the classes without a look of their own are called."""
    return f"{count} rarer classes"


def atlas_footnote(method: Method, *, samples: int, neighbours: int, part: bool) -> str:
    """What a panel of an atlas shows, and what of it means something."""
    text = (
        f"{METHOD_NAMES[method]} of {samples:,} samples, the same in every panel, each turned towards those beside it. "
    )
    text += f"T: trustworthiness for {neighbours} neighbours (1: all that are near here are near at the site; about "
    text += f"{number(0.5)}: by chance)."
    if method != "pca":
        text += " The sizes of groups and the distances between them mean little."
    return text + (" Of the sites and steps of the atlas, evenly spaced ones are shown." if part else "")


def window(name: str) -> str:
    """``0–3`` for the window ``0-3``, ``5`` for ``5-5``."""
    first, _, last = name.partition("-")
    return first if first == last else f"{first}–{last}"


def steps_of(name: str) -> str:
    """``steps 0–3`` for the window ``0-3``."""
    text = window(name)
    return f"steps {text}" if "–" in text else f"step {text}"


def dose(value: float) -> str:
    """``dose 2``."""
    return f"{DOSE} {value:g}"


def dose_title(site: str) -> str:
    """``Effect by dose at up 3``."""
    return f"Effect by dose at {site}"


def effects_footnote(*, cut: bool) -> str:
    """What the marks of a list of effects mean."""
    text = "0: the picture stays as B; 1: it becomes as A in this property. Line: interval."
    return text + (" Arrow: the interval reaches further than is drawn." if cut else "")


def control_name(kind: str) -> str:
    """``control: random site`` for the control ``random-site``."""
    return f"control: {_spaced(kind)}"


def _spaced(kind: str) -> str:
    return kind.replace("-", " ")


def tick(value: float) -> str:
    """``0``, ``.5``, ``1``, ``−.5``: a number beside an axis, as short as it can be."""
    text = f"{abs(value):g}".removeprefix("0") or "0"
    return f"−{text}" if value < 0 and text != "0" else text


def cell_names(frame: pd.DataFrame) -> pd.Series:
    """A name for what each row of an effect table's ``frame`` is about: its site, and what tells it from others there.

    Controls have the name of what they control.
    """
    short = short_site_names(list(dict.fromkeys(map(str, frame["site"]))))
    told: dict[str, Callable[[str], str]] = {"intervention": _spaced, "window": steps_of, "half": str}
    several = [name for name in told if name in frame.columns and frame[name].nunique() > 1]
    doses = "dose" in frame.columns and frame["dose"].nunique() > 1

    def name(row: pd.Series) -> str:
        extra = [told[part](str(row[part])) for part in several]
        extra += [dose(row["dose"])] if doses and math.isfinite(row["dose"]) else []
        return f"{short[str(row['site'])]} ({', '.join(extra)})" if extra else short[str(row["site"])]

    return frame.apply(name, axis=1)


def effect_footnote(*, written: bool, absent: bool) -> str:
    """What colours, numbers and dots of a map of effects mean."""
    text = "How far pictures go from B to A through what is changed at the site in those steps, less what luck gives. "
    text += "Bold" if written else "Dot"
    text += f": above 0 beyond chance, over all cells of the table (q ≤ {number(SIGNIFICANT)}). Controls are not shown."
    return text + (" Grey: not tried, or cannot be read." if absent else "")


def intervention_footnote(*, bars: bool, part: bool) -> str:
    """What the pictures and bars of an intervention grid are."""
    text = "A and B: as the model makes them. The others: B, made while the site named above is changed. "
    if bars:
        text += (
            "Bars, in the order of the key: how far the picture went from B (empty) to A (full), as it is read; none "
        )
        text += "where A and B do not differ, or cannot be read. "
    return text + ("Of the cells of the study, evenly spaced ones are shown." if part else "")


def alignment_footnote(measure: str, *, square: bool, parts: bool) -> str:
    """How a cell of an alignment matrix is read."""
    text = f"A cell: how alike two sites represent the same samples; {MEASURE_NOTES[measure]}"
    return (
        text
        + (" Diagonal: a site with itself." if square else "")
        + (" White lines part the network." if parts else "")
    )


def word_map_footnote(*, sites: int, steps: int) -> str:
    """What the colours of a word map mean."""
    return (
        "Colour: the share of its attention that each place pays to the word, from the least to the most that any pays "
        f"(below each map); mean over {sites} sites and {steps} steps. Where a model looks is not yet what it uses."
    )


def shares(low: float, high: float) -> str:
    """``.02 to .12 of attention``."""
    return f"{number(low)} to {number(high)} of attention"


def property_title(name: str) -> str:
    """A property's name as a title: underscores become spaces, the first letter a capital."""
    text = name.replace("_", " ").strip() or name
    return text[:1].upper() + text[1:]


def enumerate_words(words: Sequence[str]) -> str:
    """``content, style and layout``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def unbroken(text: str) -> str:
    """``text`` with blanks that do not break at the end of a line."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def step_ticks(axis: StepAxis) -> tuple[str, ...]:
    """One label per step, in the order of ``axis``."""
    return tuple(f"{position:.0f}" for position in axis.positions)


def step_name(axis: StepAxis, column: int) -> str:
    """``noise 63``: where on its scale a column lies."""
    return f"{STEP_WORDS[axis.kind]} {step_ticks(axis)[column]}"


def interval_name(confidence: float | None) -> str:
    """``95 % interval``, or ``interval`` where the table does not say which."""
    return "interval" if confidence is None else f"{100 * confidence:g} % interval"


def heatmap_footnote(value: Value, *, confidence: float | None, missing: bool) -> str:
    """What colour, dots, the outline and grey cells of a heatmap mean."""
    scale = "from chance to 1" if value == "accuracy" else "from 0 to the most that is possible"
    floor = "the chance or majority level" if value == "accuracy" else "zero"
    text = f"Colour: {VALUE_NAMES[value]}, {scale}. Dot: the {interval_name(confidence)} reaches down to {floor}. "
    text += "Outline: the largest value, hence a slightly optimistic one."
    return text + (" Grey: not probed." if missing else "")


def page_footnote(*, confidence: float | None, several: bool) -> str:
    """What colour, dots and the outline of an interactive heatmap of one or several cells mean, and what it can do."""
    outline = "Outline: the largest value, hence a slightly optimistic one. " if several else ""
    return (
        f"Colour: accuracy of the probe, from chance to 1. Dot: the {interval_name(confidence)} reaches down to the "
        f"chance or majority level. {outline}Grey: not probed. "
        "Point at a cell for its numbers; click it, or go there with the arrow keys and press Enter, for the images "
        "behind it."
    )


def architecture_footnote(value: Value, *, shape: Literal["u", "stack"], confidence: float | None, chosen: bool) -> str:
    """How to read a drawn architecture."""
    way = (
        "The left arm reads downwards, the right one upwards; dashed arrows are skip connections."
        if shape == "u"
        else "The model reads downwards, column by column."
    )
    floor = "the chance or majority level" if value == "accuracy" else "zero"
    when = " Each property is shown at the step of its best site, hence slightly optimistic." if chosen else ""
    return (
        f"{way} Colour: {VALUE_NAMES[value]}. Dot: the {interval_name(confidence)} reaches down to {floor}. "
        f"Outline: the best site.{when}"
    )


def profile_footnote(*, confidence: float | None) -> str:
    """What the lines, bands and marks of a profile mean."""
    return (
        f"Solid: accuracy of the probe, with its {interval_name(confidence)}. Dashed: the same on the control task "
        "(random labels). Triangles on the right edge: chance and majority level."
    )


def selectivity_footnote(*, confidence: float | None, intervals: bool, named: bool) -> str:
    """What marks and lines of selectivity against accuracy mean."""
    lines = f"; lines: {interval_name(confidence)}s" if intervals else ""
    text = (
        f"A mark is a site at a step{lines}. Dotted: chance, and what selectivity would be with the control at chance: "
    )
    text += "the further below, the more the probe also learns random labels."
    return text + (" Named: the most selective sites, hence slightly optimistic." if named else "")


def steps_footnote(*, confidence: float | None) -> str:
    """How the sites of the step curves were chosen."""
    return (
        f"Band: {interval_name(confidence)}. Dotted: chance; dash-dotted: majority level. "
        "Each site was picked for its largest value, hence slightly optimistic."
    )


def best_lines(grid: PropertyGrid, names: dict[str, str]) -> tuple[str, str]:
    """Two short lines about the best cell: its value and step, and its site."""
    row, column = grid.best
    cell = number(float(grid.values[row, column]))
    return f"best {cell} at {step_name(grid.axis, column)}", names[grid.sites[row]]


def best_at(grid: PropertyGrid, column: int, names: dict[str, str]) -> str:
    """The best site at one step: ``noise 71: best .98 at up 2 · attn 0``."""
    row = int(np.argmax(np.where(np.isfinite(grid.values[:, column]), grid.values[:, column], -np.inf)))
    return f"{step_name(grid.axis, column)}: best {number(float(grid.values[row, column]))} at {names[grid.sites[row]]}"
