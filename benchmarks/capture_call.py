"""One call of the denoiser, recorded in the ways of libraries that trace a model: nnsight and TorchLens.

They run a model themselves and do not follow a pipeline through its steps, so that a call is what can be compared.
"""

import argparse
import gc
import importlib.util
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from capture_setup import like, print_ratios
from torch import Tensor, nn

from outcrop.capture.discovery import discover_sites
from outcrop.capture.hooks import Recorder
from outcrop.capture.reduction import Reduction
from outcrop.capture.sites import select_sites

Call = Callable[[], dict[str, Tensor]]
ROWS = 2


def first(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]


def ours(model: nn.Module, inputs: Sequence[Tensor], reduction: str) -> tuple[list[str], Call]:
    """The names of the modules that are recorded, and the call."""
    with torch.no_grad():
        found = discover_sites(model, lambda: model(*inputs))
    sites = select_sites(found, ["blocks", "attentions"])
    settings: dict[str, Any] = {"steps": (0,), "reduction": Reduction(reduction), "dtype": "float32", "half": "cond"}

    def call() -> dict[str, Tensor]:
        with Recorder(model, sites, **settings) as recorder, torch.no_grad():
            recorder.begin(ROWS)
            model(*inputs)
            return {name: torch.from_numpy(values[0]) for name, values in recorder.take().items()}

    return [site.name for site in sites], call


def hooks(model: nn.Module, inputs: Sequence[Tensor], names: Sequence[str]) -> Call:
    def call() -> dict[str, Tensor]:
        kept: dict[str, Tensor] = {}

        def hook_of(name: str) -> Callable[..., None]:
            return lambda _module, _inputs, output: kept.update({name: first(output).clone()})

        handles = [model.get_submodule(name).register_forward_hook(hook_of(name)) for name in names]
        with torch.no_grad():
            model(*inputs)
        for handle in handles:
            handle.remove()
        return kept

    return call


def nnsight(model: nn.Module, inputs: Sequence[Tensor], names: Sequence[str]) -> Call:
    from nnsight import NNsight

    wrapped = NNsight(model)
    places = [wrapped.get(name) for name in names]

    def call() -> dict[str, Tensor]:
        with torch.no_grad(), wrapped.trace(*inputs):
            kept = [].save()
            for place in places:
                kept.append(place.output)  # the body is run by nnsight, in another frame
        return {name: first(output) for name, output in zip(names, kept, strict=True)}

    return call


def torchlens(model: nn.Module, inputs: Sequence[Tensor], _names: Sequence[str]) -> Call:
    """Every operation is kept: its lookup by layers does not know modules with several outputs, as blocks are."""
    import torchlens

    def call() -> dict[str, Tensor]:
        with torch.no_grad():
            torchlens.trace(model, list(inputs))
        return {}

    return call


def measure_call(arguments: argparse.Namespace, model: nn.Module) -> None:
    size, width = arguments.size, model.config.cross_attention_dim
    inputs = torch.randn(ROWS, 4, size, size), torch.tensor(500), torch.randn(ROWS, 16, width)
    names, full = ours(model, inputs, "full")
    methods: dict[str, Call] = {
        "bare call": hooks(model, inputs, []),
        "bare call, again": hooks(model, inputs, []),
        "outcrop, mean": ours(model, inputs, "mean")[1],
        "outcrop, full": full,
        "plain hooks, full": hooks(model, inputs, names),
    }
    for peer in (nnsight, torchlens):
        if importlib.util.find_spec(peer.__name__):
            methods[f"{peer.__name__}, full"] = peer(model, inputs, names)
    expected = methods["plain hooks, full"]()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in methods}
    for turn in range(arguments.repeats):
        for name, call in methods.items():
            gc.collect()
            started = time.perf_counter(), time.process_time()
            kept = call()
            times[name].append((time.perf_counter() - started[0], time.process_time() - started[1]))
            for site, values in kept.items() if name.endswith("full") else ():
                assert torch.equal(like(expected[site], values), expected[site]), (name, site)
        print_ratios(times, base="bare call", title=f"one call, {len(names)} sites, {turn + 1} rounds")
