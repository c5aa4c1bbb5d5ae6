"""A data set in the forms that other libraries work with: pandas, xarray (with dask), AnnData."""

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.data.errors import InputError
from outcrop.data.schema import SiteRecord
from outcrop.data.selection import choose_one_step, choose_sites

if TYPE_CHECKING:
    import anndata
    import xarray

    from outcrop.data.dataset import Dataset

Chunks = Mapping[str, int] | Literal["shards"] | None
EXTRA = "pip install 'outcrop[notebook]'"


def to_pandas(ds: "Dataset", site: str, *, step: int | None) -> pd.DataFrame:
    """Labels, then one column per flattened feature."""
    values = ds.activations(site, step=step)
    flat = values.reshape(len(values), -1)
    names = [f"{site}[{k}]" for k in range(flat.shape[1])]
    return pd.concat([ds.labels, pd.DataFrame(flat, index=ds.samples.index, columns=names)], axis=1)


def to_xarray(ds: "Dataset", *, chunks: Chunks) -> "xarray.Dataset":
    """Variables named by site, dimensions (step, sample, and ``SITE.0``, ``SITE.1``, ... for the features)."""
    library = needed("xarray")
    from outcrop.data.lazy import lazy_variable

    if chunks is not None:
        needed("dask")
    pieces = {"step": 1, "sample": ds.shard_lengths} if chunks == "shards" else chunks
    steps = {name: ("step", ds.steps[name].to_numpy()) for name in ("timestep", "log_snr", "noise")}
    labels = {f"label:{name}": ("sample", _plain(ds.labels[name])) for name in ds.labels}
    result: xarray.Dataset = library.Dataset(
        {site.name: lazy_variable(ds, site, chunks=pieces) for site in ds.info.sites},
        coords={"step": ds.steps.index.to_numpy(), "sample": _plain(ds.samples.index.to_series()), **steps, **labels},
        attrs={"model": ds.info.model, "uuid": ds.uuid, "reduction": ds.info.reduction, "stored": ds.dtype},
    )
    return result


def to_anndata(ds: "Dataset", sites: str | Sequence[str] | None, *, step: int | None) -> "anndata.AnnData":
    """``X`` is the first site, flattened; every site is in ``obsm``, if there are several."""
    anndata = needed("anndata")
    names = choose_sites(ds.sites, sites, None)
    if sites is None and len(names) > 1:
        raise InputError(
            f"Name the sites that are wanted, the one for X first. There are {len(names)}: {names[:4]} ..."
        )
    if not isinstance(sites, str) and sites is not None and sites[0] in names:
        names = [sites[0], *(name for name in names if name != sites[0])]
    place = choose_one_step(ds.steps, step)
    columns = {name: ds.activations(name, step=place).reshape(len(ds), -1).astype(np.float32) for name in names}
    record = next(site for site in ds.info.sites if site.name == names[0])
    result = anndata.AnnData(
        X=columns[names[0]],
        obs=_observations(ds),
        var=_features(record),
        uns={"model": ds.info.model, "uuid": ds.uuid, "site": names[0], "step": place} | ds.steps.loc[place].to_dict(),
    )
    if len(names) > 1:
        for name, values in columns.items():
            result.obsm[name] = values
    return result


def _observations(ds: "Dataset") -> pd.DataFrame:
    """The samples in the types that AnnData writes: labels as categories, other text as objects."""
    table = ds.samples.set_axis(ds.samples.index.astype(object), axis=0)
    for name in [name for name in table if table[name].dtype.kind not in "fiub"]:
        values = table[name].astype(object)
        classes = pd.Index(sorted(values.dropna().unique()), dtype=object)
        table[name] = pd.Categorical(values, categories=classes) if name in ds.labels else values
    return table


def _features(site: SiteRecord) -> pd.DataFrame:
    """One row per flattened feature: its place on each axis."""
    places = list(product(*(range(extent) for extent in site.shape)))
    index = pd.Index([f"{site.name}[{k}]" for k in range(prod(site.shape))], dtype=object)
    return pd.DataFrame(places, index=index, columns=[f"axis{axis}" for axis in range(len(site.shape))])


def _plain(values: pd.Series) -> NDArray[Any]:
    """Text as fixed-width unicode: no objects, which other formats cannot keep."""
    return values.to_numpy() if values.dtype.kind in "fiub" else values.astype(str).to_numpy().astype(np.str_)


def needed(name: str) -> Any:
    """An optional library. Raises :class:`InputError` that says how to install it."""
    from importlib import import_module

    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise InputError(f"This needs {name}. Install it with: {EXTRA}") from error
