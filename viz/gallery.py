"""Example images for the report: few, small, and together showing as many different labels as possible."""

import base64
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from outcrop.viz.inputs import HasSamples

LARGEST = 192  # pixels of the longer side
CANDIDATES = 2000  # samples looked at, evenly spaced


@dataclass(frozen=True)
class Example:
    """One image as a data URI with its ``size`` (width, height) in pixels, its prompt, its seed and its labels."""

    uri: str
    size: tuple[int, int]
    prompt: str
    seed: str
    labels: str


def choose_examples(ds: HasSamples, *, count: int) -> list[str]:
    """Ids of at most ``count`` samples with an image, each adding as many labels not yet shown as possible."""
    samples = ds.samples
    shown = samples.index[samples["image"].astype(str) != ""] if "image" in samples.columns else samples.index[:0]
    spaced = shown[:: max(1, -(-len(shown) // CANDIDATES))]
    table = ds.labels.loc[spaced].astype(str)
    left = {str(sample): {(name, str(row[name])) for name in table.columns} for sample, row in table.iterrows()}
    seen: set[tuple[str, str]] = set()
    chosen: list[str] = []
    while left and len(chosen) < count:
        best = max(left, key=lambda sample: len(left[sample] - seen))
        seen |= left.pop(best)
        chosen.append(best)
    return chosen


def gallery(ds: HasSamples, *, count: int = 12) -> list[Example]:
    """The examples of :func:`choose_examples`, ready to be shown; empty for a data set without images."""
    ids = choose_examples(ds, count=count)
    if not ids:
        return []
    samples = ds.samples.loc[ids]
    described = [
        ", ".join(f"{name}: {value}" for name, value in row.items()) for _, row in ds.labels.loc[ids].iterrows()
    ]
    return [
        Example(*_thumbnail(image), str(prompt), str(seed), text)
        for image, prompt, seed, text in zip(
            ds.images(ids), samples["prompt"], samples["seed"], described, strict=True
        )
    ]  # fmt: skip


def data_uri(content: bytes, *, kind: str) -> str:
    """``content`` as a ``data:`` URI of the given media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _thumbnail(image: Image.Image) -> tuple[str, tuple[int, int]]:
    small = image.convert("RGB")
    small.thumbnail((LARGEST, LARGEST))
    kind = "PNG" if max(small.size) <= LARGEST // 2 else "JPEG"
    buffer = BytesIO()
    small.save(buffer, format=kind, optimize=True)
    return data_uri(buffer.getvalue(), kind=f"image/{kind.lower()}"), small.size
