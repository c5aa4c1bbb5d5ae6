"""Finding the sites of a model: candidates from its structure, everything else from one dry pass."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from outcrop.capture.attention import AttentionWatcher
from outcrop.capture.attention_call import AttentionCall
from outcrop.capture.attention_sites import SeenAttention, attention_sites, seen_attention
from outcrop.capture.outputs import Path, tensors_in
from outcrop.capture.roles import EDGE, SELF_ATTENTION, static_roles
from outcrop.capture.sites import Site
from outcrop.capture.streams import Segments, Stream, StreamTracer, holds, image_tokens, text_tokens
from outcrop.capture.taps import Grid, Tap, find_grid

EDGES = ("embedding", "output")
CROSS = "encoder_hidden_states"
"""The argument by which the attention modules of diffusers are given another sequence to look at."""


def discover_sites(
    model: nn.Module,
    dry_pass: Callable[[], object],
    *,
    aspect: Callable[[], Grid | None] | Grid | None = None,
    stream: Stream = "image",
) -> list[Site]:
    """All sites of ``model`` in the order in which ``dry_pass()`` executes them; it may run on the meta device.

    ``aspect`` is the height and width of the picture (or any multiple, or a function that knows them afterwards). It
    says which map a sequence of tokens is where the model is given tokens instead of a map; left out, a square. A
    batch of two tells the axis of the batch from the others. ``stream`` is what the model's first input is.
    """
    watch = _Watch(model, stream)
    try:
        watch.open()
        with watch.tracer:
            dry_pass()
    finally:
        watch.close()
    given = aspect() if callable(aspect) else aspect
    shapes = watch.shapes(given)
    sites: dict[str, Site] = {}
    for call in watch.calls:
        for site in _sites_of(call, shapes):
            sites.setdefault(site.name, site)
    last = max(len(sites) - 1, 1)
    placed = [replace(site, depth=index / last) for index, site in enumerate(sites.values())]
    return [one for site in placed for one in (site, *watch.inside(site, shapes))]


@dataclass(frozen=True)
class _Output:
    """A tensor that a module put out; ``shape`` is what one sample has of it."""

    path: Path
    shape: tuple[int, ...]
    segments: Segments
    batch_axis: int

    @property
    def holds_image(self) -> bool:
        return holds(self.segments, "image")


@dataclass(frozen=True)
class _Call:
    module: str
    role: str
    outputs: tuple[_Output, ...]


class _Watch:
    """The hooks of a dry pass: what every module put out, and whose stream it is."""

    def __init__(self, model: nn.Module, stream: Stream) -> None:
        self.tracer = StreamTracer()
        self.calls: list[_Call] = []
        self._inside: dict[str, SeenAttention] = {}
        self._model, self._roles, self._stream = model, static_roles(model), stream
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._maps: list[Grid] = []
        self._frames, self._rows, self._blocks = 1, 1, 0
        attentions = {name for name, role in self._roles.items() if role == SELF_ATTENTION}
        self._watcher = AttentionWatcher({name: model.get_submodule(name) for name in attentions}, self._note)

    def open(self) -> None:
        self._watcher.__enter__()
        self._handles.append(self._model.register_forward_pre_hook(self._begin, with_kwargs=True))
        for name, module in self._model.named_modules():
            if name in self._roles or isinstance(module, nn.Conv2d):
                self._handles.append(module.register_forward_hook(self._look(name), with_kwargs=True))

    def close(self) -> None:
        self._watcher.__exit__()
        for handle in self._handles:
            handle.remove()

    def shapes(self, aspect: Grid | None) -> list[Grid]:
        """Maps that tokens may be, likeliest first: of the picture's own proportions, then as seen on the way."""
        return [] if self._frames > 1 else [*self._maps[:1], *([aspect or (1, 1)] * (not self._maps)), *self._maps[1:]]

    def inside(self, site: Site, shapes: Sequence[Grid]) -> Iterator[Site]:
        """The sites inside the attention module that ``site`` is of."""
        if site.name in self._inside:
            yield from attention_sites(site, self._inside[site.name], shapes)

    def _note(self, name: str, calls: list[AttentionCall]) -> None:
        seen = [seen_attention(call, self.tracer, rows=self._rows) for call in calls]
        if name not in self._inside and len(seen) == 1 and seen[0] is not None:
            self._inside[name] = seen[0]

    def _begin(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """The first tensor that a denoiser is given is the image; all others with positions are conditions."""
        values = [value for value in (*args, *kwargs.values()) if any(True for _ in tensors_in(value))]
        for value in values[1:]:
            least = 2 if isinstance(value, list) else 3  # a list has one (token, channel) a row
            self.tracer.mark([tensor for _, tensor in tensors_in(value) if tensor.ndim >= least], "text")
        image: Any = values[0]
        self.tracer.mark(image, self._stream)
        listed = isinstance(image, list)  # of one picture each
        sizes: Sequence[int] = (1, *image[0].shape) if listed else image.shape
        self._rows = self.tracer.rows = len(image) if listed else sizes[0]
        if len(sizes) > 3:
            self._maps.append((sizes[-2], sizes[-1]))
        self._frames = sizes[-3] if len(sizes) > 4 else 1

    def _look(self, name: str) -> Callable[[nn.Module, Any, Any, Any], None]:
        def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: object) -> None:
            role, context = self._roles.get(name), kwargs.get(CROSS)
            own = next((tensor for _, tensor in tensors_in((args, kwargs))), None)
            if role == SELF_ATTENTION and isinstance(context, Tensor) and context is not own:
                role = "cross-attention"
            if role == EDGE:
                role = EDGES[bool(self._blocks)]
            self._blocks += role == "block"
            outputs = tuple(self._outputs(output))
            if role is not None and outputs:
                self.calls.append(_Call(name, role, outputs))

        return hook

    def _outputs(self, output: object) -> Iterator[_Output]:
        for path, tensor in tensors_in(output):
            segments = self.tracer.segments(tensor)
            if segments is None or tensor.ndim < 2:
                continue
            if tensor.ndim == 4 and [stream for stream, _ in segments] == ["image"]:
                self._maps.append((tensor.shape[2], tensor.shape[3]))
            axis = int(tensor.ndim == 3 and tensor.shape[0] != self._rows == tensor.shape[1])
            rows, *shape = tensor.movedim(axis, 0).shape
            if rows % self._rows == 0:
                folded = (rows // self._rows,) if rows > self._rows else ()
                yield _Output(path, (*folded, *shape), segments, axis)


def _sites_of(call: _Call, shapes: Sequence[Grid]) -> Iterator[Site]:
    """The image stream under the module's own name, then the text stream, then the skip connections."""
    plain = [output for output in call.outputs if len(output.path) < 2]
    image = next((output for output in plain if output.holds_image), None)
    text = next((output for output in plain if not output.holds_image), None)
    joint = image is not None and (text is not None or len(image.segments) > 1)
    role = "joint-attention" if joint and call.role in {SELF_ATTENTION, "cross-attention"} else call.role
    if image is not None:
        yield _image_site(call.module, role, image, shapes)
        if len(image.segments) > 1 and role not in EDGES:
            yield _text_site(f"{call.module}.text", call.module, role, image)
    if text is not None and role not in EDGES:
        yield _text_site(f"{call.module}.text" if image else call.module, call.module, role, text)
    skips = [output for output in call.outputs if len(output.path) > 1 and output.holds_image]
    for index, skip in enumerate(skips):
        yield Site(f"{call.module}.skip.{index}", "skip", 0, skip.shape, "image", Tap(call.module, skip.path))


def _image_site(name: str, role: str, output: _Output, shapes: Sequence[Grid]) -> Site:
    tokens, count = image_tokens(output.segments, output.shape[0])
    shape = (count, *output.shape[1:])
    grid = find_grid(count, shapes) if len(shape) == 2 else None
    if grid is not None:
        shape = (shape[1], *grid)
    return Site(name, role, 0, shape, "image", Tap(name, output.path, tokens, grid, output.batch_axis))


def _text_site(name: str, module: str, role: str, output: _Output) -> Site:
    tokens, count = text_tokens(output.segments, output.shape[0])
    shape = (count, *output.shape[1:])
    return Site(name, role, 0, shape, "text", Tap(module, output.path, tokens, None, output.batch_axis))
