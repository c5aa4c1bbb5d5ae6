"""Object stores as a data set is written to them: ``s3://``, ``gs://`` and ``az://``, by the library obstore.

Put an object, put it only if there is none, list, read, delete: each is atomic, and tried again where the network or
the store fails. What still fails is an error of ours. Credentials come from the environment (``AWS_ACCESS_KEY_ID``,
``AWS_ENDPOINT_URL``, ``GOOGLE_APPLICATION_CREDENTIALS``, ...) or from the machine's role.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from outcrop.data.errors import ConflictError, DataError, InputError, StorageError

SCHEMES = ("s3", "gs", "az")
RETRIES = 10
"""How often a request is tried again: a minute or so, all together (the pauses are drawn at random)."""
FIRST_RETRIES = 2
"""The same, before anything is done: some seconds."""
BACKOFF = {"init_backoff": timedelta(seconds=1), "max_backoff": timedelta(seconds=15), "base": 3}
PART = 2**24
"""Bytes of one part of a large object; S3 takes no less than 5 MiB, and at most 10,000 parts."""
PARTS_AT_ONCE = 4
EXTRA = "pip install 'outcrop[remote]'"
AGAIN = "What was committed before is safe; run the same command again to go on."
_users: set[int] = set()


class ObjectStore:
    """The objects whose keys begin with the path of ``location``, a URL such as ``s3://bucket/folder``."""

    def __init__(self, location: str, *, retries: int | None = None) -> None:
        self.location, self._store = location, open_objects(location, retries=retries)
        import obstore

        self._calls = obstore

    def put(self, path: str, content: bytes | memoryview) -> None:
        """Write an object; it shows when all of it has arrived. Raises :class:`StorageError`."""
        view = memoryview(content)
        with self._failing(path, writing=True):
            self._calls.put(self._store, path, view, chunk_size=PART, max_concurrency=PARTS_AT_ONCE)
            arrived = self._calls.head(self._store, path)["size"]
        if arrived != view.nbytes:
            raise StorageError(f"{self.location}/{path} has {arrived} of {view.nbytes} bytes after its upload. {AGAIN}")

    def create(self, path: str, content: bytes) -> bool:
        """Write an object if there is none of that name; whether it was written."""
        from obstore.exceptions import AlreadyExistsError

        with self._failing(path, writing=True):
            try:
                self._calls.put(self._store, path, content, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def find(self, path: str) -> bytes | None:
        """The content of an object, if there is one. Raises :class:`DataError`."""
        with self._failing(path, writing=False):
            try:
                return bytes(self._calls.get(self._store, path).bytes())
            except FileNotFoundError:
                return None

    def changed(self, path: str) -> datetime | None:
        """When an object was last written, by the store's clock; None if there is none."""
        with self._failing(path, writing=False):
            try:
                found: datetime = self._calls.head(self._store, path)["last_modified"]
            except FileNotFoundError:
                return None
        return found

    def names(self, folder: str = "") -> list[str]:
        """What lies directly in ``folder``, objects and folders, by their last names. Raises :class:`DataError`."""
        with self._failing(folder, writing=False):
            found = self._calls.list_with_delimiter(self._store, prefix=folder or None)
        paths = [*found["common_prefixes"], *(item["path"] for item in found["objects"])]
        return sorted(path.rstrip("/").rpartition("/")[2] for path in paths)

    def remove(self, paths: Sequence[str]) -> None:
        """Remove objects; one that is gone already is no matter. Raises :class:`StorageError`."""
        if not paths:
            return
        with self._failing(paths[0], writing=True):
            try:
                self._calls.delete(self._store, list(paths))
                return
            except FileNotFoundError:
                rest = paths if len(paths) > 1 else ()
        for path in rest:
            self.remove([path])

    @contextmanager
    def _failing(self, path: str, *, writing: bool) -> Iterator[None]:
        """What fails in the body is told in our words."""
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError) as error:
            kind = StorageError if writing else DataError
            did = "written" if writing else "read"
            where = f"{self.location}/{path}".rstrip("/")
            raise kind(f"{where} could not be {did}: {told(error, self.location)}") from error


def check_reachable(location: object) -> None:
    """Say at once of an object store that nobody answers, that there is no such bucket, or that it lets nobody in.

    Of what is done later, a failure of the network is waited out. Other places are left alone. Raises
    :class:`DataError`.
    """
    if is_object_store(location):
        ObjectStore(str(location), retries=FIRST_RETRIES).find("dataset.json")


def open_objects(location: str, *, retries: int | None = None) -> Any:
    """The obstore store behind a URL. Raises :class:`InputError` for what is not installed or no such URL."""
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError as error:
        raise InputError(f"{location} cannot be reached without {error.name}. Install it with: {EXTRA}") from error
    if not urlsplit(location).netloc:
        raise InputError(f"{location} names no bucket. Expected a URL such as s3://bucket/folder.")
    try:
        return from_url(location, **options(location, retries=retries))
    except (BaseError, OSError, ValueError) as error:
        raise InputError(f"{location} cannot be reached: {first_line(error)}") from error


def options(location: str, *, retries: int | None = None) -> dict[str, Any]:
    """How the stores of obstore are opened; plain HTTP where the environment names such an endpoint for S3."""
    _refuse_forked()
    client: dict[str, Any] = {"connect_timeout": timedelta(seconds=10), "timeout": timedelta(minutes=5)}
    if location.startswith("s3:") and _endpoint().startswith("http://"):
        client["allow_http"] = True
    most = RETRIES if retries is None else retries
    return {"client_options": client, "retry_config": {"max_retries": most, "backoff": BACKOFF}}


def told(error: Exception, location: str) -> str:
    """Why a request failed and what to do, without the library's account of the request."""
    text, bucket = str(error), urlsplit(location).netloc
    if "NoSuchBucket" in text or "bucket does not exist" in text:
        return f"there is no bucket {bucket!r}. Make it, or name another one."
    if type(error).__name__ in {"PermissionDeniedError", "UnauthenticatedError"} or "AccessDenied" in text:
        return (
            f"the store refuses it to these credentials ({first_line(error)}). Give credentials that may read, write, "
            f"list and delete in {bucket!r} (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ...)."
        )
    if "169.254.169.254" in text:  # where machines of a cloud ask for theirs
        return (
            "no credentials were found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or those of your store), on "
            "every machine that works on it."
        )
    if "error sending request" in text:
        there = f" at {_endpoint()} (AWS_ENDPOINT_URL)" if location.startswith("s3:") and _endpoint() else ""
        return f"the store does not answer{there}. Is the address right, and the network up? {AGAIN}"
    if "?delete" in text and "501" in text:
        return (
            "the store cannot remove several objects at once. Set AWS_DISABLE_BULK_DELETE=true and run the same "
            "command again to go on."
        )
    return f"{first_line(error)} {AGAIN}"


def first_line(error: Exception) -> str:
    """What obstore says, without the source that it goes on to print; ends in a full stop."""
    return (str(error).splitlines() or [type(error).__name__])[0].split(": <?xml")[0].strip().rstrip(".") + "."


def is_object_store(location: object) -> bool:
    """Whether it is the URL of a store that a data set can be written to."""
    return urlsplit(str(location)).scheme in SCHEMES


def refuse_other(location: str) -> None:
    """Raises :class:`InputError` for a URL that no data set can be written to."""
    if not is_object_store(location):
        raise InputError(
            f"A data set is written to a folder, or to s3://, gs:// or az://. Got {location}. For other places "
            "(hf://, ...): capture to a folder, then `outcrop share` and `outcrop push`."
        )


def _endpoint() -> str:
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


def _refuse_forked() -> None:
    """The library's threads do not survive a fork: what is asked for after it would never be answered."""
    _users.add(os.getpid())
    if len(_users) > 1:
        raise ConflictError(
            "A process that read or wrote an object store was forked, and its child cannot do so. Start processes by "
            "spawn (multiprocessing_context='spawn'), or fetch the data set first."
        )
