"""A data set on disk with groups of samples that are there at some sites, turned differently at each."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from outcrop.data.dataset import Dataset, open_dataset
from outcrop.data.samples import Sample, sample_id
from outcrop.data.schema import DatasetRecord, SiteRecord, StepRecord
from outcrop.data.writer import open_writer

SITES = ("down_blocks.0", "mid_block", "up_blocks.0")
GROUPS = ("disc", "ring", "star")
WIDTH, STEPS = 8, 2


def planted_values(site: int, step: int, codes: np.ndarray) -> np.ndarray:
    """Three groups far apart, in a basis of the cell's own: what is alike from cell to cell is the grouping."""
    rng = np.random.default_rng([site, step])
    centres = 8 * np.eye(3, WIDTH) @ np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0]
    return centres[codes] + rng.standard_normal((len(codes), WIDTH))


@pytest.fixture
def planted(tmp_path: Path) -> Callable[..., Dataset]:
    """``still``: a site that is the same for all samples; ``broken``: one with a NaN."""

    def make(n: int = 60, *, still: str = "", broken: str = "", name: str = "ds") -> Dataset:
        codes = np.arange(n) % 3
        sites = tuple(
            SiteRecord(name=site, role="block", depth=k / 2, source_shape=(WIDTH,), shape=(WIDTH,))
            for k, site in enumerate(SITES)
        )
        steps = tuple(
            StepRecord(index=k, timestep=900.0 - 800 * k, log_snr=k, noise=90.0 - 80 * k) for k in range(STEPS)
        )
        record = DatasetRecord(
            uuid=f"planted-{name}", model="planted", dtype="float32", reduction="mean", half="cond", sites=sites,
            steps=steps, labels=("content", "size"), planned_samples=n, shard_samples=n, spec={}, provenance={},
        )  # fmt: skip
        columns = {
            site: np.stack([planted_values(k, step, codes) for step in range(STEPS)]).astype(np.float32)
            for k, site in enumerate(SITES)
        }
        if still:
            columns[still][:] = 3.0
        if broken:
            columns[broken][1, 5, 2] = np.nan
        ids = [sample_id("planted", f"p{k}", k, k) for k in range(n)]
        samples = [
            Sample(name, f"p{k}", k, "", labels={"content": GROUPS[codes[k]], "size": k / 2})
            for k, name in enumerate(ids)
        ]
        with open_writer(tmp_path / name, record) as writer:
            writer.commit(0, samples, columns)
            writer.seal(samples)
        return open_dataset(tmp_path / name)

    return make
