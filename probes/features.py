"""What probes read of a data set: its tables, and one matrix of features per site and step."""

from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.data.errors import DataError


class Recording(Protocol):
    """The part of a data set that probes need; :class:`outcrop.data.dataset.Dataset` has it."""

    @property
    def uuid(self) -> str: ...
    @property
    def sites(self) -> pd.DataFrame: ...
    @property
    def steps(self) -> pd.DataFrame: ...
    @property
    def samples(self) -> pd.DataFrame: ...
    @property
    def labels(self) -> pd.DataFrame: ...
    def activations(self, site: str, *, step: int) -> NDArray[np.generic]: ...


def feature_matrix(recording: Recording, site: str, *, step: int) -> NDArray[np.float32]:
    """Activations of ``site`` at ``step`` flattened to float32 (n, d).

    Raises :class:`DataError` where the rows do not fit the samples, and for NaN or infinite values.
    """
    values = np.asarray(recording.activations(site, step=step))
    n = len(recording.samples)
    if values.ndim < 2 or len(values) != n or values.size == 0:
        raise DataError(
            f"Activations of site {site!r} at step {step} have shape {values.shape}; expected ({n}, *feature), one "
            f"row per sample. Check the data set with `outcrop validate`."
        )
    features = values.reshape(n, -1).astype(np.float32)
    finite = np.isfinite(features).all(1)
    if not finite.all():
        first = recording.samples.index[int(np.argmin(finite))]
        raise DataError(
            f"Activations of site {site!r} at step {step} are NaN or infinite in {int((~finite).sum())} of {n} samples "
            f"(first: {first}). Capture again in a wider dtype, or leave the site out (sites)."
        )
    return features
