"""A data set that is written behind a URL (docs/decisions/0016-object-storage.md).

Nothing lies on the local disk. An object shows when all of it has arrived, so that no temporary name is needed. It
cannot be appended to: until the seal the journal is one object a shard, under ``journal/``.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext

import numpy as np
from numpy.typing import NDArray

from outcrop.data.atomic import FILES_AT_ONCE, Content
from outcrop.data.journal import MAIN, journal_lines, parse_journal
from outcrop.data.lease import Lease
from outcrop.data.locks import NAME as LOCK
from outcrop.data.object_store import ObjectStore, refuse_other
from outcrop.data.schema import ShardRecord

FOLDER = "journal"


class RemotePlace:
    """The objects under ``location``. With ``rank`` one of several writers.

    Raises :class:`InputError` for a URL that cannot be written to, and :class:`DataError` where the store does not
    answer, has no such bucket, or refuses the credentials.
    """

    free = None

    def __init__(self, location: str, *, rank: int | None = None) -> None:
        refuse_other(location)
        self.location = location.rstrip("/")
        self._objects, self._rank = ObjectStore(self.location), rank
        self._objects.names()

    def find(self, path: str) -> bytes | None:
        return self._objects.find(path)

    def held(self) -> AbstractContextManager[None]:
        return Lease(self._objects, rank=self._rank).held()

    def sealing(self) -> AbstractContextManager[None]:
        """Two that seal at once write the same bytes."""
        return nullcontext()

    def names(self) -> list[str]:
        return [name for name in self._objects.names() if not name.startswith(LOCK)]

    def write(self, path: str, content: Content) -> None:
        self._objects.put(path, content)

    def write_all(self, files: Mapping[str, Content]) -> None:
        with ThreadPoolExecutor(FILES_AT_ONCE) as threads:
            list(threads.map(lambda path: self.write(path, files[path]), files))

    def found(self, path: str) -> NDArray[np.uint8] | None:
        content = self._objects.find(path)
        return np.frombuffer(content, np.uint8) if content else None

    def journal(self) -> list[ShardRecord]:
        """Lines of single shards are read first: they are merged into the main journal before they go."""
        paths = self._single_lines()
        with ThreadPoolExecutor(FILES_AT_ONCE) as threads:
            contents = [*zip(paths, threads.map(self._objects.find, paths), strict=True)]
        records: dict[int, ShardRecord] = {}
        for path, content in [*contents, (MAIN, self._objects.find(MAIN))]:
            lines = parse_journal(content or b"", where=f"{self.location}/{path}")
            records |= {record.index: record for record in lines}
        return [records[index] for index in sorted(records)]

    def announce(self, record: ShardRecord) -> None:
        self._objects.put(f"{FOLDER}/s{record.index:06d}.jsonl", journal_lines([record]))

    def mend(self) -> None:
        """A line is an object: it is whole, or not there."""

    def settle(self, records: Sequence[ShardRecord]) -> None:
        content = journal_lines(records)
        if self._objects.find(MAIN) != content:
            self._objects.put(MAIN, content)
        self._objects.remove(self._single_lines())

    def _single_lines(self) -> list[str]:
        return [f"{FOLDER}/{name}" for name in self._objects.names(FOLDER)]
