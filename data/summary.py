"""How a data set shows itself: on a terminal and in a notebook. What a stranger wrote never acts as markup."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from outcrop.data.errors import OutcropError
from outcrop.data.safe_paths import read_bounded
from outcrop.data.statement import MAX_STATEMENT_BYTES, STATEMENT, parse_statement

if TYPE_CHECKING:
    from outcrop.data.dataset import Dataset

MOST_CLASSES = 12
MOST_LINES = 30
LONGEST = 80

STYLE = (
    "<style>.outcrop{font-size:13px;line-height:1.45}.outcrop table{border-collapse:collapse;margin:.4em 0}"
    ".outcrop th,.outcrop td{text-align:left!important;padding:.15em .9em .15em 0;vertical-align:top;border:0}"
    ".outcrop th{font-weight:600;border-bottom:1px solid currentColor}.outcrop summary{cursor:pointer;font-weight:600}"
    ".outcrop .n{text-align:right!important;font-variant-numeric:tabular-nums}.outcrop .q{opacity:.65}</style>"
)


def printable(value: object, *, limit: int = LONGEST) -> str:
    """``value`` on one line; control characters and direction marks are shown, not obeyed; cut at ``limit``."""
    text = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in str(value))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def size_text(count: float) -> str:
    """Bytes as a person says them."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}" if unit != "bytes" else f"{count:.0f} bytes"
        count /= 1000
    return f"{count:.3g} TB"


def describe_label(values: pd.Series) -> str:
    """Classes with their counts, or the range of a continuous property."""
    known = values[values.notna() & (values.astype(str) != "")]
    missing = len(values) - len(known)
    counts = known.value_counts()
    if pd.api.types.is_float_dtype(known) and len(counts) > MOST_CLASSES:
        text = f"{known.min():.3g} to {known.max():.3g}, mean {known.mean():.3g}"
    else:
        listed = ", ".join(f"{printable(name, limit=30)} {count}" for name, count in counts.head(MOST_CLASSES).items())
        noun = "class" if len(counts) == 1 else "classes"
        text = f"{len(counts)} {noun}: {listed}{', …' if len(counts) > MOST_CLASSES else ''}"
    return f"{text}; {missing} without a value" if missing else text


def licences_of(ds: "Dataset") -> dict[str, str]:
    """Those in the record, or else those that were stated when the data set was shared (``share.json``)."""
    if ds.info.licences:
        return dict(ds.info.licences)
    try:
        content = read_bounded(ds.path / STATEMENT, most=MAX_STATEMENT_BYTES)
        return parse_statement(content, where=STATEMENT).licences
    except (OSError, OutcropError):  # several data sets, a remote one, one that was not shared; `validate` tells faults
        return {}


def overview(ds: "Dataset") -> list[tuple[str, str]]:
    """Name and value of what is said first."""
    steps = ds.steps
    licences = ", ".join(f"{printable(k)}: {printable(v)}" for k, v in licences_of(ds).items())
    span = f"timesteps {steps['timestep'].iloc[0]:g} to {steps['timestep'].iloc[-1]:g}, " if len(steps) else ""
    noise = f"noise {steps['noise'].iloc[0]:.3g} to {steps['noise'].iloc[-1]:.3g}" if len(steps) else ""
    return [
        ("model", printable(ds.info.model)),
        ("samples", _count(ds)),
        ("size", f"{size_text(ds.nbytes)} of activations, {ds.dtype}, reduction {printable(ds.info.reduction)}"),
        ("steps", f"{len(steps)} ({span}{noise})"),
        ("licence", licences or "none stated"),
    ]


def as_text(ds: "Dataset") -> str:
    """Several lines for a terminal."""
    facts = dict(overview(ds))
    grid = f"{len(ds.sites)} sites x {len(ds.steps)} steps"
    lines = [f"<Dataset {printable(ds.name)}: {facts['model']}, {facts['samples']}, {grid}>"]
    lines += [f"{name:8} {facts[name]}" for name in ("size", "steps", "licence")]
    lines.append("labels" if len(ds.labels.columns) else "labels   none")
    lines += [f"  {printable(name)}: {describe_label(ds.labels[name])}" for name in ds.labels]
    lines.append("sites, in execution order")
    width = max(len(name) for name, *_ in _site_rows(ds))
    lines += _shortened(
        [f"  {name:{width}}  {role:16} {depth}  {shape}" for name, role, depth, shape in _site_rows(ds)]
    )
    return "\n".join(lines)


def as_facts(ds: "Dataset") -> dict[str, Any]:
    """The same for machines. Of a label: the count of each class, or of a number its range."""
    return {
        "model": ds.info.model,
        "uuid": ds.uuid,
        "samples": len(ds),
        "planned": ds.planned,
        "bytes": ds.nbytes,
        "dtype": ds.dtype,
        "reduction": ds.info.reduction,
        "half": ds.info.half,
        "licences": licences_of(ds),
        "sites": [site.model_dump(mode="json") for site in ds.info.sites],
        "steps": [step.model_dump(mode="json") for step in ds.info.steps],
        "labels": {str(name): _label_facts(ds.labels[name]) for name in ds.labels},
    }


def _label_facts(values: pd.Series) -> dict[str, Any]:
    known = values.dropna()
    if pd.api.types.is_float_dtype(known) and len(known):
        return {"known": len(known), "least": float(known.min()), "most": float(known.max())}
    counts = known.astype(str).value_counts()
    return {"known": len(known), "classes": {str(name): int(count) for name, count in counts.items()}}


def as_html(ds: "Dataset") -> str:
    """A block for a notebook; folded where it is long."""
    labels = [(name, describe_label(ds.labels[name]), origin(ds, str(name))) for name in ds.labels]
    sites = [(number, *row) for number, row in enumerate(_site_rows(ds))]
    steps = [(name, f"{row.timestep:g}", f"{row.log_snr:.2f}", f"{row.noise:.1f}") for name, row in ds.steps.iterrows()]
    parts = [
        f"<b>{escape(printable(ds.name))}</b> <span class='q'>outcrop data set</span>",
        _html_table((), overview(ds)),
        _folded("Labels", _html_table(("label", "values", "origin"), labels), len(labels), opened=True),
        _folded("Sites, in execution order", _html_table(("", "site", "role", "depth", "shape"), sites), len(sites)),
        _folded("Steps", _html_table(("step", "timestep", "log-SNR", "noise"), steps), len(steps)),
    ]
    return f"{STYLE}<div class='outcrop'>{''.join(parts)}</div>"


def _count(ds: "Dataset") -> str:
    text = f"{len(ds):,} samples"
    if len(ds) != ds.stored:
        return f"{text}, selected of {ds.stored:,}"
    return text if ds.stored == ds.planned else f"{text} of {ds.planned:,} planned"


def _site_rows(ds: "Dataset") -> list[tuple[str, str, str, str]]:
    """Name, role, depth and shape."""
    return [
        (printable(site.name), printable(site.role), f"{site.depth:.2f}", " x ".join(map(str, site.shape)) or "scalar")
        for site in ds.info.sites
    ]


def origin(ds: "Dataset", name: str) -> str:
    """Who says what a label's value is."""
    added = ds.added_labels.get(name)
    return "prompt" if added is None else printable(added.provenance.get("labeller", "added"))


def _shortened(lines: list[str]) -> list[str]:
    return lines if len(lines) <= MOST_LINES else [*lines[: MOST_LINES - 1], f"  … {len(lines) - MOST_LINES + 1} more"]


def _html_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    top = "<tr>" + "".join(f"<th>{escape(name)}</th>" for name in head) + "</tr>" if head else ""
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(printable(v, limit=400))}</td>" for v in row) + "</tr>" for row in rows
    )
    return f"<table>{top}{body}</table>"


def _folded(title: str, content: str, count: int, *, opened: bool = False) -> str:
    return f"<details{' open' if opened else ''}><summary>{escape(title)} ({count})</summary>{content}</details>"
