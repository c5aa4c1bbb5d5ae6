"""Opening a data set in one line, without the model and without the code that made it."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from outcrop.data.column import read_column, widen_bfloat16
from outcrop.data.errors import DataError, InputError
from outcrop.data.folder import ShardTable, read_meta, read_shard_table
from outcrop.data.journal import read_journal
from outcrop.data.patterns import near_misses
from outcrop.data.safe_paths import safe_path
from outcrop.data.schema import DatasetRecord
from outcrop.data.structure import check_journal
from outcrop.data.tables import site_table, step_table
from outcrop.data.writer import read_record

IMAGE_FORMATS = ("PNG", "JPEG", "WEBP")


class Dataset:
    """Activations of many samples at many sites and steps, with their labels. Made by :func:`open_dataset`.

    Rows are in the same order everywhere: row ``i`` of :meth:`activations` belongs to ``samples.index[i]``.
    """

    def __init__(self, path: Path, info: DatasetRecord, shards: Sequence[ShardTable]) -> None:
        self.path = path
        self.info = info
        self._shards = tuple(shards)

    def __len__(self) -> int:
        return len(self.samples)

    def __repr__(self) -> str:
        state = "" if len(self) == self.info.planned_samples else f" of {self.info.planned_samples} planned"
        return (
            f"<Dataset {self.path.name}: {self.info.model}, {len(self)} samples{state}, "
            f"{len(self.sites)} sites x {len(self.steps)} steps, labels {list(self.labels)}>"
        )

    @property
    def uuid(self) -> str:
        return self.info.uuid

    @property
    def dtype(self) -> str:
        return self.info.dtype

    @cached_property
    def sites(self) -> pd.DataFrame:
        """Sites in execution order, indexed by name: role, depth, stream, source_shape, shape, reduction."""
        return site_table(self.info)

    @cached_property
    def steps(self) -> pd.DataFrame:
        """Recorded steps, indexed from 0: timestep, log_snr, noise (0-100, 100 is pure noise)."""
        return step_table(self.info)

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row per sample, indexed by id: prompt, negative_prompt, seed, template, image, and the labels."""
        return pd.concat([shard.samples for shard in self._shards])

    @cached_property
    def labels(self) -> pd.DataFrame:
        """The label columns of :attr:`samples`."""
        return self.samples[list(self.info.labels)]

    def activations(self, site: str, *, step: int) -> NDArray[np.generic]:
        """What ``site`` put out at step ``step`` (an index into :attr:`steps`): (sample, *feature).

        float16 or float32 as stored; bfloat16 comes as float32. Raises :class:`InputError` for a site or step
        that is not there and :class:`DataError` for a damaged shard.
        """
        if site not in self.sites.index:
            raise InputError(f"There is no site {site!r} in {self.path}.{near_misses(site, self.sites.index)}")
        if step not in self.steps.index:
            raise InputError(f"step must be one of 0 to {len(self.steps) - 1} in {self.path}. Got {step}.")
        parts = [read_column(shard.path, shard.columns[site], step=step, site=site) for shard in self._shards]
        values = np.concatenate(parts)
        return widen_bfloat16(values) if self.dtype == "bfloat16" else values

    def images(self, ids: Sequence[str] | None = None) -> list[Image.Image]:
        """The generated images of ``ids`` (all, if left out).

        Raises :class:`InputError` for an id that is not there, and :class:`DataError` for an image that is missing.
        """
        wanted = list(self.samples.index if ids is None else ids)
        unknown = [name for name in wanted if name not in self.samples.index]
        if unknown:
            raise InputError(f"There is no sample {unknown[0]!r} in {self.path}. Ids stand in samples.index.")
        paths = self.samples.loc[wanted, "image"]
        return [_open_image(self.path, relative) for relative in paths]


def open_dataset(path: str | Path) -> Dataset:
    """Open a data set folder (also one whose capture is not finished) or a single shard ``.h5``.

    Raises :class:`DataError` if there is none, or if nothing has been committed yet.

    >>> import outcrop as oc  # doctest: +SKIP
    >>> ds = oc.open_dataset("runs/demo")  # doctest: +SKIP
    >>> ds.activations("mid_block", step=3).shape  # doctest: +SKIP
    (432, 128)
    """
    path = Path(path)
    if path.is_file():
        info = read_meta(path)
        return Dataset(path, info, [read_shard_table(path, info)])
    if not path.is_dir():
        raise DataError(f"{path} does not exist. Expected a data set folder or a shard file (.h5).")
    info = read_record(path)
    journal = read_journal(path)
    if not journal:
        raise DataError(f"{path} has no committed shard yet. Run the capture again to go on with it.")
    check_journal(info, journal, where=str(path / "journal.jsonl"))
    shards = [read_shard_table(safe_path(path, record.file), info, record) for record in journal]
    for shard, record in zip(shards, journal, strict=True):
        if tuple(shard.samples.index) != record.samples:
            raise DataError(f"{shard.path} holds other samples than its journal line says. Fetch it again.")
    return Dataset(path, info, shards)


def _open_image(folder: Path, relative: str) -> Image.Image:
    if not relative:
        raise DataError(f"{folder} was captured without images (images: false).")
    target = safe_path(folder, relative)
    if not target.is_file():
        raise DataError(f"{folder} has no image {relative!r}: the file was removed. Fetch it again.")
    with Image.open(target, formats=IMAGE_FORMATS) as image:
        return image.convert("RGB")
