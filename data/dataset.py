"""Opening a data set in one line, without the model and without the code that made it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from outcrop.data import images, summary
from outcrop.data.column import ColumnReader, Rows
from outcrop.data.errors import InputError
from outcrop.data.labels import LabelRecord, read_map
from outcrop.data.opening import Location, Source, check_compatible, open_source
from outcrop.data.patterns import near_misses
from outcrop.data.schema import DatasetRecord
from outcrop.data.selection import Span, Where, choose_one_step, choose_rows, choose_sites, choose_steps, find_rows
from outcrop.data.store import LocalStore
from outcrop.data.tables import SAMPLE_COLUMNS, site_table, step_table

if TYPE_CHECKING:
    import anndata
    import xarray

    from outcrop.data.arrays import Chunks
    from outcrop.data.batches import Minibatches


@dataclass(frozen=True)
class _View:
    """What of the sources is shown; ``rows``: positions in all their samples, None for every one in order."""

    sites: tuple[str, ...]
    steps: tuple[int, ...]
    rows: Rows | None = None


class Dataset:
    """Activations of many samples at many sites and steps, with their labels. Made by :func:`open_dataset`.

    Rows are in the same order everywhere: row ``i`` of :meth:`activations` belongs to ``samples.index[i]``. Nothing is
    read before it is asked for, and no file stays open: a data set may be used in several processes and be pickled.
    """

    def __init__(self, sources: Sequence[Source], *, reader: ColumnReader, view: _View) -> None:
        self._sources, self._reader, self._view = tuple(sources), reader, view

    def __len__(self) -> int:
        return len(self.samples)

    def __repr__(self) -> str:
        return summary.as_text(self)

    def _repr_html_(self) -> str:
        return summary.as_html(self)

    @property
    def location(self) -> str:
        """Where it lies: paths or URLs, separated by commas."""
        return ", ".join(source.store.location for source in self._sources)

    @property
    def name(self) -> str:
        return " + ".join(source.name for source in self._sources)

    @property
    def path(self) -> Path:
        """The folder. Raises :class:`InputError` where there is no single one on this machine."""
        store = self._sources[0].store
        if len(self._sources) > 1 or not isinstance(store, LocalStore):
            raise InputError(f"{self.location} is no folder of this machine. `outcrop pull` makes it one.")
        return store.folder

    @property
    def uuid(self) -> str:
        """Of several data sets opened as one, all uuids joined by ``+``."""
        return "+".join(source.info.uuid for source in self._sources)

    @property
    def dtype(self) -> str:
        """How values are stored: float16, bfloat16, float32, or int8 with a scale for each channel."""
        return self.info.dtype

    @cached_property
    def info(self) -> DatasetRecord:
        """The record of the (first) data set, its sites and steps those that are selected."""
        info = self._sources[0].info
        sites = tuple(site for site in info.sites if site.name in self._view.sites)
        steps = tuple(step for step in info.steps if step.index in self._view.steps)
        return info.model_copy(update={"sites": sites, "steps": steps})

    @property
    def planned(self) -> int:
        """Samples that the captures were to make."""
        return sum(source.info.planned_samples for source in self._sources)

    @property
    def stored(self) -> int:
        """Samples that are there, selected or not."""
        return sum(len(source.samples) for source in self._sources)

    @property
    def nbytes(self) -> int:
        """Bytes of the selected activations on disk."""
        return len(self) * self.info.sample_bytes

    @cached_property
    def sites(self) -> pd.DataFrame:
        """Sites in execution order, indexed by name: role, depth, stream, source_shape, shape, reduction."""
        return site_table(self.info)

    @cached_property
    def steps(self) -> pd.DataFrame:
        """Recorded steps by index: timestep, log_snr, noise (0-100, 100 is pure noise)."""
        return step_table(self.info)

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row per sample, indexed by id: prompt, negative_prompt, seed, template, image, and the labels."""
        tables = [source.samples for source in self._sources]
        table = tables[0] if len(tables) == 1 else pd.concat(tables)
        return table if self._view.rows is None else table.iloc[self._view.rows]

    @cached_property
    def labels(self) -> pd.DataFrame:
        """The label columns of :attr:`samples`: those of the prompts, then those added later, maps excepted."""
        return self.samples[[name for name in self.samples.columns if name not in SAMPLE_COLUMNS]]

    @property
    def added_labels(self) -> dict[str, LabelRecord]:
        """The labels that were added after the capture, with their provenance (of several data sets, the first's)."""
        return {label.name: label for label in self._sources[0].added}

    def select(
        self,
        sites: str | Sequence[str] | None = None,
        *,
        role: str | None = None,
        steps: int | Iterable[int] | None = None,
        timestep: Span | None = None,
        noise: Span | None = None,
        where: Where | None = None,
        ids: Sequence[str] | None = None,
    ) -> "Dataset":
        """The part with these sites (globs), steps and samples. Nothing is read; steps keep their indices.

        ``timestep`` and ``noise``: a number for the nearest recorded step, or a pair (low, high). ``where``: a pandas
        query over :attr:`samples`, or a mapping from column to value or values. Raises :class:`InputError` for what
        selects nothing.

        >>> ds.select("up_blocks.*", noise=(0, 50), where={"style": ["flat", "neon"]})  # doctest: +SKIP
        """
        rows = None if where is None and ids is None else choose_rows(self.samples, where, ids)
        view = replace(
            self._view,
            sites=tuple(choose_sites(self.sites, sites, role)),
            steps=tuple(choose_steps(self.steps, steps, timestep=timestep, noise=noise)),
            rows=self._view.rows if rows is None else self._stored_rows(rows),
        )
        return Dataset(self._sources, reader=self._reader, view=view)

    def activations(
        self, site: str, *, step: int | None = None, timestep: float | None = None, noise: float | None = None
    ) -> NDArray[np.generic]:
        """What ``site`` put out at a step, by its index in :attr:`steps` or nearest to a timestep or noise level.

        (sample, *feature), float16 or float32 as stored; bfloat16 and int8 come as float32. Raises :class:`InputError`
        for a site or step that is not there and :class:`~outcrop.data.errors.DataError` for a damaged shard.
        """
        if site not in self.sites.index:
            raise InputError(f"There is no site {site!r} in {self.location}.{near_misses(site, self.sites.index)}")
        return self.rows(site, choose_one_step(self.steps, step, timestep=timestep, noise=noise), None)

    def rows(self, site: str, step: int, rows: Rows | None) -> NDArray[np.generic]:
        """Some rows of a column: ``rows`` are positions in :attr:`samples`."""
        record = next(record for record in self.info.sites if record.name == site)
        place = [record.index for record in self._sources[0].info.steps].index(step)
        return self._reader.read(record, place, self._view.rows if rows is None else self._stored_rows(rows))

    def _stored_rows(self, rows: Rows) -> Rows:
        return rows if self._view.rows is None else self._view.rows[rows]

    @property
    def shard_lengths(self) -> tuple[int, ...]:
        """Samples that lie together in a file, where all are selected in order; else all as one."""
        whole = self._view.rows is None
        return tuple(shard.count for shard in self._reader.shards) if whole else (len(self),)

    @property
    def shard_files(self) -> tuple[str, ...]:
        """Paths of the shards, selected or not, inside of where they lie."""
        return tuple(shard.file for shard in self._reader.shards)

    def images(self, ids: Sequence[str] | None = None) -> list[Image.Image]:
        """The generated images of ``ids`` (all, if left out).

        Raises :class:`InputError` for an id that is not there, and :class:`~outcrop.data.errors.DataError` for an image
        that is missing or whose path leads out of the data set.
        """
        rows = np.arange(len(self)) if ids is None else find_rows(self.samples, ids)
        owners = np.searchsorted(
            np.cumsum([len(source.samples) for source in self._sources]), self._stored_rows(rows), "right"
        )
        paths = self.samples["image"].iloc[rows]
        return [images.open_image(self._sources[owner].store, path) for owner, path in zip(owners, paths, strict=True)]

    def map(self, name: str) -> NDArray[np.int64]:
        """(sample, row, column) of an added label of kind ``map``, -1 where it has none."""
        parts = []
        for source in self._sources:
            known = {label.name: label for label in source.added if label.kind == "map"}
            if name not in known:
                raise InputError(f"There is no map {name!r} in {source.store.location}.{near_misses(name, known)}")
            parts.append(read_map(source.store, known[name], source.samples.index))
        cells = np.concatenate(parts)
        return cells if self._view.rows is None else cells[self._view.rows]

    def to_pandas(self, site: str, *, step: int | None = None) -> pd.DataFrame:
        """The labels, and the flattened activations of ``site`` as columns ``site[0]``, ``site[1]``, ..."""
        from outcrop.data import arrays

        return arrays.to_pandas(self, site, step=step)

    def to_xarray(self, *, chunks: "Chunks" = None) -> "xarray.Dataset":
        """All selected sites as lazily read variables (step, sample, *feature); with ``chunks``, backed by dask.

        ``chunks="shards"`` makes one chunk of each step of each shard. Needs ``outcrop[notebook]``.
        """
        from outcrop.data import arrays

        return arrays.to_xarray(self, chunks=chunks)

    def to_anndata(self, sites: str | Sequence[str] | None = None, *, step: int | None = None) -> "anndata.AnnData":
        """One step as AnnData: the first site is ``X``, further ones are in ``obsm``; labels are in ``obs``."""
        from outcrop.data import arrays

        return arrays.to_anndata(self, sites, step=step)

    def torch(self, sites: str | Sequence[str] | None = None, **options: Any) -> "Minibatches":
        """A map-style data set for ``torch.utils.data.DataLoader``; see :class:`outcrop.data.batches.Minibatches`."""
        from outcrop.data.batches import Minibatches

        return Minibatches(self, sites, **options)


def open_dataset(location: Location | Sequence[Location], *, verify: bool = True) -> Dataset:
    """Open a data set folder (also one whose capture is not finished), a single shard ``.h5``, or several as one.

    A location may be a URL that fsspec reaches (``https://``, ``s3://``, ``hf://datasets/USER/NAME``; needs
    ``outcrop[remote]``): only what is asked for is fetched, column by column. ``verify`` checks each column's checksum
    when it is first read.

    Raises :class:`~outcrop.data.errors.DataError` if there is none, if it is damaged or nothing has been committed yet,
    and :class:`InputError` for several data sets that do not fit together.

    >>> import outcrop as oc  # doctest: +SKIP
    >>> ds = oc.open_dataset("runs/demo")  # doctest: +SKIP
    >>> ds.activations("mid_block", step=3).shape  # doctest: +SKIP
    (432, 128)
    """
    locations = [location] if isinstance(location, str | Path) else list(location)
    if not locations:
        raise InputError("open_dataset needs at least one path or URL. Got an empty list.")
    sources = [open_source(each) for each in locations]
    check_compatible(sources)
    info = sources[0].info
    shards = [shard for source in sources for shard in source.shards]
    reader = ColumnReader(shards, dtype=info.dtype, verify=verify)
    view = _View(tuple(site.name for site in info.sites), tuple(step.index for step in info.steps))
    return Dataset(sources, reader=reader, view=view)
