"""Sites from the model's own structure: roles by what a module is, order and shapes by one dry pass."""

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from outcrop.data.errors import InputError
from outcrop.data.patterns import near_misses

GROUPS: dict[str, frozenset[str]] = {
    "blocks": frozenset({"block", "bottleneck"}),
    "attentions": frozenset({"attention", "self-attention", "cross-attention"}),
    "resnets": frozenset({"resnet"}),
    "feed-forwards": frozenset({"feed-forward"}),
}
CLASS_ROLES = {
    "Resnet": "resnet",
    "FeedForward": "feed-forward",
    "Downsample": "downsampler",
    "Upsample": "upsampler",
}


@dataclass(frozen=True)
class Site:
    """A module whose output can be recorded. ``shape`` is its output for one sample, ``depth`` its place in [0, 1]."""

    name: str
    role: str
    depth: float
    shape: tuple[int, ...]


def role_of(name: str, module: nn.Module, parent: nn.Module | None) -> str | None:
    """The role of a module, or ``None`` for parts that are no sites of their own (norms, activations, ...)."""
    parts = name.split(".")
    if parts == ["mid_block"]:
        return "bottleneck"
    if len(parts) == 2 and isinstance(parent, nn.ModuleList):
        return "block"
    if hasattr(module, "to_q") and hasattr(module, "to_out"):
        return "cross-attention" if getattr(module, "is_cross_attention", False) else "self-attention"
    return "convolution" if parts in (["conv_in"], ["conv_out"]) else _role_by_class(type(module).__name__)


def _role_by_class(kind: str) -> str | None:
    for word, role in CLASS_ROLES.items():
        if word in kind and "Block" not in kind.replace("ResnetBlock", ""):
            return role
    if kind.startswith("Transformer") and "Model" in kind:
        return "attention"
    return "transformer-block" if "TransformerBlock" in kind else None


def output_tensor(output: object) -> Tensor | None:
    """The activation in what a module returns: itself, a field ``sample``, or the first tensor of a tuple."""
    if isinstance(output, Tensor):
        return output
    sample = getattr(output, "sample", None)
    if isinstance(sample, Tensor):
        return sample
    if isinstance(output, tuple | list):
        return next((part for part in output if isinstance(part, Tensor)), None)
    return None


def discover_sites(model: nn.Module, dry_pass: Callable[[], object]) -> list[Site]:
    """All sites of ``model`` in the order in which ``dry_pass()`` executes them."""
    modules = dict(model.named_modules())
    shapes: dict[str, tuple[int, ...]] = {}
    roles: dict[str, str] = {}
    handles = []
    for name, module in modules.items():
        role = role_of(name, module, modules.get(name.rpartition(".")[0])) if name else None
        if role is None:
            continue
        roles[name] = role
        handles.append(module.register_forward_hook(_note_shape(name, shapes)))
    try:
        dry_pass()
    finally:
        for handle in handles:
            handle.remove()
    last = max(len(shapes) - 1, 1)
    return [Site(name, roles[name], index / last, shape) for index, (name, shape) in enumerate(shapes.items())]


def _note_shape(name: str, shapes: dict[str, tuple[int, ...]]) -> Callable[[nn.Module, object, object], None]:
    def hook(_module: nn.Module, _inputs: object, output: object) -> None:
        tensor = output_tensor(output)
        if tensor is not None and tensor.ndim in {2, 3, 4}:
            shapes.setdefault(name, tuple(tensor.shape[1:]))

    return hook


def select_sites(sites: Sequence[Site], patterns: Sequence[str]) -> list[Site]:
    """Sites matched by group (``blocks``, ``attentions``, ``resnets``, ``all``), role, or glob over names.

    Raises :class:`InputError` for a pattern that matches nothing, naming near misses, and for a bare index.
    """
    chosen: set[str] = set()
    for pattern in patterns:
        if pattern.lstrip("-").isdigit():
            raise InputError(
                f"Site {pattern!r} is a bare index, which means different layers in different lists. "
                "Give a module path, a glob, a role or a group."
            )
        matched = _match(sites, pattern)
        if not matched:
            known = [*GROUPS, "all", *sorted({site.role for site in sites}), *(site.name for site in sites)]
            raise InputError(f"Site pattern {pattern!r} matches nothing in this model.{near_misses(pattern, known)}")
        chosen |= matched
    return [site for site in sites if site.name in chosen]


def _match(sites: Sequence[Site], pattern: str) -> set[str]:
    if pattern == "all":
        return {site.name for site in sites}
    roles = GROUPS.get(pattern, frozenset({pattern}))
    return {site.name for site in sites if site.role in roles or fnmatch.fnmatchcase(site.name, pattern)}
