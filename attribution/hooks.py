"""The hooks by which interventions act on rows of a batch, in a context that leaves the model as it was."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from outcrop.attribution.edits import Change, Moment
from outcrop.attribution.heads import HeadChange, HeadWatch
from outcrop.attribution.nested import rewrite
from outcrop.capture.guidance import GuidanceLayout, Part
from outcrop.capture.hooks import check_not_compiled
from outcrop.capture.outputs import batch_rows, follow
from outcrop.capture.sites import Site
from outcrop.capture.taps import Tap
from outcrop.data.errors import InputError

CONDITIONS = ("encoder_hidden_states", "encoder_attention_mask", "class_labels", "w", "style", "styles")
"""Names of the arguments by which modules are told the prompt: as text, as a class, as a generator's style."""


@dataclass(frozen=True)
class Edit:
    """A change at a site, of the rows ``targets`` of the batch's samples; ``donors`` are the rows they take from.

    ``action`` is a :data:`Change` of what the site puts out, a :data:`HeadChange` of what its heads put out, or an
    :class:`Injection`. ``window`` is the first and last step.
    """

    site: Site
    action: "Action"
    targets: Tensor
    donors: Tensor
    window: tuple[int, int]
    parts: frozenset[Part]


@dataclass(frozen=True)
class Injection:
    """The donors' prompt for the module. ``twice``: it runs with either text, and the text it puts out is its own."""

    twice: bool


Action = Change | HeadChange | Injection
Rows = tuple[Moment, Edit, Tensor, Tensor]
"""An edit that acts in the call under way: on which rows of the batch, and from which."""


class Intervened:
    """Edits of ``model`` while it is open as a context, for a batch of ``samples``.

    The model's own outputs are never written to: what goes on is a copy. Rows that no edit names come out bit for bit
    as they would without. The hooks are gone after the context, also after an exception.
    """

    def __init__(self, model: nn.Module, edits: Sequence[Edit], *, layout: GuidanceLayout, samples: int) -> None:
        self._model, self._edits, self._layout, self._samples = model, tuple(edits), layout, samples
        self._call, self._rows = -1, 0
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._watches: list[HeadWatch] = []

    def __enter__(self) -> "Intervened":
        check_not_compiled(self._model)
        self._handles.append(self._model.register_forward_pre_hook(self._begin, with_kwargs=True))
        for name in dict.fromkeys(edit.site.read_at.module for edit in self._edits):
            edits = [edit for edit in self._edits if edit.site.read_at.module == name]
            self._attach(self._model.get_submodule(name), edits)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _attach(self, module: nn.Module, edits: Sequence[Edit]) -> None:
        once = [edit for edit in edits if isinstance(edit.action, Injection) and not edit.action.twice]
        twice = [edit for edit in edits if isinstance(edit.action, Injection) and edit.action.twice]
        heads = [edit for edit in edits if isinstance(edit.action, HeadChange)]
        written = [edit for edit in edits if not isinstance(edit.action, Injection | HeadChange)]
        keep = self._handles.append
        if once:
            keep(module.register_forward_pre_hook(partial(self._inject, once), with_kwargs=True))
        if heads:
            watch = HeadWatch(lambda: self._active(heads), rows=lambda: self._rows)
            keep(module.register_forward_pre_hook(watch.open))
            keep(module.register_forward_hook(watch.close, always_call=True))
        if twice:
            keep(module.register_forward_hook(partial(self._run_twice, twice), with_kwargs=True))
        if written:
            keep(module.register_forward_hook(partial(self._write, written)))

    def _begin(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._call += 1
        self._rows = batch_rows(args, kwargs)
        parts = self._layout.parts_of(self._call)
        if self._rows != len(parts) * self._samples:
            raise InputError(
                f"{type(self._model).__name__} was given {self._rows} rows for {self._samples} samples and "
                f"{len(parts)} parts of guidance: which rows to intervene on cannot be told."
            )

    def _active(self, edits: Iterable[Edit]) -> list[Rows]:
        """The edits that act in this call, once for each part of its batch."""
        step, parts = self._layout.step_of(self._call), self._layout.parts_of(self._call)
        return [
            (Moment(step, part), edit, edit.targets + place * self._samples, edit.donors + place * self._samples)
            for edit in edits
            if edit.window[0] <= step <= edit.window[1]
            for place, part in enumerate(parts)
            if part in edit.parts
        ]

    def _write(self, edits: Sequence[Edit], _module: nn.Module, _inputs: Any, output: Any) -> Any:
        active = self._active(edits)
        for site in dict.fromkeys(edit.site for _, edit, _, _ in active):
            own = [rows for rows in active if rows[1].site == site]
            output = rewrite(output, _tap(site), rows=self._rows, change=partial(_apply, own))
        return output

    def _inject(
        self, edits: Sequence[Edit], module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        active = self._active(edits)
        return self._with_donors_text(module, args, kwargs, active) if active else (args, kwargs)

    def _run_twice(
        self, edits: Sequence[Edit], module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> Any:
        active = self._active(edits)
        if not active:
            return output
        heard_args, heard_kwargs = self._with_donors_text(module, args, kwargs, active)
        heard = module.forward(*heard_args, **heard_kwargs)
        tap = _tap(active[0][1].site)
        donor = tap.read(heard, rows=self._rows)
        at = torch.cat([targets for _, _, targets, _ in active])

        def change(image: Tensor) -> None:
            image[at] = donor[at]  # type: ignore[index]  # rewrite has found a tensor in the same place

        return rewrite(output, tap, rows=self._rows, change=change)

    def _with_donors_text(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], active: Sequence[Rows]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        bound = inspect.signature(module.forward).bind(*args, **kwargs)
        told = 0
        for name, value in _conditions(bound.arguments, active[0][1].site.role):
            if isinstance(value, Tensor) and value.ndim and value.shape[0] == self._rows:
                fresh = value.clone()
                for _, _, targets, donors in active:
                    fresh[targets] = value[donors]
                _assign(bound.arguments, name, fresh)
                told += name in CONDITIONS
        if not told:
            raise InputError(f"{active[0][1].site.name} is not told the prompt: there is nothing to inject.")
        return bound.args, bound.kwargs


def told_modules(model: nn.Module, run: Callable[[], object]) -> frozenset[str]:
    """The modules that are given the prompt by an argument of their own while ``run()`` runs the model."""
    told: set[str] = set()

    def look(name: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        arguments = inspect.signature(module.forward).bind(*args, **kwargs).arguments
        if any(isinstance(value, Tensor) and value.ndim for _, value in _conditions(arguments, "")):
            told.add(name)

    handles = [
        module.register_forward_pre_hook(partial(look, name), with_kwargs=True)
        for name, module in model.named_modules()
        if name
    ]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return frozenset(told)


def _conditions(arguments: dict[str, Any], role: str) -> list[tuple[str, Any]]:
    """Arguments that tell the prompt, also among a module's ``**kwargs``; the mask of cross-attention is the text's."""
    names = (*CONDITIONS, *(("attention_mask",) if role == "cross-attention" else ()))
    inner = {name: value for name, value in arguments.items() if isinstance(value, dict)}
    found = [(name, value) for name, value in arguments.items() if name in names]
    return found + [(name, part) for values in inner.values() for name, part in values.items() if name in names]


def _assign(arguments: dict[str, Any], name: str, value: Tensor) -> None:
    if name in arguments:
        arguments[name] = value
        return
    holder = next(key for key, inner in arguments.items() if isinstance(inner, dict) and name in inner)
    arguments[holder] = {**follow(arguments, (holder,)), name: value}  # type: ignore[dict-item]  # it is a dictionary


def _tap(site: Site) -> Tap:
    tap = site.read_at
    assert isinstance(tap, Tap)  # a study leaves out the sites inside attention
    return tap


def _apply(active: Sequence[Rows], view: Tensor) -> None:
    """Write every edit's rows; donors are read as the model put them out."""
    for moment, edit, targets, donors in active:
        donor: Callable[[], Tensor] = partial(view.index_select, 0, donors.to(view.device))
        view[targets] = edit.action(view[targets], donor() if len(donors) else view[:0], moment)  # type: ignore[operator]
