"""The sites of a model from its configuration alone: on the meta device, without weights and without memory.

The arguments of the dry pass are made from their names and from the configuration's keys, in the vocabulary that the
denoisers of diffusers share.
"""

import inspect
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from outcrop.capture.discovery import discover_sites
from outcrop.capture.loading import quiet_loading
from outcrop.capture.models import MODULES, locate_model
from outcrop.capture.roles import static_roles
from outcrop.capture.sites import GROUPS, ROLES, Site, check_pattern, no_such_site
from outcrop.capture.taps import Grid
from outcrop.data.errors import InputError

ROWS = 2
TEXT_WIDTHS = ("joint_attention_dim", "caption_channels", "cross_attention_dim", "text_embed_dim", "cap_feat_dim")
CLIP_TOKENS = 77
WILD = re.compile(r"[*?\[]")
INSIDE = re.compile(r"\.(text|skip|head|words|entropy|head-mean)(\..*)?$")
"""What a site's name may have after its module's."""
PACKED = 16
"""Pixels a token has on a side where a model is given tokens: 8 of the autoencoder times 2 of the packing."""


def blank_sites(name: str, *, height: int = 1024, width: int = 1024, text_tokens: int | None = None) -> list[Site]:
    """The sites of a local pipeline folder, of which only ``model_index.json`` and the denoiser's ``config.json`` are
    read. ``height`` and ``width`` (pixels) matter to models that are given tokens; others say their own size.

    Raises :class:`InputError` for a denoiser whose arguments are not among those that are known.
    """
    folder = Path(locate_model(name))
    if not folder.is_dir():
        raise InputError(f"--meta reads a local folder. Got {name!r}: download its configuration files first.")
    index = json.loads((folder / "model_index.json").read_text())
    with quiet_loading(), torch.no_grad():
        model = _empty_model(folder, index)
        packed = (height // PACKED, width // PACKED)
        arguments = _arguments(model, packed, text_tokens or _text_tokens(index))
        return discover_sites(model, lambda: model(**arguments), aspect=packed)


def check_patterns(name: str, patterns: Sequence[str]) -> None:
    """Raises :class:`InputError` for a site that a local model cannot have, before its weights are read.

    Told from the structure alone, and only what is certain: a name, or the part of a glob before its first sign.
    """
    for pattern in patterns:
        check_pattern(pattern)
    if name.startswith("python:") or name in MODULES:
        return
    folder = Path(locate_model(name))
    if not folder.is_dir():
        return
    try:
        model = _empty_model(folder, json.loads((folder / "model_index.json").read_text()))
    except (InputError, OSError, ValueError):
        return  # loading it will tell
    modules = {name for name, _ in model.named_modules()}
    roles = ROLES | set(static_roles(model).values())
    for pattern in patterns:
        certain = INSIDE.sub("", WILD.split(pattern)[0])
        if WILD.search(pattern):
            certain = certain.rpartition(".")[0]
        if certain not in modules and pattern not in {*GROUPS, "all", *roles}:
            raise no_such_site(pattern, [*GROUPS, "all", *sorted(roles), *modules])


def _empty_model(folder: Path, index: dict[str, Any]) -> nn.Module:
    import diffusers

    part = next((part for part in ("unet", "transformer") if part in index), None)
    kind = getattr(diffusers, index[part][1], None) if part else None
    if part is None or kind is None or not (folder / part / "config.json").is_file():
        raise InputError(f"{folder} has no unet or transformer of diffusers with a config.json: nothing to list.")
    with torch.device("meta"):
        model: nn.Module = kind.from_config(json.loads((folder / part / "config.json").read_text()))
    return model.eval()


def _text_tokens(index: dict[str, Any]) -> int:
    """How many tokens the pipeline gives by default: CLIP's, and those of the long encoder behind them."""
    import diffusers

    pipeline = getattr(diffusers, str(index.get("_class_name")), None)
    longest = inspect.signature(pipeline.__call__).parameters.get("max_sequence_length") if pipeline else None
    if longest is None:
        return CLIP_TOKENS
    return int(longest.default) + CLIP_TOKENS * ("text_encoder_3" in index)


def _arguments(model: Any, packed: Grid, tokens: int) -> dict[str, Any]:
    accepted = inspect.signature(model.forward).parameters
    known = _known(model.config, packed if "img_ids" in accepted else None, tokens)
    missing = [
        name
        for name, parameter in accepted.items()
        if parameter.default is parameter.empty and parameter.kind != parameter.VAR_KEYWORD and name not in known
    ]
    if missing:
        raise InputError(
            f"The arguments of {type(model).__name__} cannot all be made from its configuration "
            f"({', '.join(missing)}). List its sites with its weights instead, without --meta."
        )
    return {name: value for name, value in known.items() if name in accepted}


def _known(config: Any, packed: Grid | None, tokens: int) -> dict[str, Any]:
    """By name, whatever argument can be made; ``packed`` is the map of a model that is given tokens."""
    size = config.get("sample_size") or 128
    grid = (size, size) if isinstance(size, int) else tuple(size)
    positions = packed[0] * packed[1] if packed else 0
    image = _blank(positions, config.in_channels) if packed else _blank(config.in_channels, *grid)
    width = next((config[key] for key in TEXT_WIDTHS if config.get(key)), None)
    known: dict[str, Any] = {
        "sample": image,
        "hidden_states": image,
        "timestep": _blank(),
        "img_ids": torch.zeros(positions, 3, device="meta"),
        "txt_ids": torch.zeros(tokens, 3, device="meta"),
        "class_labels": torch.zeros(ROWS, dtype=torch.long, device="meta"),
        "added_cond_kwargs": _added(config),
    }
    if width:
        known["encoder_hidden_states"] = _blank(tokens, width if isinstance(width, int) else width[0])
    if config.get("pooled_projection_dim"):
        known["pooled_projections"] = _blank(config.pooled_projection_dim)
    if config.get("guidance_embeds"):
        known["guidance"] = _blank()
    if "num_class_embeds" in config and not config.num_class_embeds:
        del known["class_labels"]
    return known


def _added(config: Any) -> dict[str, Tensor | None]:
    """The size and the pooled text that SDXL is told beside the prompt."""
    if config.get("addition_embed_type") != "text_time":
        return {"resolution": None, "aspect_ratio": None}
    pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
    return {"text_embeds": _blank(pooled), "time_ids": _blank(6)}


def _blank(*shape: int) -> Tensor:
    return torch.zeros(ROWS, *shape, device="meta")
