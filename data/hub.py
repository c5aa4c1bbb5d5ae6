"""Pushing to and pulling from the Hugging Face Hub, with its own client (``outcrop[remote]``)."""

from pathlib import Path
from typing import Any

from outcrop.data.errors import DataError, InputError
from outcrop.data.object_store import EXTRA
from outcrop.data.statement import CHECKSUMS, MAX_STATEMENT_BYTES, STATEMENT, parse_statement
from outcrop.data.transfer import Transfer, check_folder, finish_folder, prepare_folder

SCHEME = "hf://datasets/"


def is_hub(location: str) -> bool:
    """Whether the location is a data set of the Hub."""
    return location.startswith(SCHEME)


def push_to_hub(folder: str | Path, target: str, *, private: bool = False) -> Transfer:
    """Upload a shared data set to ``hf://datasets/USER/NAME[@REVISION]``; needs a login of the Hub's client.

    Files that the Hub has by content are not sent again, and a stopped upload goes on. Then the commit's listing is
    compared with ``share.json``: every path, its size, and its SHA-256 where the Hub tells it.
    """
    root, (repo, revision) = Path(folder), _parse(target)
    statement = check_folder(root)
    hub = _client()
    api = hub.HfApi()
    paths = [file.path for file in statement.files] + [CHECKSUMS, STATEMENT]
    try:
        api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo,
            repo_type="dataset",
            revision=revision,
            folder_path=str(root),
            allow_patterns=paths,
            commit_message=f"Share {statement.title}",
        )
        entries = api.list_repo_tree(repo, repo_type="dataset", revision=done.oid, recursive=True)
        found = {entry.path: entry for entry in entries if hasattr(entry, "size")}
    except Exception as error:
        raise DataError(f"{target} could not be pushed: {error}. Run the same command again to go on.") from error
    for file in statement.files:
        entry = found.get(file.path)
        stored = getattr(entry, "lfs", None)
        if entry is None or entry.size != file.bytes or (stored and stored.sha256 != file.sha256):
            raise DataError(f"{file.path} arrived at {target} otherwise than it left. Run the same command again.")
    return Transfer(target, statement, len(paths) - 2, 0)


def pull_from_hub(source: str, folder: str | Path) -> Transfer:
    """Download ``hf://datasets/USER/NAME[@REVISION]``, go on where an earlier pull was stopped, and verify it all."""
    root, (repo, revision) = Path(folder), _parse(source)
    hub = _client()
    options: dict[str, Any] = {"repo_id": repo, "repo_type": "dataset", "revision": revision}
    try:
        stated = Path(hub.hf_hub_download(filename=STATEMENT, **options))
        if stated.stat().st_size > MAX_STATEMENT_BYTES:
            raise DataError(f"{source}/{STATEMENT} is no statement of a shared data set: it is too large.")
        content = stated.read_bytes()
        statement = parse_statement(content, where=f"{source}/{STATEMENT}")
        prepare_folder(root, statement)
        paths = [file.path for file in statement.files]
        hub.snapshot_download(local_dir=str(root), allow_patterns=paths, **options)
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{source} could not be pulled: {error}. Run the same command again to go on.") from error
    finish_folder(root, content, statement)
    check_folder(root)
    return Transfer(str(root), statement, len(paths), 0)


def _parse(location: str) -> tuple[str, str | None]:
    """Repository and revision."""
    repo, _, revision = location.removeprefix(SCHEME).rstrip("/").partition("@")
    if not is_hub(location) or repo.count("/") != 1 or not all(repo.split("/")):
        raise InputError(f"Expected {SCHEME}USER/NAME or {SCHEME}USER/NAME@REVISION. Got {location!r}.")
    return repo, revision or None


def _client() -> Any:
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise InputError(f"The Hub needs huggingface_hub. Install it with: {EXTRA}") from error
    return huggingface_hub
