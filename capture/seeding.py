"""Noise that is drawn outside the generators of the samples: by some schedulers, and in the layers of some GANs."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from outcrop.data.samples import Sample


@contextmanager
def seeded_by(samples: Sequence[Sample], *, device: str) -> Iterator[None]:
    """PyTorch's global generators, seeded by the seeds of a batch together, and afterwards as they were before."""
    seeds = ",".join(str(sample.seed) for sample in samples)
    devices = range(torch.cuda.device_count()) if torch.device(device).type == "cuda" else ()
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(int.from_bytes(hashlib.sha256(seeds.encode()).digest()[:7]))
        yield
