"""Pushing a shared data set to wherever fsspec writes, and pulling one from wherever it reads.

Both go on where they were stopped, and both compare every file's SHA-256 where it arrives. ``share.json`` is pushed
last: where it stands, everything stands.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outcrop.data.atomic import storage_error, write_atomic
from outcrop.data.errors import ConflictError, DataError, InputError, OutcropError
from outcrop.data.safe_paths import MIB, read_bounded, safe_path
from outcrop.data.statement import (
    BLOCK,
    CHECKSUMS,
    MAX_STATEMENT_BYTES,
    STATEMENT,
    SharedFile,
    Statement,
    checksum_lines,
    describe_files,
    file_sha256,
    parse_statement,
)
from outcrop.data.store import connect, unreadable
from outcrop.data.writer import check_room

AT_ONCE = 4
PART = ".part"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Transfer:
    """What a push or pull did: ``sent`` files were moved, ``kept`` ones were there already, as they should be."""

    target: str
    statement: Statement
    sent: int
    kept: int

    @property
    def files(self) -> int:
        return self.sent + self.kept


def read_statement(folder: Path) -> Statement:
    """The statement of a folder that was shared. Raises :class:`InputError` for one that was not."""
    if not os.path.lexists(folder / STATEMENT):
        raise InputError(f"{folder} has no {STATEMENT}. Make it ready with `outcrop share` first.")
    return parse_statement(read_bounded(folder / STATEMENT, most=MAX_STATEMENT_BYTES), where=str(folder / STATEMENT))


def check_folder(folder: Path) -> Statement:
    """:func:`read_statement`, every file compared with it. Raises :class:`DataError` for one that was changed since."""
    statement = read_statement(folder)
    for file in statement.files:
        path = safe_path(folder, file.path)
        if not path.is_file() or not _is(path, file):
            raise DataError(f"{path} is not what {STATEMENT} says. Run `outcrop share` again after a change.")
    return statement


def push(folder: str | Path, target: str, *, progress: Progress | None = None) -> Transfer:
    """Copy the shared data set ``folder`` to a URL that fsspec writes to (``s3://``, ``file://``, a path, ...).

    Files that are there already, by content, are not sent again. Every file is read back and compared. Raises
    :class:`InputError` for a folder that is not shared, :class:`ConflictError` where another data set stands, and
    :class:`DataError` for a file that arrives otherwise than it left.
    """
    root = Path(folder)
    statement = check_folder(root)
    system, base = connect(target)
    _refuse_other(system, base, statement, target)
    files = statement.files
    sent = _each(files, lambda file: _push_file(system, base, root, file), progress)
    for name in (CHECKSUMS, STATEMENT):
        content = (root / name).read_bytes()
        try:
            system.pipe_file(f"{base}/{name}", content)
        except Exception as error:
            raise unreadable(f"{target}/{name}", error) from error
    return Transfer(target, statement, sent, len(files) - sent)


def pull(source: str, folder: str | Path, *, progress: Progress | None = None) -> Transfer:
    """Fetch a shared data set from a URL or path into ``folder``, and go on where an earlier pull was stopped.

    Every file is compared with the checksum in the source's ``share.json``. Raises :class:`DataError` for a source that
    is none or sends other bytes, :class:`ConflictError` where ``folder`` holds something else, and
    :class:`~outcrop.data.errors.StorageError` where it does not fit.
    """
    root = Path(folder)
    system, base = connect(source)
    content = _fetch(system, f"{base}/{STATEMENT}", f"{source}/{STATEMENT}", 0, MAX_STATEMENT_BYTES + 1)
    if len(content) > MAX_STATEMENT_BYTES:
        raise DataError(f"{source}/{STATEMENT} is larger than {MAX_STATEMENT_BYTES / MIB:.0f} MiB: it is no statement.")
    statement = parse_statement(content, where=f"{source}/{STATEMENT}")
    prepare_folder(root, statement)
    sent = _each(statement.files, lambda file: _pull_file(system, base, root, file), progress)
    finish_folder(root, content, statement)
    return Transfer(str(root), statement, sent, len(statement.files) - sent)


def prepare_folder(root: Path, statement: Statement) -> None:
    """Refuse a folder that holds something else, or too little room; note what will be there."""
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(root, error) from error
    marker, known = root / f".{STATEMENT}{PART}", statement.uuid.encode()
    found: bytes | None = marker.read_bytes() if marker.exists() else None
    if (root / STATEMENT).exists():
        found = read_statement(root).uuid.encode()
    if found is None and any(root.iterdir()):
        raise ConflictError(f"{root} is not empty and holds no pulled data set. Choose another folder.")
    if found not in {None, known}:
        raise ConflictError(f"{root} holds another data set. Choose another folder.")
    marker.write_bytes(known)
    missing = sum(file.bytes for file in statement.files if not (root / file.path).exists())
    check_room(root, missing)


def finish_folder(root: Path, content: bytes, statement: Statement) -> None:
    """All is there: write the statement and the checksums."""
    write_atomic(root / STATEMENT, content)
    write_atomic(root / CHECKSUMS, checksum_lines((*statement.files, *describe_files(root, [STATEMENT]))))
    (root / f".{STATEMENT}{PART}").unlink(missing_ok=True)


def _each(files: Sequence[SharedFile], move: Callable[[SharedFile], bool], progress: Progress | None) -> int:
    """Several at once; how many had to be moved. The first error ends it, what is done stays."""
    total = sum(file.bytes for file in files)
    sent = done = 0
    with ThreadPoolExecutor(AT_ONCE) as threads:
        waiting = {threads.submit(move, file): file for file in files}
        try:
            for future in as_completed(waiting):
                sent += future.result()
                done += waiting[future].bytes
                if progress:
                    progress(done, total)
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise
    return sent


def _push_file(system: Any, base: str, root: Path, file: SharedFile) -> bool:
    """Whether it had to be sent."""
    remote, name = f"{base}/{file.path}", file.path
    try:
        if (
            system.exists(remote)
            and system.size(remote) == file.bytes
            and _remote_sha256(system, remote) == file.sha256
        ):
            return False
        system.makedirs(remote.rsplit("/", 1)[0], exist_ok=True)
        system.put_file(str(root / file.path), remote)
        system.invalidate_cache()
        arrived = _remote_sha256(system, remote)
    except OutcropError:
        raise
    except Exception as error:
        raise DataError(f"{name} could not be pushed: {error}. Run the same command again to go on.") from error
    if arrived != file.sha256:
        raise DataError(f"{name} arrived otherwise than it left. Run the same command again.")
    return True


def _pull_file(system: Any, base: str, root: Path, file: SharedFile) -> bool:
    target = safe_path(root, file.path)
    if target.is_file():
        if _is(target, file):
            return False
        raise ConflictError(f"{target} is not the file that is pulled. Remove it, or choose another folder.")
    part = target.with_name(f".{target.name}{PART}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _fill_part(system, f"{base}/{file.path}", part, file)
        if file_sha256(part) != file.sha256:
            part.unlink()
            raise DataError(f"{file.path} came with other bytes than {STATEMENT} says: it was changed or damaged.")
        part.rename(target)
    except OSError as error:
        raise storage_error(target, error) from error
    return True


def _fill_part(system: Any, remote: str, part: Path, file: SharedFile) -> None:
    """Fetch what is missing of a file, block by block; a stopped pull leaves a part that the next one goes on with."""
    have = part.stat().st_size if part.exists() else 0
    with part.open("ab") as stream:
        if have > file.bytes:
            stream.truncate(0)
            have = 0
        while have < file.bytes:
            content = _fetch(system, remote, file.path, have, min(have + BLOCK, file.bytes))
            expected = min(BLOCK, file.bytes - have)
            if len(content) == file.bytes:  # also from a server that knows no ranges and sends the whole
                content = content[have:]
            elif len(content) != expected:
                raise DataError(
                    f"{file.path}: {expected} bytes were asked for, {len(content)} came. The file is cut short, or "
                    "another one."
                )
            stream.write(content)
            have += len(content)


def _fetch(system: Any, remote: str, name: str, start: int, end: int) -> bytes:
    try:
        content: bytes = system.cat_file(remote, start=start, end=end)
    except FileNotFoundError as error:
        raise DataError(f"{name} is not there. Was the data set shared and pushed as a whole?") from error
    except Exception as error:
        raise unreadable(name, error) from error
    return content


def _refuse_other(system: Any, base: str, statement: Statement, target: str) -> None:
    try:
        there = system.exists(f"{base}/{STATEMENT}") and system.cat_file(f"{base}/{STATEMENT}", end=MAX_STATEMENT_BYTES)
    except Exception as error:
        raise unreadable(target, error) from error
    if there and parse_statement(there, where=f"{target}/{STATEMENT}").uuid != statement.uuid:
        raise ConflictError(f"{target} holds another data set. Choose another place.")


def _remote_sha256(system: Any, remote: str) -> str:
    digest = hashlib.sha256()
    with system.open(remote, "rb", block_size=BLOCK, cache_type="readahead") as stream:
        while content := stream.read(BLOCK):
            digest.update(content)
    return digest.hexdigest()


def _is(path: Path, file: SharedFile) -> bool:
    return path.stat().st_size == file.bytes and file_sha256(path) == file.sha256
