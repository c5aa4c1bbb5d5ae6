"""Baselines made from a data set itself, as sites of their own: what a probe reads without the model's inside.

A data set may also hold recorded baselines (the noisy latent, the prompt's embedding, an untrained copy): they are
sites of the role ``baseline`` and need nothing of this module.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcrop.data.errors import InputError
from outcrop.data.patterns import match_names
from outcrop.probes.features import Recording, feature_matrix
from outcrop.probes.row_stream import RowRecording, RowStream

ROLE = "baseline"
Baseline = Literal["pixels", "words", "norms"]
MADE_BY = {
    "baseline.latent": "`outcrop capture --site baselines` beside the other sites: capture again",
    "baseline.prompt": "`outcrop capture --site baselines` beside the other sites: capture again",
    "untrained.*": "`outcrop capture --site untrained` beside the other sites: capture again",
    "baseline.pixels": "`outcrop probe --baseline pixels` (ProbeSpec(baselines=('pixels',)))",
    "baseline.words": "`outcrop probe --baseline words` (ProbeSpec(baselines=('words',)))",
    "norm.*": "`outcrop probe --baseline norms` (ProbeSpec(baselines=('norms',)))",
}
"""How each baseline comes into a data set, or beside it."""

PIXELS_ASIDE = 16
"""Pictures are averaged to this many cells a side."""


@dataclass(frozen=True)
class WithBaselines:
    """A recording and further sites; ``made`` gives the activations (n, *feature) of each at a step."""

    recording: Recording
    made: dict[str, Callable[[int], NDArray[np.generic]]]
    depths: dict[str, float]

    @property
    def added(self) -> tuple[str, ...]:
        return tuple(self.made)

    @property
    def uuid(self) -> str:
        return self.recording.uuid

    @property
    def steps(self) -> pd.DataFrame:
        return self.recording.steps

    @property
    def samples(self) -> pd.DataFrame:
        return self.recording.samples

    @property
    def labels(self) -> pd.DataFrame:
        return self.recording.labels

    @property
    def sites(self) -> pd.DataFrame:
        index = pd.Index(self.added, name=self.recording.sites.index.name)
        rows = pd.DataFrame({"role": ROLE, "depth": [self.depths[name] for name in self.added]}, index=index)
        return pd.concat([self.recording.sites, rows])

    def activations(self, site: str, *, step: int) -> NDArray[np.generic]:
        return self.made[site](step) if site in self.made else self.recording.activations(site, step=step)

    def rows(self, site: str, step: int, rows: NDArray[np.int64] | None) -> NDArray[np.generic]:
        """Some rows of a column, as :meth:`outcrop.data.dataset.Dataset.rows`."""
        if site in self.made:
            values = self.made[site](step)
            return values if rows is None else values[rows]
        return cast(RowRecording, self.recording).rows(site, step, rows)


def with_baselines(
    recording: Recording, baselines: Sequence[Baseline], *, sites: Sequence[str] | None = None
) -> Recording:
    """``recording`` with a site for each of ``baselines``; itself for none.

    "pixels" (``baseline.pixels``): the final picture, averaged to 16 x 16 cells. "words" (``baseline.words``): how
    often each word occurs in the prompt. "norms" (``norm.<site>`` for each of ``sites``, globs): the length, mean,
    deviation and largest value of the activation, without its direction. Raises :class:`InputError` for a name that is
    none of these, and for pixels without pictures.
    """
    if not baselines:
        return recording
    unknown = [name for name in baselines if name not in get_args(Baseline)]
    if unknown:
        raise InputError(f"baselines must be among {', '.join(get_args(Baseline))}. Got {unknown[0]!r}.")
    made: dict[str, Callable[[int], NDArray[np.generic]]] = {}
    depths: dict[str, float] = {}
    if "pixels" in baselines:
        pixels = _pixels(recording)
        made["baseline.pixels"], depths["baseline.pixels"] = lambda _step: pixels, 1.0
    if "words" in baselines:
        words = word_counts(recording.samples["prompt"])
        made["baseline.words"], depths["baseline.words"] = lambda _step: words, 0.0
    if "norms" in baselines:
        own = recording.sites[recording.sites["role"] != ROLE]
        for site in match_names(sites or ("*",), list(own.index), kind="Site"):
            made[f"norm.{site}"] = _norms_of(recording, site)
            depths[f"norm.{site}"] = float(own["depth"].loc[[site]].iloc[0])
    return WithBaselines(recording, made, depths)


def word_counts(prompts: pd.Series) -> NDArray[np.float32]:
    """How often each word of any of ``prompts`` (n,) occurs in each, (n, words)."""
    split = [str(prompt).lower().replace(",", " ").replace(".", " ").split() for prompt in prompts]
    place = {word: number for number, word in enumerate(sorted({word for words in split for word in words}))}
    counts = np.zeros((len(split), max(len(place), 1)), dtype=np.float32)
    for row, words in enumerate(split):
        np.add.at(counts[row], [place[word] for word in words], 1)
    return counts


def _pixels(recording: Recording) -> NDArray[np.float32]:
    load: Callable[[], Sequence[Any]] | None = getattr(recording, "images", None)
    if load is None:
        raise InputError("The baseline 'pixels' needs the pictures, which this recording lacks. Leave it out.")
    images = [np.asarray(image.convert("RGB").resize((PIXELS_ASIDE,) * 2, 4)) for image in load()]
    return np.asarray(np.stack(images) / 255, dtype=np.float32)  # 4: PIL's box filter, a plain mean


def _norms_of(recording: Recording, site: str) -> Callable[[int], NDArray[np.generic]]:
    def norms(step: int) -> NDArray[np.float32]:
        if not hasattr(recording, "rows"):
            return _norms(feature_matrix(recording, site, step=step))
        column = RowStream(cast(RowRecording, recording), (site,), step, sys.maxsize)
        found = np.concatenate([_norms(part) for _, part in column.stored()])
        return found if np.isfinite(found).all() else _norms(feature_matrix(recording, site, step=step))  # says where

    return norms


def _norms(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Length, mean, deviation and largest value (n, 4) of features (n, d)."""
    values = features.astype(np.float64)
    found = [np.linalg.norm(values, axis=1), values.mean(1), values.std(1), np.abs(values).max(1)]
    return np.asarray(np.stack(found, axis=1), dtype=np.float32)
