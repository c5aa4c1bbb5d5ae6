"""Spatial maps for probes of single cells: from masks and boxes to one class a cell of a grid."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from outcrop.data.dataset import Dataset
from outcrop.data.errors import InputError
from outcrop.data.label_writer import NewLabel, provenance

BOX_COLUMNS = ("x0", "y0", "x1", "y1")


def map_from_mask(mask: NDArray[np.integer], grid: int, *, classes: int) -> NDArray[np.int64]:
    """(row, column) on a ``grid`` x ``grid`` of the class that covers most of each cell, from a mask of pixels.

    Raises :class:`InputError` for a mask with fewer pixels than cells, or values that are no class.
    """
    height, width = mask.shape
    if min(height, width) < grid:
        raise InputError(f"A mask of {height} x {width} pixels cannot fill a grid of {grid} x {grid} cells.")
    if mask.min() < 0 or mask.max() >= classes:
        raise InputError(f"A mask may hold 0 to {classes - 1}. Got {mask.min()} to {mask.max()}.")
    rows, columns = (np.arange(extent) * grid // extent for extent in (height, width))
    cells = rows[:, None] * grid + columns
    counts = np.bincount((cells * classes + mask).reshape(-1), minlength=grid * grid * classes)
    cover: NDArray[np.int64] = counts.reshape(grid, grid, classes).argmax(2)
    return cover


def mask_from_boxes(boxes: pd.DataFrame, size: tuple[int, int], codes: Mapping[str, int]) -> NDArray[np.int64]:
    """(height, width) with the code of the box that covers a pixel, 0 where there is none; later boxes lie on top."""
    mask = np.zeros(size, np.int64)
    for row in boxes.itertuples():
        x0, y0, x1, y1 = (round(float(getattr(row, name))) for name in BOX_COLUMNS)
        mask[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = codes[str(row.label)]
    return mask


def labels_from_masks(folder: Path, *, name: str, grid: int, classes: Sequence[str]) -> NewLabel:
    """One map a sample from ``folder``/ID.png, grey values 0, 1, ... meaning ``classes``; others stay unknown."""
    found = {path.stem: path for path in sorted(folder.glob("*.png"))}
    if not found:
        raise InputError(f"{folder} holds no masks. Expected ID.png for each sample's id.")
    maps = {}
    for identifier, path in found.items():
        maps[identifier] = map_from_mask(_read_mask(path), grid, classes=len(classes))
    made = provenance("masks", "numpy", folder=folder.name, grid=grid)
    return NewLabel(name, pd.Series(maps), made, is_map=True, classes=tuple(classes))


def labels_from_boxes(ds: Dataset, path: Path, *, name: str, grid: int) -> NewLabel:
    """One map a sample from a CSV with id, x0, y0, x1, y1 in pixels and label; background where there is no box."""
    table = _read_boxes(path)
    unknown = set(table["id"]) - set(ds.samples.index)
    if unknown:
        raise InputError(f"{path} names samples that are not in {ds.path}, such as {min(unknown)!r}.")
    classes = ("background", *sorted(table["label"].unique()))
    codes = {label: code for code, label in enumerate(classes)}
    width, height = ds.images(list(ds.samples.index[:1]))[0].size
    groups = dict(list(table.groupby("id")))
    maps = {
        identifier: map_from_mask(
            mask_from_boxes(groups.get(identifier, table.iloc[:0]), (height, width), codes), grid, classes=len(classes)
        )
        for identifier in ds.samples.index
    }
    made = provenance("boxes", "pandas", file=path.name, grid=grid)
    return NewLabel(name, pd.Series(maps), made, is_map=True, classes=classes)


def _read_mask(path: Path) -> NDArray[np.int64]:
    try:
        with Image.open(path, formats=["PNG"]) as image:
            return np.asarray(image.convert("L")).astype(np.int64)
    except (OSError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} is no mask: {error}. Expected a PNG in grey values.") from error


def _read_boxes(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype={"id": str, "label": str})
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no CSV table: {error}.") from error
    missing = [column for column in ("id", *BOX_COLUMNS, "label") if column not in table.columns]
    if missing:
        raise InputError(f"{path} needs the columns id, x0, y0, x1, y1, label. It lacks {', '.join(missing)}.")
    edges = table[list(BOX_COLUMNS)].apply(pd.to_numeric, errors="coerce")
    if (bad := ~np.isfinite(edges).all(axis=1) | table["label"].isna()).any():
        raise InputError(f"{path}, row {int(bad.idxmax()) + 2}: x0, y0, x1, y1 must be numbers, and label a name.")
    table[list(BOX_COLUMNS)] = edges
    return table
