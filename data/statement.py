"""``share.json``: what is said about a data set that is handed on, and which files it consists of."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from outcrop.data.errors import DataError, InputError
from outcrop.data.safe_paths import safe_parts
from outcrop.data.schema import Record

STATEMENT = "share.json"
CHECKSUMS = "checksums.sha256"
LICENSED = ("data", "model", "prompts")
MAX_STATEMENT_BYTES = 2**28
BLOCK = 2**22
# Texts that the user chose as prompts: a slash in them is no path of a machine.
PROMPT_KEYS = frozenset({"texts", "factors", "templates"})
PRIVATE_PATH = re.compile(r"(?:^|(?<=[\s\"'=:(,]))(?:file:|~/|[A-Za-z]:\\|/(?!/)[^\s/]+/\S)")


class SharedFile(Record):
    """A file as it was when it was shared."""

    path: str = Field(max_length=1000)
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Statement(Record):
    """``share.json``. ``licences``: of the data, of the model that made them, and of the prompts."""

    format: Literal[1] = 1
    uuid: str
    title: str = Field(min_length=1, max_length=200)
    description: str = ""
    licences: dict[str, str]
    creators: tuple[str, ...] = ()
    citation: str = ""
    url: str = ""
    version: str = Field(default="1.0.0", pattern=r"^\d+\.\d+\.\d+$")
    published: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    files: tuple[SharedFile, ...] = ()

    @model_validator(mode="after")
    def _licensed(self) -> Self:
        if missing := [name for name in LICENSED if not self.licences.get(name, "").strip()]:
            said = "it may not be used by others" if "data" in missing else "others will not know what they may do"
            raise ValueError(f"no licence is stated for: {', '.join(missing)}. Without one {said}")
        if unknown := sorted(set(self.licences) - set(LICENSED)):
            raise ValueError(f"licences are stated for {', '.join(LICENSED)}; got one for {unknown[0]!r}")
        return self

    @property
    def nbytes(self) -> int:
        return sum(file.bytes for file in self.files)


def make_statement(**fields: object) -> Statement:
    """A statement out of what a user gave. Raises :class:`InputError` that names the field and the mend."""
    try:
        return Statement.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        hint = " Give --licence data=CC-BY-4.0, --licence model=..., --licence prompts=..." if "licence" in said else ""
        raise InputError(f"This cannot be shared: {where + ': ' if where else ''}{said}.{hint}") from error


def parse_statement(content: bytes, *, where: str) -> Statement:
    """A stranger's statement. Raises :class:`DataError` for one that is not valid or names a path that leads out."""
    try:
        statement = Statement.model_validate_json(content)
    except ValidationError as error:
        raise DataError(f"{where} is no statement of a shared data set: {error.errors()[0]['msg']}.") from error
    seen: set[str] = set()
    for file in statement.files:
        safe_parts(file.path, where=where)
        if file.path in seen or file.path in {STATEMENT, CHECKSUMS}:
            raise DataError(f"{where} lists {file.path} more than once.")
        seen.add(file.path)
    return statement


def describe_files(folder: Path, paths: Sequence[str]) -> tuple[SharedFile, ...]:
    """Sizes and checksums as the files are now, in the order of their paths."""
    with ThreadPoolExecutor(4) as threads:
        return tuple(threads.map(lambda path: _describe(folder, path), sorted(paths)))


def file_sha256(path: Path) -> str:
    """Of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def checksum_lines(files: Sequence[SharedFile]) -> bytes:
    """What ``sha256sum --check`` reads."""
    return "".join(f"{file.sha256}  {file.path}\n" for file in files).encode()


def private_paths(value: object) -> Iterator[str]:
    """Texts in ``value``, nested lists and mappings, that name an absolute path of a machine."""
    if isinstance(value, str):
        if PRIVATE_PATH.search(value):
            yield value
    elif isinstance(value, dict):
        for name, part in value.items():
            if name not in PROMPT_KEYS:
                yield from private_paths(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from private_paths(part)


def _describe(folder: Path, path: str) -> SharedFile:
    full = folder / path
    return SharedFile(path=path, bytes=full.stat().st_size, sha256=file_sha256(full))
