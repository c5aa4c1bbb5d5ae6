"""Parquet of strangers: parsed in a child process with little memory and time, so that what it breaks is not ours.

Parquet is parsed by a large C++ library, and a small file may hold a table of terabytes. A table whose content this
user wrote or has checked before is read at once: its SHA-256 is noted under ``~/.cache/outcrop/checked``.
"""

import hashlib
import io
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pandas as pd

from outcrop.data.errors import DataError

MEMORY = 2**32
SECONDS = 60
MAX_TABLE_BYTES = 2**30
_CHILD = """
import resource, sys
import pyarrow as pa, pyarrow.parquet as pq
resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
file = pq.ParquetFile(pa.BufferReader(sys.stdin.buffer.read()))
for field in file.schema_arrow:
    kind = field.type.value_type if pa.types.is_list(field.type) else field.type
    plain = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_boolean(kind)
    if not (plain or pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        sys.exit(f"column {field.name!r} is of type {kind}; text, numbers, booleans and lists of them are allowed")
table = file.read(use_threads=False)
if table.nbytes > MAX_BYTES:
    sys.exit(f"it holds {table.nbytes} bytes; at most MAX_BYTES are allowed")
table.validate(full=True)
table.to_pandas()
with pa.ipc.new_stream(sys.stdout.buffer, table.schema) as stream:
    stream.write_table(table)
"""


def read_table(content: bytes, *, where: str) -> pd.DataFrame:
    """The table of a parquet file's ``content``; ``where`` names it in errors.

    Raises :class:`DataError` for what is no table of text, numbers, booleans and lists of them, or too large.
    """
    if len(content) > MAX_TABLE_BYTES:
        raise DataError(f"{where} has {len(content)} bytes. At most {MAX_TABLE_BYTES} are expected in a table.")
    if _receipt(content).exists():
        return pd.read_parquet(io.BytesIO(content))
    table = _read_in_child(content, where)
    note_checked(content)
    return table


def note_checked(content: bytes) -> None:
    """Remember that this content is a sound table: this user wrote it, or it was checked."""
    receipt = _receipt(content)
    with suppress(OSError):  # without a home, every table is checked every time
        receipt.parent.mkdir(parents=True, exist_ok=True)
        receipt.touch()


def _receipt(content: bytes) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "outcrop" / "checked" / hashlib.sha256(content).hexdigest()


def _read_in_child(content: bytes, where: str) -> pd.DataFrame:
    import pyarrow as pa

    code = re.sub("MEMORY|SECONDS|MAX_BYTES", lambda name: str(_LIMITS[name[0]]), _CHILD)
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", code], input=content, capture_output=True, timeout=2 * SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(f"{where} could not be read within {2 * SECONDS} s: it is damaged or hostile.") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1][:300] if said else f"the reader ended with code {done.returncode}"
        raise DataError(f"{where} is no table that Outcrop reads: {reason!r}. Fetch it again.")
    return pa.ipc.open_stream(done.stdout).read_all().to_pandas()  # type: ignore[no-any-return]  # pyarrow is untyped


_LIMITS = {"MEMORY": MEMORY, "SECONDS": SECONDS, "MAX_BYTES": MAX_TABLE_BYTES}
