"""Which part of a tensor belongs to the image and which to the text, found by following the image through one pass.

Denoisers concatenate the tokens of image and text in either order, split them again, and put them out as pairs in
either order. Names and token counts do not tell them apart in general; the flow of data does. :class:`StreamTracer`
watches every operation of a dry pass (on the meta device, too) and keeps, per tensor, the streams along its token axis.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from outcrop.capture.outputs import tensors_in

Stream = Literal["image", "text"]
Segments = tuple[tuple[Stream, int], ...]
"""The streams along the token axis and how many tokens each has; a single segment stands for the whole tensor."""

IMAGE: Segments = (("image", 0),)
"""Nothing but image."""
Bounds = tuple[int, int | None]
"""A run of tokens as ``slice`` bounds: an end of ``None`` is the end, negative ones count from there."""

aten = torch.ops.aten
CUTS = {aten.split.Tensor, aten.split_with_sizes.default, aten.chunk.default}


class StreamTracer(TorchDispatchMode):
    """Follows tensors that were marked; open it as a context around the dry pass.

    An operation's result has the streams of its first argument that has any: the query in attention, the residual
    stream in a sum. Concatenation joins streams and slicing cuts them. What is written into a view is in its base, too.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own
        self.rows = 1
        self._known: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        self._bases: WeakTensorKeyDictionary = WeakTensorKeyDictionary()

    def mark(self, values: object, stream: Stream) -> None:
        """Every tensor in ``values`` belongs to ``stream`` from here on."""
        for _, tensor in tensors_in(values):
            self._known[tensor] = ((stream, 0),)

    def segments(self, tensor: Tensor) -> Segments | None:
        """The streams of ``tensor``, or ``None`` if nothing that was marked went into it."""
        found: Segments | None = self._known.get(tensor)
        return found

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.__name__.startswith("new_") or "_like" in func.__name__:
            return result  # of the same kind, but without its values
        if func is aten.cat.default:
            streams = self._joined(args)
        else:
            streams = self._first(args[1:] if func is aten.copy_.default else (args, kwargs))
        if getattr(func, "is_view", False):
            for _, view in tensors_in(result):
                self._bases[view] = self._bases.get(args[0], args[0])
        if streams is not None:
            self._note(func, args, result, streams)
            if func is aten.copy_.default and (base := self._bases.get(args[0])) is not None:
                self._known[base] = _painted(self.segments(base), base, args[0], streams)
        return result

    def _first(self, values: object) -> Segments | None:
        known = (self.segments(tensor) for _, tensor in tensors_in(values))
        return next((streams for streams in known if streams is not None), None)

    def _joined(self, args: tuple[Any, ...]) -> Segments | None:
        tensors, dim = args[0], (args[1] if len(args) > 1 else 0)
        if all(self.segments(tensor) is None for tensor in tensors):
            return None
        parts: list[tuple[Stream, int]] = []
        for tensor in tensors:
            extent = tensor.shape[dim] if tensor.ndim else 0
            parts += _sized(self.segments(tensor) or (("text", 0),), extent)
        samples = dim == 0 and all(tensor.ndim > 2 and tensor.shape[0] == self.rows for tensor in tensors)
        if samples or dim in {tensors[0].ndim - 1, -1}:
            return self._first(args)  # samples or channels are joined, not tokens
        return _merged(parts)

    def _note(self, func: Callable[..., Any], args: tuple[Any, ...], result: Any, streams: Segments) -> None:
        start = 0
        for _, tensor in tensors_in(result):
            if len(streams) > 1 and func is aten.slice.Tensor and len(args) > 1:
                self._known[tensor] = _cut(streams, args[0], args[1], args[2] if len(args) > 2 else 0, tensor)
            elif len(streams) > 1 and func in CUTS:
                dim = args[2] if len(args) > 2 else 0
                self._known[tensor] = _cut(streams, args[0], dim, start, tensor)
                start += tensor.shape[dim]
            else:
                self._known[tensor] = streams


def holds(segments: Segments, stream: Stream) -> bool:
    """Whether ``stream`` has a part in a tensor."""
    return any(own == stream for own, _ in segments)


def image_tokens(segments: Segments, total: int) -> tuple[Bounds | None, int]:
    """Where the image's tokens are of ``total``, and how many; bounds are ``None`` where they are all.

    Counted from the end where they stand there: what is before them differs in length.
    """
    if len(segments) < 2:
        return None, total
    start, count = _image_range(segments)
    return ((-count, None) if start + count == total else (start, start + count)), count


def text_tokens(segments: Segments, total: int) -> tuple[Bounds | None, int]:
    """Where the text's tokens are of ``total``, and how many; those before the image where it stands between."""
    if len(segments) < 2:
        return None, total
    start, count = _image_range(segments)
    if start == 0:
        return (count, None), total - count
    return (0, start if start + count < total else -count), start


def _image_range(segments: Segments) -> tuple[int, int]:
    """Where the image's tokens begin in a joint sequence, and how many they are."""
    start = 0
    for stream, count in segments:
        if stream == "image":
            return start, count
        start += count
    raise AssertionError("asked only of tensors that hold the image")


def _sized(streams: Segments, extent: int) -> Segments:
    """Counts that are true of ``extent`` tokens."""
    return ((streams[0][0], extent),) if len(streams) == 1 else streams


def _merged(parts: Iterable[tuple[Stream, int]]) -> Segments:
    merged: list[tuple[Stream, int]] = []
    for stream, count in parts:
        if merged and merged[-1][0] == stream:
            merged[-1] = (stream, merged[-1][1] + count)
        else:
            merged.append((stream, count))
    return tuple(merged)


def _cut(streams: Segments, whole: Tensor, dim: int, start: int | None, part: Tensor) -> Segments:
    """The streams of ``part``, which begins at ``start`` of ``whole`` along ``dim``."""
    total = sum(count for _, count in streams)
    if whole.shape[dim] != total or part.shape[dim] == total:
        return streams
    first = start or 0
    first += total if first < 0 else 0
    last, place, kept = first + part.shape[dim], 0, []
    for stream, count in streams:
        inside = min(last, place + count) - max(first, place)
        if inside > 0:
            kept.append((stream, inside))
        place += count
    return tuple(kept) or streams


def _painted(before: Segments | None, base: Tensor, view: Tensor, streams: Segments) -> Segments:
    """The streams of ``base``, (row, token, channel), after ``streams`` were written into its ``view`` of tokens."""
    if base.ndim != 3 or not base.is_contiguous() or view.ndim < 2 or view.shape[-1] != base.shape[-1]:
        return streams
    tokens, channels = base.shape[1:]
    start = (view.storage_offset() - base.storage_offset()) // channels % tokens
    line: list[Stream] = [stream for stream, count in before or () for _ in range(count or tokens)] or ["text"] * tokens
    written = [stream for stream, count in _sized(streams, view.shape[-2]) for _ in range(count)]
    line[start : start + len(written)] = written
    return _merged((stream, 1) for stream in line)
