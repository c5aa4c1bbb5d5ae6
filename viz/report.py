"""The report: one HTML file that answers where and when each property is decodable, and says how it was measured."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined

from outcrop.data.errors import ConflictError, InputError, StorageError
from outcrop.viz import labels, report_effects, report_tables, sentences
from outcrop.viz.embedding.atlas import Atlas
from outcrop.viz.exhibit import Exhibit
from outcrop.viz.gallery import gallery
from outcrop.viz.inputs import HasFrame, HasSamples, confidence_of, settings
from outcrop.viz.page import as_json, page_assets, read_template
from outcrop.viz.page_data import page_data
from outcrop.viz.report_effects import HasEffects, HasStudy
from outcrop.viz.served import ServedSet

MARKS = (b'<meta name="generator" content="Outcrop">', b"can be read from the generator</h1>")
"""What tells a report from another page; the second also those of earlier versions."""


def write_report(
    ds: HasSamples,
    table: HasFrame | pd.DataFrame,
    out: str | Path,
    *,
    effects: HasEffects | None = None,
    study: HasStudy | None = None,
    atlas: Atlas | None = None,
) -> Path:
    """Write the report on ``table`` to ``out``: one HTML file that needs no network; returns its path.

    ``effects`` of interventions add what is caused where, ``study`` the pictures they were read from; ``atlas`` maps
    of the samples in place of principal components.

    The answer stands first, then the data set, figures, heatmaps whose cells open, example images of ``ds`` with their
    prompts, the best sites, methods, caveats and provenance. Everything that comes from data is escaped. Raises
    ``InputError`` for a table without the needed columns and a name that does not end in .html, ``ConflictError`` where
    another file of that name is there, and ``StorageError`` when the file cannot be written.
    """
    return write_exhibits([Exhibit(ds, table, effects, study, atlas)], out)


def write_exhibits(exhibits: Sequence[Exhibit], out: str | Path) -> Path:
    """:func:`write_report` for several data sets, side by side."""
    path = Path(out)
    check_page(path)
    page = render_exhibits(exhibits)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(page, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise StorageError(
            f"expected to write the report {path}; the system says: {error.strerror or error}. "
            "Choose a file in a folder that can be written and has space left."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path


def check_page(path: Path) -> None:
    """Raises ``InputError`` for a name that is no page's, and ``ConflictError`` for a file that is no report."""
    if path.suffix.lower() not in {".html", ".htm"}:
        raise InputError(f"expected a page to write, report.html for example; got {path}.")
    if not path.exists():
        return
    held = path.read_bytes() if path.is_file() else b""
    if not any(mark in held for mark in MARKS):
        raise ConflictError(f"{path} is there, and no report of Outcrop. Choose another name, or move it away.")


def render_report(ds: HasSamples, table: HasFrame | pd.DataFrame) -> str:
    """The text of the HTML page that :func:`write_report` writes."""
    return render_exhibits([Exhibit(ds, table)])


def render_exhibits(exhibits: Sequence[Exhibit]) -> str:
    """The page on several data sets, in one file. Raises ``InputError`` for none."""
    sheets: list[str] = []
    data = [page_data(exhibit, sheets) for exhibit in exhibits]
    return _render(exhibits, data, sheets=sheets, served=False)


def render_served(sets: Sequence[ServedSet]) -> str:
    """The page on several data sets that asks the server for pictures and panels. Raises ``InputError`` for none."""
    data = [shown.data for shown in sets]
    return _render([shown.exhibit for shown in sets], data, sheets=[], served=True)


def _render(exhibits: Sequence[Exhibit], data: list[dict[str, Any]], *, sheets: list[str], served: bool) -> str:
    if not exhibits:
        raise InputError("expected at least one data set to report on; got none.")
    titles = _titles(exhibits)
    sections = [
        _section(exhibit) | {"title": title, "shown": _shown(exhibit, len(known["samples"]["ids"]), served=served)}
        for exhibit, known, title in zip(exhibits, data, titles, strict=True)
    ]
    names = list(dict.fromkeys(grid.name for exhibit in exhibits for grid in exhibit.grids))
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return template.from_string(read_template("report.html")).render(
        assets=page_assets(served=served),
        data=as_json({"sets": [known | {"title": title} for known, title in zip(data, titles, strict=True)]}),
        sheets=sheets,
        listed=labels.enumerate_words([name.replace("_", " ") for name in names]),
        properties=[(name, labels.property_title(name)) for name in names],
        models=labels.enumerate_words(list(dict.fromkeys(exhibit.ds.info.model for exhibit in exhibits))),
        sets=sections,
        step_name=labels.STEP_NAMES[exhibits[0].grids[0].axis.kind],
        headings=labels,
    )


def _titles(exhibits: Sequence[Exhibit]) -> list[str]:
    """A title for each that no other has. Raises ``InputError`` for a data set that is given twice."""
    known = [str(exhibit.ds.uuid) for exhibit in exhibits]
    if len(set(known)) < len(known):
        twice = next(exhibit for exhibit, uuid in zip(exhibits, known, strict=True) if known.count(uuid) > 1)
        raise InputError(f"expected different data sets; {twice.title} is given twice.")
    titles = [exhibit.title for exhibit in exhibits]
    return [
        title if titles.count(title) == 1 else f"{title}, {getattr(exhibit.ds, 'location', number)}"
        for number, (title, exhibit) in enumerate(zip(titles, exhibits, strict=True), start=1)
    ]


def _shown(exhibit: Exhibit, count: int, *, served: bool) -> str:
    """How many of the images the page knows, where it does not know all."""
    every = len(exhibit.ds.samples)
    if count == every:
        return ""
    rest = "" if served else " A page of one file has no room for more: `outcrop view` shows them from the data set."
    return f"Behind the cells stand {count:,} of the {every:,} images, evenly spaced.{rest}"


def _section(exhibit: Exhibit) -> dict[str, Any]:
    """What the template says about one data set."""
    ds, frame, grids, names = exhibit.ds, exhibit.frame, exhibit.grids, exhibit.names
    made, confidence = settings(exhibit.table), confidence_of(exhibit.table)
    return {
        "model": ds.info.model,
        "images": f"{len(ds.samples):,}",
        "answers": [sentences.answer(grid, names, confidence=confidence) for grid in grids],
        "guide": sentences.reading_guide(grids[0], names),
        "card": report_tables.card(ds, grids[0]),
        "pictures": exhibit.pictures,
        "footnote": labels.page_footnote(confidence=confidence, several=grids[0].values.size > 1),
        "tables": [report_tables.number_table(grid, names) for grid in grids],
        "examples": gallery(ds),
        "best": [row for grid in grids for row in report_tables.best_sites(frame, grid, names)],
        "has_steps": len(grids[0].axis.steps) > 1,
        "interval": labels.interval_name(confidence),
        "methods": sentences.methods(frame, settings=made),
        "caveats": sentences.caveats(frame, settings=made),
        "provenance": report_tables.provenance(ds, made),
        "citation": report_tables.citation(ds),
        "effects": None if exhibit.effects is None else _effects_section(exhibit, exhibit.effects),
    }


def _effects_section(exhibit: Exhibit, effects: HasEffects) -> dict[str, Any]:
    return {
        "causes": report_effects.causes(effects, probed=[grid.name for grid in exhibit.grids]),
        "measures": report_effects.measures(effects),
        "methods": report_effects.effect_methods(effects),
        "tables": report_effects.effect_tables(effects),
        "picture": report_effects.effects_picture(effects),
        "agreement": report_effects.comparison(exhibit.table, effects, exhibit.grids[0].sites),
    }
