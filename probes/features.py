"""What probes read of a data set: its tables, and one matrix of features per site and step."""

from collections.abc import Sequence
from typing import Protocol, overload

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
        raise misshapen(site, step, values.shape, expected=n)
    features = values.reshape(n, -1).astype(np.float32)
    finite: NDArray[np.bool_] = np.isfinite(features)
    if not finite.all():
        raise not_finite(recording, site, step, rows=np.asarray(finite.all(1)), features=np.asarray(finite.all(0)))
    return features


def misshapen(site: str, step: int, shape: tuple[int, ...], *, expected: int) -> DataError:
    """The error of activations of ``shape`` that are no ``expected`` rows."""
    return DataError(
        f"Activations of site {site!r} at step {step} have shape {shape}; expected ({expected}, *feature), one "
        f"row per sample. Check the data set with `outcrop validate`."
    )


def not_finite(
    recording: Recording, site: str, step: int, *, rows: NDArray[np.bool_], features: NDArray[np.bool_]
) -> DataError:
    """The error of activations of which only some ``rows`` (n,) and ``features`` (d,) are finite."""
    bad = np.flatnonzero(~features)
    return DataError(
        f"Activations of site {site!r} at step {step} are NaN or infinite in {int((~rows).sum())} of {len(rows)} "
        f"samples (first: {recording.samples.index[int(np.argmin(rows))]}), in {len(bad)} of {len(features)} features "
        f"(first: {bad[0]}). Capture again in a wider dtype, or leave the site out (sites)."
    )


class SiteFeatures(Sequence[NDArray[np.float32]]):
    """The features of ``sites`` at a step, each read when it is asked for and kept by nobody.

    Where a function takes the features of many sites one after the other, such as
    :func:`outcrop.probes.alignment_matrix`, the sites may be larger together than the memory.
    """

    def __init__(self, recording: Recording, sites: Sequence[str], *, step: int) -> None:
        self.recording, self.sites, self.step = recording, tuple(sites), step

    def __len__(self) -> int:
        return len(self.sites)

    @overload
    def __getitem__(self, index: int) -> NDArray[np.float32]: ...
    @overload
    def __getitem__(self, index: slice) -> "SiteFeatures": ...
    def __getitem__(self, index: int | slice) -> "NDArray[np.float32] | SiteFeatures":
        if isinstance(index, slice):
            return SiteFeatures(self.recording, self.sites[index], step=self.step)
        return feature_matrix(self.recording, self.sites[index], step=self.step)
