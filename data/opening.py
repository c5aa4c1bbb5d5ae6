"""From a path or a URL to what lies there: record, shards, samples and labels. No activation is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd
from pydantic import ValidationError

from outcrop.data.column import StoredShard
from outcrop.data.errors import DataError, InputError
from outcrop.data.folder import read_meta, read_shard_table, whereabouts
from outcrop.data.journal import read_journal
from outcrop.data.labels import LabelRecord, read_index, read_label
from outcrop.data.object_store import check_reachable
from outcrop.data.safe_paths import safe_path
from outcrop.data.safe_tables import read_table
from outcrop.data.schema import DatasetRecord, Manifest, ShardRecord
from outcrop.data.store import LocalStore, RemoteStore, ScratchFolder, Store, connect, is_remote, local_path, unreadable
from outcrop.data.structure import MAX_META_BYTES, check_journal, parse_record
from outcrop.data.tables import SAMPLE_COLUMNS

Location = str | Path


@dataclass(frozen=True)
class Source:
    """One data set as it lies somewhere: ``samples`` has a row for each sample, in the order of the shards."""

    store: Store
    info: DatasetRecord
    shards: tuple[StoredShard, ...]
    samples: pd.DataFrame
    added: tuple[LabelRecord, ...] = ()

    @property
    def name(self) -> str:
        return PurePosixPath(self.store.location).name or self.store.location


def open_source(location: Location) -> Source:
    """A folder (also one whose capture is not finished) or a single shard ``.h5``, local or behind a URL.

    Raises :class:`DataError` if there is none, if it is damaged, or if nothing has been committed yet.
    """
    text = str(location)
    if is_remote(text):
        check_reachable(text)
        return _open_remote_shard(text) if text.endswith(".h5") else _open_folder(RemoteStore(text.rstrip("/")))
    path = local_path(location)
    if path.is_file():
        return _open_shard(path)
    if not path.is_dir():
        raise DataError(f"{path} does not exist. Expected a data set folder or a shard file (.h5).")
    return _open_folder(LocalStore(path))


def check_compatible(sources: Sequence[Source]) -> None:
    """Raises :class:`InputError`, naming the fields, where the rows of ``sources`` cannot stand in one table."""
    first = sources[0]
    for other in sources[1:]:
        fields = [name for name in ("model", "dtype", "reduction", "half") if _differ(first, other, name)]
        if [(site.name, site.shape) for site in first.info.sites] != [(s.name, s.shape) for s in other.info.sites]:
            fields.append("sites")
        if [step.timestep for step in first.info.steps] != [step.timestep for step in other.info.steps]:
            fields.append("steps")
        if fields:
            raise InputError(
                f"{first.name} and {other.name} cannot be opened as one: they differ in {', '.join(fields)}. "
                "Open them one by one."
            )
    ids = pd.Index([name for source in sources for name in source.samples.index])
    if ids.has_duplicates:
        raise InputError(
            f"Sample {ids[ids.duplicated()][0]} is in more than one of the data sets. Give each only once."
        )


def _differ(first: Source, other: Source, field: str) -> bool:
    return bool(getattr(first.info, field) != getattr(other.info, field))


def _open_folder(store: Store) -> Source:
    content = store.find("dataset.json", most=MAX_META_BYTES)
    if content is None:
        near = whereabouts(store.folder) if isinstance(store, LocalStore) else ""
        raise DataError(f"{store.location} is not a data set: it has no dataset.json.{near}")
    info = parse_record(content, where=f"{store.location}/dataset.json")
    records = _shard_records(store, info)
    check_journal(info, records, where=store.location)
    shards = tuple(StoredShard(store, r.file, info, len(r.samples), r.columns) for r in records)
    if isinstance(store, LocalStore):
        _check_sizes(store.folder, records)
    table = store.find("samples.parquet")
    samples = _shard_samples(store, info, records) if table is None else _sealed_samples(store, info, records, table)
    if samples.index.has_duplicates:
        name = samples.index[samples.index.duplicated()][0]
        raise DataError(f"{store.location} holds sample {name} twice. Fetch the data set again.")
    added = read_index(store).labels
    columns = [read_label(store, label, samples.index) for label in added if label.kind != "map"]
    return Source(store, info, shards, pd.concat([samples, *columns], axis=1) if columns else samples, added)


def _shard_records(store: Store, info: DatasetRecord) -> Sequence[ShardRecord]:
    """The committed shards. In a folder the journal has the last word, for a capture may still be going on."""
    if isinstance(store, LocalStore) and (journal := read_journal(store.folder)):
        return journal
    content = store.find("manifest.json")
    if content is None:
        raise DataError(
            f"{store.location} has no committed shard yet. Run the capture again to go on with it."
            if isinstance(store, LocalStore)
            else f"{store.location} has no manifest.json: only finished data sets are read from afar."
        )
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        raise DataError(f"{store.location}/manifest.json is no manifest: {error.errors()[0]['msg']}.") from error
    if manifest.uuid != info.uuid:
        raise DataError(f"{store.location}/manifest.json is of another data set. Fetch it again.")
    return manifest.shards


def _check_sizes(folder: Path, records: Sequence[ShardRecord]) -> None:
    for record in records:
        path = safe_path(folder, record.file)
        try:
            size = path.stat().st_size
        except OSError as error:
            raise unreadable(f"Shard {path}", error) from error
        if size != record.bytes:
            raise DataError(f"Shard {path} is damaged: it has {size} of {record.bytes} bytes. Fetch it again.")


def _sealed_samples(store: Store, info: DatasetRecord, records: Sequence[ShardRecord], content: bytes) -> pd.DataFrame:
    table = read_table(content, where=f"{store.location}/samples.parquet")
    missing = [name for name in (*SAMPLE_COLUMNS, *info.labels) if name not in table.columns]
    if missing:
        raise DataError(f"{store.location}/samples.parquet lacks the column {missing[0]!r}. Fetch it again.")
    if table.index.tolist() != [name for record in records for name in record.samples]:
        raise DataError(f"{store.location}/samples.parquet lists other samples than manifest.json. Fetch both again.")
    return table[[*SAMPLE_COLUMNS, *info.labels]]


def _shard_samples(store: Store, info: DatasetRecord, records: Sequence[ShardRecord]) -> pd.DataFrame:
    if not isinstance(store, LocalStore):
        raise DataError(f"{store.location} has no samples.parquet: only finished data sets are read from afar.")
    tables = []
    for record in records:
        table = read_shard_table(store.folder / record.file, info, record)
        if tuple(table.samples.index) != record.samples:
            raise DataError(f"{table.path} holds other samples than its journal line says. Fetch it again.")
        tables.append(table.samples)
    return pd.concat(tables)


def _open_shard(path: Path, *, keep: object = None) -> Source:
    info = read_meta(path)
    table = read_shard_table(path, info)
    store = LocalStore(path.parent, keep)
    shard = StoredShard(store, path.name, info, len(table.samples), table.columns)
    return Source(store, info, (shard,), table.samples)


def _open_remote_shard(url: str) -> Source:
    """A shard alone has no manifest that tells where its columns lie: it is fetched whole."""
    folder = ScratchFolder()
    system, path = connect(url)
    target = folder.path / PurePosixPath(url).name
    try:
        system.get_file(path, str(target))
    except Exception as error:
        raise unreadable(url, error) from error
    return _open_shard(target, keep=folder)
