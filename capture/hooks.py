"""The recorder: forward hooks that read, reduce and copy, and never change the forward pass."""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from outcrop.capture.attention import AttentionWatcher
from outcrop.capture.attention_call import AttentionCall
from outcrop.capture.baselines import INPUTS, UNTRAINED, reduction_of
from outcrop.capture.guidance import DOUBLED, PARTS, UNGUIDED, GuidanceLayout, Half, Part
from outcrop.capture.outputs import batch_rows
from outcrop.capture.reduction import Reduction
from outcrop.capture.sites import Site
from outcrop.capture.taps import AttentionTap
from outcrop.data.errors import DataError, InputError
from outcrop.data.patterns import near_misses
from outcrop.data.schema import DType

Column = dict[Part, list[Tensor]]


class Recorder:
    """Records the chosen sites of ``model`` at the chosen steps, batch by batch, while it is open as a context.

    ``layout`` says which rows of which call are conditional, and with it what a step is. Left out, a step is one call,
    whose batch may be doubled as [unconditional, conditional], the commonest way of diffusers pipelines. ``half`` says
    which rows are kept. The hooks are gone after the context, also after an exception.
    """

    def __init__(
        self,
        model: nn.Module,
        sites: Sequence[Site],
        *,
        steps: Sequence[int],
        reduction: Reduction,
        dtype: DType,
        half: Half,
        layout: GuidanceLayout | None = None,
    ) -> None:
        self._model, self._sites, self._steps = model, tuple(sites), tuple(steps)
        self._reduction, self._dtype, self._half = reduction, dtype, half
        self._layout = layout
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._columns: dict[str, Column] = {}
        self._sites_of, self._inside = _by_module(sites, inside=False), _by_module(sites, inside=True)
        self._watcher: AttentionWatcher | None = None
        self._fresh: set[str] = set()
        self._fresh_inside: set[str] = set()
        self._samples, self._call, self._rows = 0, -1, 0
        self._untrained: nn.Module | None = None

    def accompany(self, untrained: nn.Module) -> "Recorder":
        """Give a copy of the model what the model is given, at the recorded steps; its sites begin ``untrained.``."""
        self._untrained = untrained
        return self

    def __enter__(self) -> "Recorder":
        modules = dict(self._model.named_modules())
        if self._untrained is not None:
            modules |= {f"{UNTRAINED}.{name}": module for name, module in self._untrained.named_modules()}
        places = {*modules, INPUTS}
        unknown = [site.read_at.module for site in self._sites if site.read_at.module not in places]
        if unknown:
            raise InputError(
                f"{type(self._model).__name__} has no module {unknown[0]!r}.{near_misses(unknown[0], modules)}"
            )
        check_not_compiled(self._model)
        if self._layout and not {*PARTS[self._half]} <= self._layout.parts:
            raise InputError(
                f"half={self._half!r}, but {type(self._model).__name__} is not run without the prompt here: raise the "
                "guidance scale above 1 where guidance is a second prediction, or use half='cond'."
            )
        self._handles.append(self._model.register_forward_pre_hook(self._count, with_kwargs=True))
        if self._untrained is not None:
            self._handles.append(self._model.register_forward_pre_hook(self._run_copy, with_kwargs=True))
        for module, sites in self._sites_of.items():
            if module == INPUTS:
                read = self._hook(module, sites)
                self._handles.append(
                    self._model.register_forward_pre_hook(
                        lambda own, args, kwargs, read=read: read(own, None, (args, kwargs)), with_kwargs=True
                    )
                )
                continue
            self._handles.append(modules[module].register_forward_hook(self._hook(module, sites)))
        watched = {name: modules[name] for name in self._inside}
        self._watcher = AttentionWatcher(watched, self._keep_inside, wanted=self._is_recorded)
        self._watcher.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        if self._watcher is not None:
            self._watcher.__exit__()

    def begin(self, samples: int) -> None:
        """Forget what was recorded and expect a batch of ``samples``."""
        self._columns = {site.name: {part: [] for part in PARTS[self._half]} for site in self._sites}
        self._samples, self._call = samples, -1

    def take(self) -> dict[str, NDArray[np.generic]]:
        """Per site the recorded array (step, sample, *feature) of this batch, as it is stored.

        With ``half="both"`` it is (step, sample, 2, *feature): unconditional, conditional. Raises :class:`DataError`
        for values that the dtype cannot hold.
        """
        return {name: _to_numpy(self._stack(name, column), self._dtype) for name, column in self._columns.items()}

    @property
    def calls(self) -> int:
        """Steps that were begun since :meth:`begin`; -1 if the last one lacks a call."""
        calls, each = self._call + 1, len((self._layout or UNGUIDED).calls)
        return calls // each if calls % each == 0 else -1

    def _count(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._call += 1
        self._rows = batch_rows(args, kwargs)
        self._fresh, self._fresh_inside = {*self._sites_of}, {*self._inside}

    def _is_recorded(self) -> bool:
        return (self._layout or UNGUIDED).step_of(self._call) in self._steps

    def _run_copy(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._untrained is not None and (self._layout or UNGUIDED).step_of(self._call) in self._steps:
            with torch.no_grad():
                self._untrained(*args, **kwargs)

    def _hook(self, module: str, sites: Sequence[Site]) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if module not in self._fresh or not self._is_recorded():
                return
            self._fresh.discard(module)  # a module that runs again in one call is recorded once
            with torch.no_grad():
                for site in sites:
                    self._keep(site, output)

        return hook

    def _keep_inside(self, module: str, calls: list[AttentionCall]) -> None:
        if module not in self._fresh_inside:
            return
        self._fresh_inside.discard(module)
        if len(calls) != 1:
            raise DataError(
                f"{module!r} called scaled dot-product attention {len(calls)} times, where it did so once in the trial."
            )
        for site in self._inside[module]:
            self._keep(site, calls[0])

    def _keep(self, site: Site, output: Any) -> None:
        parts = self._parts(site.name)
        place = self._steps.index((self._layout or UNGUIDED).step_of(self._call))
        for part, planes in self._columns[site.name].items():
            if part not in parts or len(planes) != place:  # a part that comes again in one step is recorded once
                continue
            first = parts.index(part) * self._samples
            kept = self._read(site, output, slice(first, first + self._samples))
            reduced = site.reduce(reduction_of(site, self._reduction), kept)
            planes.append(reduced.to(getattr(torch, self._dtype), copy=True).cpu())

    def _read(self, site: Site, output: Any, kept: slice) -> Tensor:
        """(sample, *feature), still part of the model's own tensors."""
        tap = site.read_at
        if isinstance(tap, AttentionTap):
            return tap.read(output, kept=kept)
        tensor = tap.read(output, rows=self._rows, kept=kept)
        if tensor is None:
            raise DataError(f"Site {site.name!r} put out no tensor at call {self._call}: it cannot be recorded.")
        return tensor.detach()

    def _parts(self, name: str) -> tuple[Part, ...]:
        """The parts of this call's batch."""
        n, rows = self._samples, self._rows
        layout = self._layout or (DOUBLED if rows == 2 * n else UNGUIDED)
        parts = layout.parts_of(self._call)
        if rows != len(parts) * n or (self._layout is None and not {*PARTS[self._half]} <= {*parts}):
            wanted = len(parts) if self._layout else 2
            raise InputError(
                f"half={self._half!r} needs a batch doubled by guidance ({wanted * n} rows) at site {name!r}. "
                f"Got {rows} rows: raise the guidance scale above 1, or use half='cond'."
            )
        return parts

    def _stack(self, name: str, column: Column) -> Tensor:
        halves = []
        for planes in column.values():
            if len(planes) != len(self._steps):
                raise DataError(f"Site {name!r} ran at {len(planes)} of the {len(self._steps)} steps to be recorded.")
            if len(shapes := {tuple(plane.shape[1:]) for plane in planes}) > 1:
                raise DataError(f"Site {name!r} puts out {sorted(shapes)} at different steps. Record it with mean.")
            halves.append(torch.stack(planes))
        stacked = torch.stack(halves, dim=2) if len(halves) > 1 else halves[0]
        if not torch.isfinite(torch.stack(torch.aminmax(stacked))).all():  # many times as fast as to ask every value
            wrong = int((~torch.isfinite(stacked)).sum())
            mend = (
                "Capture with dtype bfloat16 or float32, into a folder of its own."
                if self._dtype == "float16"
                else ("The model itself puts them out.")
            )
            raise DataError(f"{wrong} values of site {name!r} do not fit {self._dtype} (infinite or NaN). {mend}")
        return stacked


def check_not_compiled(model: nn.Module) -> None:
    """Raises :class:`InputError` for a model with compiled parts, inside which hooks are not seen."""
    for name, module in model.named_modules():
        if getattr(module, "_compiled_call_impl", None) is not None or hasattr(module, "_orig_mod"):
            raise InputError(
                f"{name or type(model).__name__} is compiled: hooks inside a compiled graph are passed over or change "
                "it. Record the model as it was before torch.compile (model._orig_mod, or load it again)."
            )


def _by_module(sites: Sequence[Site], *, inside: bool) -> dict[str, list[Site]]:
    """By the module whose output they are, or by the attention module that they are inside of."""
    grouped: dict[str, list[Site]] = {}
    for site in sites:
        if bool(site.inside_attention) == inside:
            grouped.setdefault(site.read_at.module, []).append(site)
    return grouped


def _to_numpy(tensor: Tensor, dtype: DType) -> NDArray[np.generic]:
    if dtype == "bfloat16":
        return tensor.contiguous().view(torch.uint16).numpy()
    return tensor.contiguous().numpy()
