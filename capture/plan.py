"""The plan of a capture: every sample with its id and seed, cut into shards that are the same on every run."""

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from outcrop.capture.prompts import LabelledPrompt, check_labels
from outcrop.capture.spec import CaptureSpec, SeedPlan
from outcrop.data.samples import Sample, image_path, sample_id

SHARD_BYTES = 64 * 2**20
SHARD_BATCHES = 4
NAMESPACE = uuid.UUID("5f0c3a52-1b0e-4d57-9a4e-6f1d1c0b7a31")


@dataclass(frozen=True)
class Plan:
    """All samples in order, the label names, and the identity of the configuration."""

    samples: tuple[Sample, ...]
    labels: tuple[str, ...]
    uuid: str

    def shard(self, index: int, size: int) -> Sequence[Sample]:
        return self.samples[index * size : (index + 1) * size]


def make_plan(spec: CaptureSpec, *, weights: str) -> Plan:
    """Expand prompts and seeds. ``weights`` is the model's fingerprint: other weights are another data set."""
    prompts = spec.prompts.expand()
    labels = check_labels(prompts)
    identity = _identity(spec, prompts, weights)
    samples = []
    for place, (prompt, seed) in enumerate(_with_seeds(prompts, spec.seeds)):
        name = sample_id(identity, prompt.text, seed, place)
        image = image_path(name) if spec.images else ""
        samples.append(Sample(name, prompt.text, seed, prompt.template, prompt.negative, prompt.labels, image))
    return Plan(tuple(samples), labels, identity)


def shard_size(spec: CaptureSpec, sample_bytes: int) -> int:
    """Samples a shard: whole batches, at most four and at most 64 MiB unless the specification says otherwise."""
    if spec.shard_samples is not None:
        return -(-spec.shard_samples // spec.batch) * spec.batch
    return usual_shard(sample_bytes, batch=spec.batch)


def usual_shard(sample_bytes: int, *, batch: int) -> int:
    """Samples a shard where nothing is said; ``sample_bytes`` in memory, while it is filled."""
    fitting = max(1, SHARD_BYTES // max(1, sample_bytes * batch))
    return min(SHARD_BATCHES, fitting) * batch


def _with_seeds(prompts: Sequence[LabelledPrompt], seeds: SeedPlan) -> list[tuple[LabelledPrompt, int]]:
    pairs = []
    for place, prompt in enumerate(prompts):
        start = seeds.first if seeds.shared else seeds.first + place * seeds.per_prompt
        pairs += [(prompt, start + k) for k in range(seeds.per_prompt)]
    return pairs


def _identity(spec: CaptureSpec, prompts: Sequence[LabelledPrompt], weights: str) -> str:
    later = {"true_cfg"} if spec.true_cfg is None else set()  # a key that older data sets do not have
    fields = spec.model_dump(mode="json", exclude={"prompts", "licences"} | later)
    rows = [[prompt.text, prompt.template, prompt.labels, prompt.negative] for prompt in prompts]
    text = json.dumps([fields, rows, weights], sort_keys=True)
    return str(uuid.uuid5(NAMESPACE, hashlib.sha256(text.encode()).hexdigest()))
