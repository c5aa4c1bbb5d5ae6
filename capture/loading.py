"""Bringing a diffusers pipeline into memory: from a folder, or from the hub's cache."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from outcrop.capture.models import locate_model
from outcrop.data.errors import InputError


def load_pipeline(name: str, *, device: str) -> tuple[Any, Path]:
    """The pipeline on ``device``, in float16 where that is no CPU, and the folder that its files are in.

    Raises :class:`InputError` if that is not possible.
    """
    location = locate_model(name)
    check_device(device)
    precision = torch.float32 if device == "cpu" else torch.float16
    with quiet_loading():
        from diffusers import DiffusionPipeline
        from safetensors import SafetensorError

        try:
            folder = location if Path(location).is_dir() else DiffusionPipeline.download(location, use_safetensors=True)
            pipeline = DiffusionPipeline.from_pretrained(
                folder,
                dtype=precision,
                local_files_only=True,
                use_safetensors=True,  # nothing is unpickled
            )
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"Model {name!r} could not be loaded: {reason}") from error
    return pipeline.to(device), Path(folder)


def check_device(device: str) -> None:
    """Raises :class:`InputError` for a device that this machine does not have."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"Device {device!r} is not available here ({str(error).splitlines()[0]}). Use 'cpu'."
        ) from error


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Loading a pipeline prints bars and advice (no safety checker, ...); keep errors only."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    before = diffusers_logging.get_verbosity(), transformers_logging.get_verbosity()
    diffusers_logging.set_verbosity(logging.ERROR)
    transformers_logging.set_verbosity(logging.ERROR)
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        diffusers_logging.set_verbosity(before[0])
        transformers_logging.set_verbosity(before[1])
        diffusers_logging.enable_progress_bar()
        transformers_logging.enable_progress_bar()
