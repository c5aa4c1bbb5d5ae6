"""Baselines recorded beside the sites: what the denoiser is given, and what an untrained copy makes of it.

A site says something about the model only as far as it tells more than the noisy latent, the prompt and the bare
architecture do. ``baselines`` among the patterns of sites records ``baseline.latent`` and ``baseline.prompt``;
``untrained`` records each chosen site in a copy with random weights as well, as ``untrained.<site>``. The copy is given
the same latents and prompts at the same steps; the pictures are not changed by it.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from outcrop.capture.outputs import batch_rows, tensors_in
from outcrop.capture.reduction import Reduction
from outcrop.capture.sites import Site
from outcrop.capture.taps import Tap
from outcrop.data.errors import InputError

ROLE = "baseline"
GROUP = "baselines"
UNTRAINED = "untrained"
INPUTS = "<inputs>"
"""The place of what the model itself is given, where a module's path would stand."""

PROMPT = "encoder_hidden_states"
CELLS = 8
"""Latents are kept as at most this many cells a side, so that layout is in them whatever the sites' reduction."""


@dataclass
class Inputs:
    """Which baselines the first call of a dry pass shows."""

    sites: list[Site] = field(default_factory=list)

    def look(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A forward pre-hook."""
        if self.sites:
            return
        rows = batch_rows(args, kwargs)
        path, latent = next(tensors_in((args, kwargs)))
        if latent.shape[0] == rows and latent.ndim in {3, 4}:
            self.sites.append(_site("latent", latent, path))
        prompt = kwargs.get(PROMPT)
        if isinstance(prompt, Tensor) and prompt.shape[0] == rows and prompt.ndim == 3:
            self.sites.append(_site("prompt", prompt, (1, PROMPT)))


def _site(name: str, tensor: Tensor, path: tuple[int | str, ...]) -> Site:
    stream: Any = "text" if name == "prompt" else "image"
    return Site(f"baseline.{name}", ROLE, 0, tuple(tensor.shape[1:]), stream, Tap(INPUTS, path))


@contextmanager
def watched_inputs(model: nn.Module) -> Iterator[Inputs]:
    """The baselines that a dry pass inside the body shows."""
    inputs = Inputs()
    handle = model.register_forward_pre_hook(inputs.look, with_kwargs=True)
    try:
        yield inputs
    finally:
        handle.remove()


def wanted(patterns: Sequence[str]) -> bool:
    """Whether baselines of the inputs are among the patterns of sites."""
    return any(_is_input(pattern) for pattern in patterns)


def of_the_model(patterns: Sequence[str]) -> list[str]:
    """The patterns that choose sites of the model itself. Raises :class:`InputError` for ``untrained`` without any."""
    own = [pattern for pattern in patterns if pattern != UNTRAINED and not _is_input(pattern)]
    if UNTRAINED in patterns and not own:
        raise InputError(
            f"{UNTRAINED!r} records the chosen sites in an untrained copy as well, and none is chosen. "
            "Name sites beside it, such as 'blocks'."
        )
    return own


def _is_input(pattern: str) -> bool:
    return pattern == GROUP or pattern.startswith(f"{ROLE}.")


def with_untrained(sites: Sequence[Site]) -> list[Site]:
    """``sites``, and each that is no baseline as a site of the untrained copy."""
    copies = [
        replace(
            site,
            name=f"{UNTRAINED}.{site.name}",
            role=ROLE,
            tap=replace(site.read_at, module=f"{UNTRAINED}.{site.read_at.module}"),
        )
        for site in sites
        if site.role != ROLE
    ]
    return [*sites, *copies]


def reduction_of(site: Site, asked: Reduction) -> Reduction:
    """What is kept of ``site``: for baselines of the inputs what is enough for every property, layout included."""
    if site.read_at.module != INPUTS:
        return asked
    square = len(site.shape) == 3 or round(site.shape[0] ** 0.5) ** 2 == site.shape[0]
    if site.stream == "text" or not square:
        return Reduction("mean")
    return asked if asked.kind == "full" else Reduction("grid", CELLS)


def untrained_copy(model: nn.Module, *, seed: int = 7919) -> nn.Module:
    """A copy of ``model`` as it was before training: built anew from its configuration.

    Of a model without one, every module that can is set back (``reset_parameters``). Raises :class:`InputError` where
    parameters would be left as they are.
    """
    device, dtype = next((parameter.device, parameter.dtype) for parameter in model.parameters())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = _from_config(model) if hasattr(model, "from_config") and hasattr(model, "config") else _reset(model)
    return made.to(device=device, dtype=dtype).eval().requires_grad_(requires_grad=False)


def _from_config(model: Any) -> nn.Module:
    made: nn.Module = type(model).from_config(model.config)
    return made


def _reset(model: nn.Module) -> nn.Module:
    made = copy.deepcopy(model)
    for name, module in made.named_modules():
        reset: Callable[[], None] | None = getattr(module, "reset_parameters", None)
        if reset is not None:
            reset()
        elif next(module.parameters(recurse=False), None) is not None:
            raise InputError(
                f"An untrained copy of {type(model).__name__} cannot be made: {name or 'the model'} "
                f"({type(module).__name__}) has parameters and no reset_parameters(). Leave out the site "
                f"pattern {UNTRAINED!r}."
            )
    return made
