"""What is wrong with what came after the capture: labels that were added, and what was written for sharing."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from outcrop.data.errors import DataError
from outcrop.data.findings import Finding
from outcrop.data.labels import INDEX, index_bytes, read_index, read_label
from outcrop.data.safe_paths import read_bounded, safe_path
from outcrop.data.statement import (
    CHECKSUMS,
    MAX_STATEMENT_BYTES,
    STATEMENT,
    SharedFile,
    checksum_lines,
    parse_statement,
)
from outcrop.data.store import LocalStore

CHECKED_ELSEWHERE = ("shards/", "images/", "labels/", "dataset.json", "samples.parquet", "manifest.json")
MAX_SHARED_BYTES = 2**30


def check_added_labels(root: Path, ids: pd.Index) -> Iterator[Finding]:
    """Each label against the index, and the files against both."""
    store = LocalStore(root)
    try:
        index = read_index(store)
    except DataError as error:
        yield Finding("error", INDEX, str(error))
        return
    if index.sha256 and store.find(INDEX) != index_bytes(index.labels):
        yield Finding("error", INDEX, "is not as it was written: it was edited or damaged")
    elif index.labels and not index.sha256:
        yield Finding("advice", INDEX, "has no checksum: it is of an early version of outcrop")
    known = {INDEX, *(label.file for label in index.labels)}
    for path in sorted(root.glob("labels/*")):
        if (name := path.relative_to(root).as_posix()) not in known:
            yield Finding("warning", name, "is listed in no index: left by an interrupted write; it is not read")
    for label in index.labels:
        try:
            values = read_label(store, label, ids)
        except DataError as error:
            yield Finding("error", label.file, str(error))
            continue
        if lost := int(values.isna().sum()):
            yield Finding("advice", label.file, f"label {label.name!r} has no value for {lost} samples")
        if not label.provenance:
            yield Finding("warning", label.file, f"label {label.name!r} has no provenance")


def check_shared(root: Path) -> Iterator[Finding]:
    """Files that were written for sharing may be edited, but then they are to be shared again."""
    if not os.path.lexists(root / STATEMENT):
        return
    try:
        content = read_bounded(root / STATEMENT, most=MAX_STATEMENT_BYTES)
        statement = parse_statement(content, where=STATEMENT)
        own = SharedFile(path=STATEMENT, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        lines = read_bounded(root / CHECKSUMS, most=MAX_STATEMENT_BYTES)
    except DataError as error:
        yield Finding("error", STATEMENT, str(error))
        return
    if lines != checksum_lines((*statement.files, own)):
        yield Finding("error", CHECKSUMS, f"does not say what {STATEMENT} says: one of them is damaged. Share it again")
    for file in statement.files:
        if not file.path.startswith(CHECKED_ELSEWHERE):
            yield from _check_file(root, file)


def _check_file(root: Path, file: SharedFile) -> Iterator[Finding]:
    try:
        content = read_bounded(safe_path(root, file.path), most=MAX_SHARED_BYTES)
    except DataError as error:
        yield Finding("error", file.path, str(error))
        return
    if (len(content), hashlib.sha256(content).hexdigest()) != (file.bytes, file.sha256):
        yield Finding("warning", file.path, "is not what was shared: it was edited or damaged. Share it again")
