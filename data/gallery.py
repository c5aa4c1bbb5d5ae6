"""Pictures for those who look before they download: one sheet, and a table that the Hub's viewer shows."""

import io
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from outcrop.data.summary import printable

if TYPE_CHECKING:
    from outcrop.data.dataset import Dataset

CELL, GAP, MARGIN, TEXT = 112, 6, 120, 13
MOST = 8
LARGEST = 256
ROWS_AT_ONCE = 100
INK, PAPER, EDGE = "#222222", "#ffffff", "#dddddd"


def draw_gallery(ds: "Dataset") -> Image.Image:
    """One picture for each pair of classes of the first two prompted labels, or else evenly chosen ones."""
    columns, rows, cells = _grid(ds)
    left, top = (MARGIN if any(rows) else GAP), (TEXT + 3 * GAP if any(columns) else GAP)
    size = (left + len(columns) * (CELL + GAP), top + len(rows) * (CELL + GAP))
    sheet = Image.new("RGB", size, PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(TEXT)
    for place, name in enumerate(columns):
        x = left + place * (CELL + GAP)
        draw.text((x, GAP), _cut(name, font, CELL), fill=INK, font=font)
    for place, name in enumerate(rows):
        y = top + place * (CELL + GAP) + (CELL - TEXT) // 2
        draw.text((GAP, y), _cut(name, font, MARGIN - 2 * GAP), fill=INK, font=font)
    shown = list(cells.values())
    for (row, column), picture in zip(cells, ds.images(shown), strict=True):
        fitted = picture.resize(_fit(picture.size, CELL), Image.Resampling.LANCZOS)
        x, y = left + column * (CELL + GAP), top + row * (CELL + GAP)
        sheet.paste(fitted, (x, y))
        draw.rectangle((x, y, x + fitted.width - 1, y + fitted.height - 1), outline=EDGE)
    return sheet


def viewer_table(ds: "Dataset", *, pictures: bool) -> bytes:
    """All samples with their labels as parquet, and each picture (at most 256 pixels a side) as the Hub shows it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = ds.samples.rename(columns={"image": "image_path"}).reset_index()
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    plain = pa.Table.from_pandas(table, preserve_index=False)
    fields = [*plain.schema.remove_metadata(), *([pa.field("image", kind)] if pictures else [])]
    features = {field.name: _feature(field.type) for field in plain.schema} | (
        {"image": {"_type": "Image"}} if pictures else {}
    )
    schema = pa.schema(fields, {"huggingface": json.dumps({"info": {"features": features}})})
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, schema, compression="zstd") as writer:
        for start in range(0, len(table), ROWS_AT_ONCE):
            part = plain.slice(start, ROWS_AT_ONCE).replace_schema_metadata(None)
            if pictures:
                ids = list(ds.samples.index[start : start + ROWS_AT_ONCE])
                part = part.append_column("image", pa.array(list(_encoded(ds, ids)), kind))
            writer.write_table(part.cast(schema))
    return buffer.getvalue()


def encode_png(picture: Image.Image) -> bytes:
    """The bytes of a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _grid(ds: "Dataset") -> tuple[list[str], list[str], dict[tuple[int, int], str]]:
    """Headings of columns and rows (empty texts where there are none), and which sample stands where."""
    names = [name for name in ds.info.labels if ds.labels[name].nunique() > 1]
    if len(names) < 2:
        chosen = ds.samples.index[np.unique(np.linspace(0, len(ds) - 1, 3 * MOST).astype(int))]
        rows = -(-len(chosen) // MOST)
        places = {(k // MOST, k % MOST): str(name) for k, name in enumerate(chosen)}
        return [""] * min(MOST, len(chosen)), [""] * rows, places
    across, down = (list(pd.unique(ds.labels[name])[:MOST]) for name in names[:2])
    cells: dict[tuple[int, int], str] = {}
    for name, column, row in zip(ds.samples.index, ds.labels[names[0]], ds.labels[names[1]], strict=True):
        if column in across and row in down:
            cells.setdefault((down.index(row), across.index(column)), str(name))
    return [printable(name) for name in across], [printable(name) for name in down], cells


def _encoded(ds: "Dataset", ids: Sequence[str]) -> Iterator[dict[str, bytes | str]]:
    for name, picture in zip(ids, ds.images(ids), strict=True):
        if max(picture.size) > LARGEST:
            picture = picture.resize(_fit(picture.size, LARGEST), Image.Resampling.LANCZOS)  # noqa: PLW2901  # the same
        yield {"bytes": encode_png(picture), "path": f"{name}.png"}


def _feature(kind: object) -> dict[str, str]:
    """The name that the library datasets has for an Arrow type."""
    names = {"double": "float64", "float": "float32", "halffloat": "float16"}
    return {"dtype": names.get(str(kind), str(kind)), "_type": "Value"}


def _fit(size: tuple[int, int], most: int) -> tuple[int, int]:
    scale = most / max(size)
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


def _cut(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
