"""The recorder: forward hooks that read, reduce and copy, and never change the forward pass."""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from outcrop.capture.reduction import Reduction
from outcrop.capture.sites import Site, output_tensor
from outcrop.data.errors import DataError, InputError
from outcrop.data.patterns import near_misses
from outcrop.data.schema import DType

Half = Literal["cond", "uncond", "both"]


class Recorder:
    """Records the chosen sites of ``model`` at the chosen steps, batch by batch, while it is open as a context.

    A step is a call of ``model``; with guidance the batch is doubled as [unconditional, conditional], the convention of
    diffusers pipelines, and ``half`` says which rows are kept. The hooks are gone after the context, also after an
    exception.
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
    ) -> None:
        self._model, self._sites, self._steps = model, tuple(sites), tuple(steps)
        self._reduction, self._dtype, self._half = reduction, dtype, half
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._columns: dict[str, list[Tensor]] = {}
        self._samples, self._call = 0, -1

    def __enter__(self) -> "Recorder":
        modules = dict(self._model.named_modules())
        unknown = [site.name for site in self._sites if site.name not in modules]
        if unknown:
            raise InputError(
                f"{type(self._model).__name__} has no module {unknown[0]!r}.{near_misses(unknown[0], modules)}"
            )
        self._handles.append(self._model.register_forward_pre_hook(self._count))
        for site in self._sites:
            self._handles.append(modules[site.name].register_forward_hook(self._hook(site.name)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def begin(self, samples: int) -> None:
        """Forget what was recorded and expect a batch of ``samples``."""
        self._columns = {site.name: [] for site in self._sites}
        self._samples, self._call = samples, -1

    def take(self) -> dict[str, NDArray[np.generic]]:
        """Per site the recorded array (step, sample, *feature) of this batch, as it is stored.

        Raises :class:`DataError` for values that float16 cannot hold.
        """
        return {name: _to_numpy(self._stack(name, planes), self._dtype) for name, planes in self._columns.items()}

    @property
    def calls(self) -> int:
        """Calls of the model since :meth:`begin`."""
        return self._call + 1

    def _count(self, _module: nn.Module, _inputs: tuple[Any, ...]) -> None:
        self._call += 1

    def _hook(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if self._call not in self._steps or len(self._columns[name]) > self._steps.index(self._call):
                return
            tensor = output_tensor(output)
            if tensor is None:
                raise DataError(f"Site {name!r} put out no tensor at step {self._call}: it cannot be recorded.")
            with torch.no_grad():
                kept = self._reduction.apply(self._rows(name, tensor.detach()))
                self._columns[name].append(kept.to(getattr(torch, self._dtype), copy=True).cpu())

        return hook

    def _rows(self, name: str, tensor: Tensor) -> Tensor:
        n = self._samples
        if tensor.shape[0] == n and self._half == "cond":
            return tensor
        if tensor.shape[0] != 2 * n:
            raise InputError(
                f"half={self._half!r} needs a batch doubled by guidance ({2 * n} rows) at site {name!r}. "
                f"Got {tensor.shape[0]} rows: raise the guidance scale above 1, or use half='cond'."
            )
        if self._half == "cond":
            return tensor[n:]
        if self._half == "uncond":
            return tensor[:n]
        pairs: Tensor = tensor.unflatten(0, (2, n))
        return pairs.transpose(0, 1).flatten(0, 1)

    def _stack(self, name: str, planes: list[Tensor]) -> Tensor:
        if len(planes) != len(self._steps):
            raise DataError(f"Site {name!r} ran at {len(planes)} of the {len(self._steps)} steps to be recorded.")
        stacked = torch.stack(planes)
        if self._half == "both":
            stacked = stacked.unflatten(1, (self._samples, 2))
        if not torch.isfinite(stacked).all():
            wrong = int((~torch.isfinite(stacked)).sum())
            mend = (
                "Capture with dtype bfloat16 or float32, into a folder of its own."
                if self._dtype == "float16"
                else ("The model itself puts them out.")
            )
            raise DataError(f"{wrong} values of site {name!r} do not fit {self._dtype} (infinite or NaN). {mend}")
        return stacked


def _to_numpy(tensor: Tensor, dtype: DType) -> NDArray[np.generic]:
    if dtype == "bfloat16":
        return tensor.contiguous().view(torch.uint16).numpy()
    return tensor.contiguous().numpy()
