"""The report: one HTML file that answers where and when each property is decodable, and says how it was measured."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, StrictUndefined
from numpy.typing import NDArray

from outcrop.data.errors import InputError, StorageError
from outcrop.viz import labels, report_effects, report_tables, sentences
from outcrop.viz.embedding.atlas import Atlas
from outcrop.viz.gallery import gallery
from outcrop.viz.grid import PropertyGrid, property_grid
from outcrop.viz.inputs import HasFrame, HasSamples, choose_properties, confidence_of, read_frame, settings
from outcrop.viz.page import as_json, page_assets, read_template
from outcrop.viz.page_cells import cell_data, example_data
from outcrop.viz.page_panels import panel_data
from outcrop.viz.page_samples import Sheets, choose_samples, picture_sheets, sample_data
from outcrop.viz.report_effects import HasEffects, HasStudy
from outcrop.viz.report_figures import probe_pictures


@dataclass(frozen=True)
class Exhibit:
    """One data set of a report, with the table of its probes, and what else is known of the model.

    ``effects`` of interventions on the model, the ``study`` they were read from, for its pictures; ``atlas``: maps of
    the samples to show instead of principal components, where it has them.
    """

    ds: HasSamples
    table: HasFrame | pd.DataFrame
    effects: HasEffects | None = None
    study: HasStudy | None = None
    atlas: Atlas | None = None

    @cached_property
    def frame(self) -> pd.DataFrame:
        return read_frame(self.table)

    @cached_property
    def grids(self) -> list[PropertyGrid]:
        return [property_grid(self.frame, name) for name in choose_properties(self.frame, None)]

    @cached_property
    def names(self) -> dict[str, str]:
        """A short name for every site."""
        return labels.short_site_names(self.grids[0].sites)

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """Positions of the samples that the page shows. Raises ``InputError`` for an atlas of another data set."""
        if self.atlas is None:
            return choose_samples(self.ds)
        if self.atlas.dataset != self.ds.uuid:
            raise InputError(f"expected an atlas of the data set {self.ds.uuid}; got one of {self.atlas.dataset}.")
        places = self.ds.samples.index.get_indexer(pd.Index(self.atlas.sample_ids)).astype(np.int64)
        if (places < 0).any():
            raise InputError("expected an atlas of samples that are in the data set; some are not. Make it anew.")
        return places

    @property
    def title(self) -> str:
        return str(getattr(self.ds, "name", "") or self.ds.info.model)


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
    ``InputError`` for a table without the needed columns and ``StorageError`` when the file cannot be written.
    """
    return write_exhibits([Exhibit(ds, table, effects, study, atlas)], out)


def write_exhibits(exhibits: Sequence[Exhibit], out: str | Path) -> Path:
    """:func:`write_report` for several data sets, side by side."""
    path = Path(out)
    page = render_exhibits(exhibits)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(page, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StorageError(
            f"expected to write the report {path}; the system says: {error.strerror or error}. "
            "Choose a file in a folder that can be written and has space left."
        ) from error
    return path


def render_report(ds: HasSamples, table: HasFrame | pd.DataFrame) -> str:
    """The text of the HTML page that :func:`write_report` writes."""
    return render_exhibits([Exhibit(ds, table)])


def render_exhibits(exhibits: Sequence[Exhibit]) -> str:
    """The page on several data sets. Raises ``InputError`` for none."""
    if not exhibits:
        raise InputError("expected at least one data set to report on; got none.")
    sheets: list[str] = []
    data = [_page_data(exhibit, sheets) for exhibit in exhibits]
    sections = [_section(exhibit) for exhibit in exhibits]
    names = list(dict.fromkeys(grid.name for exhibit in exhibits for grid in exhibit.grids))
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return template.from_string(read_template("report.html")).render(
        assets=page_assets(served=False),
        data=as_json({"sets": data}),
        sheets=sheets,
        listed=labels.enumerate_words([name.replace("_", " ") for name in names]),
        properties=[(name, labels.property_title(name)) for name in names],
        models=labels.enumerate_words(list(dict.fromkeys(exhibit.ds.info.model for exhibit in exhibits))),
        sets=sections,
        step_name=labels.STEP_NAMES[exhibits[0].grids[0].axis.kind],
        headings=labels,
    )


def _section(exhibit: Exhibit) -> dict[str, Any]:
    """What the template says about one data set."""
    ds, frame, grids, names = exhibit.ds, exhibit.frame, exhibit.grids, exhibit.names
    made, confidence = settings(exhibit.table), confidence_of(exhibit.table)
    return {
        "title": exhibit.title,
        "model": ds.info.model,
        "images": f"{len(ds.samples):,}",
        "answers": [sentences.answer(grid, names, confidence=confidence) for grid in grids],
        "guide": sentences.reading_guide(grids[0], names),
        "card": report_tables.card(ds, grids[0]),
        "pictures": probe_pictures(exhibit.table, grids, names),
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
        "causes": report_effects.causes(effects),
        "methods": report_effects.effect_methods(effects),
        "tables": report_effects.effect_tables(effects),
        "picture": report_effects.effects_picture(effects),
        "agreement": report_effects.agreement_picture(exhibit.table, effects, exhibit.grids[0].sites),
    }


def _page_data(exhibit: Exhibit, sheets: list[str]) -> dict[str, Any]:
    """What the page's script reads about one data set; its pictures are added to ``sheets``."""
    ds, grids, places = exhibit.ds, exhibit.grids, exhibit.places
    interval = labels.interval_name(confidence_of(exhibit.table))
    data = cell_data(exhibit.frame, grids, exhibit.names, interval=interval)
    outcomes = getattr(exhibit.table, "outcomes", None)
    if outcomes is not None and outcomes.right.shape[1] == len(ds.samples):
        for grid, entry in zip(grids, data["properties"], strict=True):
            entry["examples"] = example_data(exhibit.frame, outcomes.right, grid, places)
    found = picture_sheets(ds, places)
    data |= {
        "title": exhibit.title,
        "samples": sample_data(ds, places),
        "pictures": None if found is None else _pictures(found, len(places), first=len(sheets)),
        "panels": panel_data(ds, grids[0], places, exhibit.atlas),
    }
    sheets += [] if found is None else found.uris
    data["effects"] = None if exhibit.effects is None else report_effects.effect_data(exhibit.effects)
    if exhibit.effects is not None and exhibit.study is not None:
        pairs, shown = report_effects.study_data(exhibit.effects, exhibit.study)
        count = pairs["count"] * (int(exhibit.effects.frame["cell"].max()) + 3)
        data["effects"] |= {"study": pairs | {"pictures": _pictures(shown, count, first=len(sheets))}}
        sheets += shown.uris
    return data


def _pictures(found: Sheets, count: int, *, first: int) -> dict[str, int]:
    return {"tile": found.tile, "across": found.across, "count": count, "first": first}
