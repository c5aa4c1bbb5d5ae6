"""A site as an array that xarray reads piece by piece. Imported only where xarray is."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from xarray import Variable
from xarray.backends import BackendArray
from xarray.core import indexing

from outcrop.data.schema import SiteRecord

if TYPE_CHECKING:
    from outcrop.data.dataset import Dataset


def lazy_variable(ds: "Dataset", site: SiteRecord, *, chunks: Mapping[str, Any] | None) -> Variable:
    """The site as a variable that is read when it is used, in dask's chunks if they are given."""
    dims = ("step", "sample", *(f"{site.name}.{axis}" for axis in range(len(site.shape))))
    lazy = indexing.LazilyIndexedArray(LazySite(ds, site))
    variable = Variable(dims, lazy, {"role": site.role, "depth": site.depth})
    return variable if chunks is None else variable.chunk({dim: n for dim, n in chunks.items() if dim in dims})


class LazySite(BackendArray):  # type: ignore[misc]  # not followed by the type checker
    """(step, sample, *feature) of one site; what an indexing needs is read, no more than whole rows."""

    def __init__(self, ds: "Dataset", site: SiteRecord) -> None:
        self._ds, self._site = ds, site
        self.shape = (len(ds.steps), len(ds), *site.shape)
        self.dtype = np.dtype(np.float16 if ds.dtype == "float16" else np.float32)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> NDArray[Any]:
        outer = indexing.IndexingSupport.OUTER
        values: NDArray[Any] = indexing.explicit_indexing_adapter(key, self.shape, outer, self._read)
        return values

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        step_key, row_key, *feature_keys = key
        steps = np.atleast_1d(self._ds.steps.index.to_numpy()[step_key])
        everything = isinstance(row_key, slice) and row_key == slice(None)
        rows = None if everything else np.atleast_1d(np.arange(self.shape[1])[row_key])
        count = self.shape[1] if rows is None else len(rows)
        values: NDArray[Any] = np.empty((len(steps), count, *self._site.shape), self.dtype)
        for place, step in enumerate(steps):
            values[place] = self._ds.rows(self._site.name, int(step), rows)
        for axis, feature_key in reversed(list(enumerate(feature_keys, start=2))):
            values = values[(slice(None),) * axis + (feature_key,)]
        if isinstance(row_key, int | np.integer):
            values = values[:, 0]
        return values[0] if isinstance(step_key, int | np.integer) else values
