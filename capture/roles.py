"""What a module is for, read off how modules are nested and named, never off which model it is."""

import re

from torch import nn

PROJECTION = re.compile(r"((to_)?q(uery)?|q_proj|\w*qkv\w*|wq)")
FEED_FORWARD = re.compile(r"(\w+_)?(ff|ffn|mlp|feed_?forward|moe)(_\w+)?\d*")
SELF_ATTENTION = "self-attention"
EDGE = "edge"
CLASSES = {"Resnet": "resnet", "ResBlock": "resnet", "Downsample": "downsampler", "Upsample": "upsampler"}


def static_roles(model: nn.Module) -> dict[str, str]:
    """The role of every module that may be a site, by its path; parts such as norms and activations have none.

    :data:`SELF_ATTENTION` and :data:`EDGE` are refined by what the modules do in a dry pass
    (:mod:`outcrop.capture.discovery`).
    """
    modules, roles = dict(model.named_modules()), {}
    closed: list[str] = []  # attention and feed-forward: what lies inside them is no site
    for name, module in modules.items():
        if not name or any(name.startswith(f"{outer}.") for outer in closed):
            continue
        role = _role(name, module, modules)
        if role is not None:
            roles[name] = role
        if role in {SELF_ATTENTION, "feed-forward"}:
            closed.append(name)
    return roles


def is_attention(module: nn.Module) -> bool:
    """Whether a module makes queries of its input."""
    return any(PROJECTION.fullmatch(name) for name, _ in module.named_children())


def _role(name: str, module: nn.Module, modules: dict[str, nn.Module]) -> str | None:
    leaf, kind = name.rpartition(".")[2], type(module).__name__
    if leaf == "mid_block":
        return "bottleneck"
    if _is_block(name, module, modules):
        return "block"
    if is_attention(module):
        return SELF_ATTENTION
    role = next((role for word, role in CLASSES.items() if word in kind), None)
    if role is None and "." in name and FEED_FORWARD.fullmatch(leaf) and next(module.children(), None) is not None:
        role = "feed-forward"
    if role is None and isinstance(modules[name.rpartition(".")[0]], nn.ModuleList):
        role = _listed(kind, module)
    if role is None and "." not in name and _has_matrix(module):
        role = "convolution" if isinstance(module, nn.Conv2d) else EDGE
    return role


def _is_block(name: str, module: nn.Module, modules: dict[str, nn.Module]) -> bool:
    """Members of the model's own lists of modules (and of lists of lists), and what it calls a block."""
    parents = [name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)]
    if not parents:
        return "Block" in type(module).__name__ and sum(_has_matrix(part) for part in _leaves(module)) > 1
    return all(isinstance(modules[parent], nn.ModuleList) for parent in parents) and _is_composed(module)


def _listed(kind: str, module: nn.Module) -> str | None:
    """Members of lists further down: transformer blocks, and UNets' whole stacks of them."""
    if kind.startswith("Transformer") and "Model" in kind:
        return "attention"
    return "transformer-block" if any(is_attention(part) for part in module.modules()) else None


def _is_composed(module: nn.Module) -> bool:
    return len(_leaves(module)) > 1 and _has_matrix(module)


def _leaves(module: nn.Module) -> list[nn.Module]:
    return [part for part in module.modules() if next(part.children(), None) is None]


def _has_matrix(module: nn.Module) -> bool:
    return any(parameter.ndim > 1 for parameter in module.parameters())
