"""``croissant.json``: the data set's description for search engines and loaders (MLCommons Croissant 1.0)."""

import json
from typing import TYPE_CHECKING, Any

import pandas as pd

from outcrop.data.statement import CHECKSUMS, SharedFile, Statement

if TYPE_CHECKING:
    from outcrop.data.dataset import Dataset

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
VIEWER = "viewer/samples.parquet"
# Terms of the standard, section "Croissant Format: Namespaces".
TERMS = (
    "citeAs",
    "column",
    "equivalentProperty",
    "extract",
    "field",
    "fileProperty",
    "fileObject",
    "fileSet",
    "format",
    "includes",
    "isLiveDataset",
    "jsonPath",
    "key",
    "md5",
    "parentField",
    "path",
    "recordSet",
    "references",
    "regex",
    "repeated",
    "replace",
    "samplingRate",
    "separator",
    "source",
    "subField",
    "transform",
)
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{term: f"cr:{term}" for term in TERMS},
}
# What single files are; whatever else there is, is in a set.
KINDS = {
    "dataset.json": ("application/json", "The record: model, sites, steps, specification, provenance."),
    "manifest.json": ("application/json", "Where each column of activations lies, and its checksums."),
    "samples.parquet": ("application/x-parquet", "Samples with prompts, seeds and the labels asked for."),
    VIEWER: ("application/x-parquet", "Samples with all labels and small pictures."),
}
SETS = (
    ("shards", "shards/*/*.h5", "application/x-hdf5", "Activations: /activations/SITE is (step, sample, *feature)."),
    ("images", "images/*/*.png", "image/png", "The generated pictures."),
    ("labels", "labels/*.parquet", "application/x-parquet", "Labels that were added later, by sample id."),
)


def write_croissant(ds: "Dataset", statement: Statement, files: tuple[SharedFile, ...]) -> bytes:
    """The metadata as JSON-LD; ``files`` are those of the data set and the viewer's table."""
    known = {file.path: file for file in files}
    fields = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": statement.title,
        "description": statement.description or f"Activations of {ds.info.model}, recorded with Outcrop.",
        "license": statement.licences["data"],
        "url": statement.url or f"urn:outcrop:{statement.uuid}",
        "version": statement.version,
        "datePublished": statement.published,
        "citeAs": statement.citation,
        "creator": [{"@type": "sc:Person", "name": name} for name in statement.creators],
        "keywords": ["activations", "interpretability", "image generation"],
        "distribution": [*_objects(known), *_sets(known)],
        "recordSet": [_record_set(ds.samples, pictures="images" in {name for name, *_ in _present(known)})],
    }
    filled = {name: value for name, value in fields.items() if value}
    return json.dumps(filled, indent=1, ensure_ascii=False).encode()


def _objects(known: dict[str, SharedFile]) -> list[dict[str, Any]]:
    return [
        {
            "@type": "cr:FileObject",
            "@id": path,
            "name": path,
            "description": text,
            "contentUrl": path,
            "contentSize": f"{known[path].bytes} B",
            "encodingFormat": kind,
            "sha256": known[path].sha256,
        }
        for path, (kind, text) in KINDS.items()
        if path in known
    ]


def _present(known: dict[str, SharedFile]) -> list[tuple[str, str, str, str]]:
    return [each for each in SETS if any(path.startswith(f"{each[0]}/") for path in known)]


def _sets(known: dict[str, SharedFile]) -> list[dict[str, Any]]:
    return [
        {
            "@type": "cr:FileSet",
            "@id": name,
            "name": name,
            "description": f"{text} Checksums: {CHECKSUMS}.",
            "encodingFormat": kind,
            "includes": pattern,
        }
        for name, pattern, kind, text in _present(known)
    ]


def _record_set(samples: pd.DataFrame, *, pictures: bool) -> dict[str, Any]:
    table = samples.rename(columns={"image": "image_path"}).reset_index()
    fields = [_field(str(name), _data_type(table[name]), {"column": str(name)}) for name in table]
    if pictures:
        picture = _field("image", "sc:ImageObject", {"column": "image"})
        picture["source"]["transform"] = {"jsonPath": "bytes"}
        fields.append(picture)
    return {
        "@type": "cr:RecordSet",
        "@id": "samples",
        "name": "samples",
        "description": "One record a generated picture.",
        "key": {"@id": "samples/id"},
        "field": fields,
    }


def _field(name: str, kind: str, extract: dict[str, str]) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"samples/{name}",
        "name": name,
        "dataType": kind,
        "source": {"fileObject": {"@id": VIEWER}, "extract": extract},
    }


def _data_type(values: pd.Series) -> str:
    kinds = {"i": "sc:Integer", "u": "sc:Integer", "f": "sc:Float", "b": "sc:Boolean"}
    return kinds.get(values.dtype.kind, "sc:Text")
