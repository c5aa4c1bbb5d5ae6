"""The samples that a page shows: prompts, labels, and their pictures as sheets of small tiles."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageOps

from outcrop.viz.gallery import data_uri
from outcrop.viz.inputs import HasSamples

T = TypeVar("T")

TILES = (192, 128, 96, 64)  # pixels of a tile, the largest that fits
SHEET_PIXELS = 1024
MOST_PIXELS = 12_000_000  # of all tiles together: some 2 MB
QUALITY = 82
MOST_CLASSES = 24  # a column with more values is no label to colour by
LONGEST_PROMPT = 400


@dataclass(frozen=True)
class Sheets:
    """Tiles of ``tile`` pixels, ``across`` in a row and as many rows a sheet; ``uris`` are WebP pictures."""

    tile: int
    across: int
    uris: tuple[str, ...]


def spaced_samples(ds: HasSamples, most: int) -> NDArray[np.int64]:
    """Positions of at most ``most`` samples, evenly spaced over the data set."""
    count = len(ds.samples)
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def sample_data(ds: HasSamples, places: NDArray[np.int64]) -> dict[str, Any]:
    """Id, prompt, seed and labels of the samples at ``places``; of a label its classes and each sample's code."""
    rows = ds.samples.iloc[places]
    known = ds.labels.iloc[places]
    return {
        "ids": [str(sample) for sample in rows.index],
        "prompts": [_cut(str(prompt)) for prompt in rows["prompt"]],
        "seeds": [str(seed) for seed in rows["seed"]],
        "labels": {str(name): _coded(known[name]) for name in known.columns if known[name].nunique() <= MOST_CLASSES},
    }


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_PROMPT else f"{text[:LONGEST_PROMPT]}…"


def _coded(values: pd.Series) -> dict[str, Any]:
    codes, classes = pd.factorize(values.astype("string"), sort=True)
    return {"classes": [str(name) for name in classes], "codes": [int(code) for code in codes]}


def has_pictures(ds: HasSamples, places: NDArray[np.int64]) -> bool:
    """Whether each of the samples at ``places`` has a picture."""
    return "image" in ds.samples.columns and bool((ds.samples["image"].iloc[places].astype(str) != "").all())


def picture_sheets(ds: HasSamples, places: NDArray[np.int64]) -> Sheets | None:
    """The pictures of the samples at ``places``, in their order; None for a data set without pictures."""
    ids = [str(sample) for sample in ds.samples.index[places]]
    if not has_pictures(ds, places):
        return None
    tile = _tile(ds.images(ids[:1])[0].size, len(ids))
    parts = _parts(ids, (SHEET_PIXELS // tile) ** 2)
    return _sheets((ds.images(part) for part in parts), tile)


def make_sheets(pictures: Sequence[Image.Image]) -> Sheets:
    """``pictures``, at least one, as tiles in their order."""
    tile = _tile(pictures[0].size, len(pictures))
    return _sheets(_parts(pictures, (SHEET_PIXELS // tile) ** 2), tile)


def _sheets(parts: Iterable[Sequence[Image.Image]], tile: int) -> Sheets:
    across = SHEET_PIXELS // tile
    return Sheets(tile, across, tuple(_sheet(part, tile=tile, across=across) for part in parts))


def _tile(size: tuple[int, int], count: int) -> int:
    fitting = [tile for tile in TILES if count * tile * tile <= MOST_PIXELS and tile <= max(size)]
    return fitting[0] if fitting else TILES[-1]


def _parts(items: Sequence[T], length: int) -> Iterator[Sequence[T]]:
    return (items[start : start + length] for start in range(0, len(items), length))


def _sheet(pictures: Sequence[Image.Image], *, tile: int, across: int) -> str:
    sheet = Image.new("RGB", (across * tile, -(-len(pictures) // across) * tile), "white")
    for place, image in enumerate(pictures):
        fitted = ImageOps.pad(image.convert("RGB"), (tile, tile), method=Image.Resampling.LANCZOS, color="white")
        sheet.paste(fitted, (place % across * tile, place // across * tile))
    buffer = BytesIO()
    sheet.save(buffer, "WEBP", quality=QUALITY, method=4)
    return data_uri(buffer.getvalue(), kind="image/webp")
