"""Where a model comes from: ``outcrop:NAME`` (shipped), a local folder, or a hub id."""

import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import torch
from torch import nn

from outcrop.data.errors import InputError
from outcrop.data.patterns import near_misses

SCHEME = "outcrop:"
MODULES = {"outcrop:gan": "outcrop.zoo.gan", "outcrop:vae": "outcrop.zoo.vae"}
"""Shipped models that are no diffusers pipelines, and the modules whose ``source()`` opens them."""


def shipped_models() -> list[str]:
    """Names of the shipped generators, such as ``outcrop:unet``: those whose weights are there."""
    weights = _zoo() / "models"
    pipelines = [f"{SCHEME}{entry.parent.name}" for entry in weights.glob("*/model_index.json")]
    modules = [name for name in MODULES if any((weights / name.removeprefix(SCHEME)).glob("*"))]
    return sorted([*pipelines, *modules])


def locate_model(name: str) -> str:
    """What diffusers can load: a folder's path or a hub id. Raises :class:`InputError` for an unknown name."""
    if name.startswith(SCHEME):
        if name in MODULES:
            raise InputError(f"{name} is a plain PyTorch module, no diffusers pipeline.")
        if name not in shipped_models():
            raise InputError(f"There is no shipped model {name!r}.{near_misses(name, shipped_models())}")
        return str(_zoo() / "models" / name.removeprefix(SCHEME))
    if Path(name).is_dir():
        if (Path(name) / "dataset.json").is_file():
            raise InputError(f"{name} is a data set, not a model: give the model that it was captured from.")
        if not (Path(name) / "model_index.json").is_file():
            raise InputError(f"The folder {name} is no diffusers pipeline: it has no model_index.json.")
        return name
    if name.count("/") == 1 and not name.startswith((".", "/")):
        return name
    raise InputError(
        f"Model {name!r} is none of: a shipped model ({', '.join(shipped_models())}), an existing folder in diffusers "
        "format, a hub id such as 'owner/name'."
    )


def _zoo() -> Path:
    return Path(str(resources.files("outcrop.zoo")))


def fingerprint(folder: Path) -> str:
    """What tells a model from others: the commit of a folder in the hub's cache, or else a hash over the files (names,
    sizes and content) of weights, configuration and vocabulary.
    """
    if folder.parent.name == "snapshots":
        return f"commit:{folder.name}"
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".safetensors", ".json", ".txt", ".bin"}:
            digest.update(f"{path.relative_to(folder)}:{path.stat().st_size}".encode())
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def hash_weights(modules: Mapping[str, nn.Module]) -> str:
    """A hash over the names and values of the weights of ``modules``.

    Raises :class:`InputError` for weights that are not in memory.
    """
    digest = hashlib.sha256()
    for part, module in sorted(modules.items()):
        for name, value in sorted(module.state_dict().items()):
            if value.is_meta:
                raise InputError(
                    f"The weights of {part} are not in memory (sequential offloading?): they cannot be told from "
                    "others. Use enable_model_cpu_offload instead."
                )
            digest.update(f"{part}.{name}:{value.dtype}:{tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
