"""``README.md``: the data set's card, with the front matter that the Hugging Face Hub reads."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import yaml

from outcrop.data.agreement import agreement
from outcrop.data.croissant import VIEWER
from outcrop.data.statement import SharedFile, Statement
from outcrop.data.summary import describe_label, origin, overview, printable, size_text

if TYPE_CHECKING:
    from outcrop.data.dataset import Dataset

# Identifiers of the Hub, which are SPDX's in small letters; others go under license_name.
HUB_LICENCES = frozenset(
    (
        "apache-2.0",
        "mit",
        "openrail",
        "creativeml-openrail-m",
        "openrail++",
        "bigscience-openrail-m",
        "bsd",
        "bsd-2-clause",
        "bsd-3-clause",
        "cc",
        "cc0-1.0",
        "cc-by-2.0",
        "cc-by-2.5",
        "cc-by-3.0",
        "cc-by-4.0",
        "cc-by-sa-3.0",
        "cc-by-sa-4.0",
        "cc-by-nc-2.0",
        "cc-by-nc-3.0",
        "cc-by-nc-4.0",
        "cc-by-nd-4.0",
        "cc-by-nc-nd-3.0",
        "cc-by-nc-nd-4.0",
        "cc-by-nc-sa-2.0",
        "cc-by-nc-sa-3.0",
        "cc-by-nc-sa-4.0",
        "cdla-sharing-1.0",
        "cdla-permissive-1.0",
        "cdla-permissive-2.0",
        "gpl",
        "gpl-2.0",
        "gpl-3.0",
        "lgpl-2.1",
        "lgpl-3.0",
        "agpl-3.0",
        "mpl-2.0",
        "odc-by",
        "odbl",
        "pddl",
        "unlicense",
        "wtfpl",
        "etalab-2.0",
        "other",
    )
)
SIZES = ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"), (1e7, "1M<n<10M"))
KINDS = {
    "figures": "pictures for this card",
    "shards": "activations",
    "images": "pictures",
    "labels": "labels added later",
    "viewer": "samples to look at",
}


def write_card(ds: "Dataset", statement: Statement, files: Sequence[SharedFile], figures: Sequence[str]) -> str:
    """The card in Markdown. ``figures``: paths inside the data set; what strangers wrote in prompts and labels is
    escaped.
    """
    parts = [
        f"---\n{_front_matter(ds, statement)}---\n",
        f"# {_safe(statement.title)}\n",
        f"{_safe(statement.description, limit=5000)}\n" if statement.description else "",
        f"Activations of `{_safe(ds.info.model)}`: {len(ds.sites)} sites x {len(ds.steps)} steps for {len(ds):,} "
        "generated pictures, recorded with Outcrop.\n",
        *(f"![{alt}]({path})\n" for path, alt in _alternatives(figures)),
        _section("Use", _usage(statement)),
        _section("Contents", _table(("", ""), [row for row in overview(ds) if row[0] != "licence"])),
        _section("Labels", _labels(ds)),
        _section("Sites, in execution order", _sites(ds)),
        _section("Steps", _steps(ds)),
        _section("Files", _files(files)),
        _section("Licences", _table(("of", "licence"), sorted(statement.licences.items()))),
        _section("Provenance", _table(("", ""), sorted(ds.info.provenance.items()))),
        _section("Citation", f"```bibtex\n{statement.citation.replace('```', '')}\n```\n"),
    ]
    return "\n".join(part for part in parts if part)


def _front_matter(ds: "Dataset", statement: Statement) -> str:
    stated = statement.licences["data"]
    fields: dict[str, object] = {"pretty_name": printable(statement.title)}
    if stated.lower() in HUB_LICENCES:
        fields["license"] = stated.lower()
    else:
        fields |= {"license": "other", "license_name": "-".join(printable(stated).lower().split())}
    fields["tags"] = ["activations", "interpretability", "image-generation", "outcrop", "croissant"]
    fields["size_categories"] = [next((name for most, name in SIZES if len(ds) < most), "n>10M")]
    fields["configs"] = [{"config_name": "samples", "data_files": [{"split": "train", "path": VIEWER}]}]
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)


def _usage(statement: Statement) -> str:
    place = printable(statement.url, limit=400).replace("`", "").replace('"', "") or "URL"
    return (
        "```python\nimport outcrop as oc\n\n"
        f'ds = oc.open_dataset("{place}")    # only the columns that are used are fetched\n'
        "ds.samples, ds.sites, ds.steps    # tables\n"
        "ds.activations(SITE, step=0)    # (sample, *feature)\n```\n\n"
        f"The whole of it, verified: `outcrop pull {place} FOLDER`. The shards are plain HDF5.\n"
    )


def _labels(ds: "Dataset") -> str:
    rows = [(name, describe_label(ds.labels[name]), origin(ds, str(name))) for name in ds.labels]
    rows += [
        (label.name, f"map of {label.shape[0]} x {label.shape[1]} cells: {', '.join(label.classes)}", origin(ds, name))
        for name, label in ds.added_labels.items()
        if label.kind == "map" and label.shape
    ]
    if not rows:
        return "None.\n"
    text = _table(("label", "values", "origin"), rows)
    report = agreement(ds)
    if len(report):
        found = [
            (row["prompted"], row["realised"], row["n"], f"{row['agrees']:.1%}")
            for row in report.to_dict(orient="records")
        ]
        text += "\nWhat the pictures show, beside what the prompts asked for:\n\n"
        text += _table(("asked for", "shown, by", "samples", "agree"), found)
    return text


def _sites(ds: "Dataset") -> str:
    rows = [
        (site.name, site.role, f"{site.depth:.2f}", " x ".join(map(str, site.shape)) or "scalar")
        for site in ds.info.sites
    ]
    return _table(("site", "role", "depth", "shape"), rows)


def _steps(ds: "Dataset") -> str:
    rows = [(s.index, f"{s.timestep:g}", f"{s.log_snr:.2f}", f"{s.noise:.1f}") for s in ds.info.steps]
    return _table(("step", "timestep", "log-SNR", "noise (100: pure)"), rows)


def _files(files: Sequence[SharedFile]) -> str:
    groups: dict[str, list[SharedFile]] = {}
    for file in files:
        groups.setdefault(file.path.split("/")[0], []).append(file)
    rows = [
        (f"{name}/" if name in KINDS else name, KINDS.get(name, ""), len(group), size_text(sum(f.bytes for f in group)))
        for name, group in groups.items()
    ]
    total = ("all", "", len(files), size_text(sum(file.bytes for file in files)))
    return (
        _table(("", "holds", "files", "size"), [*rows, total]) + "\n`sha256sum --check checksums.sha256` checks them.\n"
    )


def _alternatives(figures: Sequence[str]) -> list[tuple[str, str]]:
    said = {
        "gallery": "Pictures of the data set",
        "heatmap": "How well each property can be read at every site and step",
        "profiles": "Accuracy along the depth of the model",
        "architecture": "The model, coloured by what can be read where",
    }
    return [(path, said.get(path.split("/")[-1].removesuffix(".png"), "A figure")) for path in figures]


def _section(title: str, content: str) -> str:
    return f"## {title}\n\n{content}"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *([_safe(cell, limit=400) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _safe(value: object, *, limit: int = 400) -> str:
    """Text that is no markup: neither HTML nor Markdown's links, tables and code."""
    text = escape(printable(value, limit=limit), quote=False)
    return "".join(f"\\{sign}" if sign in "|[]`*\\!" else sign for sign in text)
