"""Recordings with planted truths."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

SITES = ("down.0", "mid", "up.0.attn", "up.1")
STEPS = 3


@dataclass
class PlantedRecording:
    """A data set in memory: noise everywhere but where ``arrays`` has something."""

    samples: pd.DataFrame
    labels: pd.DataFrame
    arrays: dict[tuple[str, int], NDArray[np.generic]] = field(default_factory=dict)
    width: int = 12
    uuid: str = "00000000-0000-0000-0000-000000000000"

    @property
    def sites(self) -> pd.DataFrame:
        depth = np.linspace(0, 1, len(SITES))
        return pd.DataFrame({"role": "block", "depth": depth}, index=pd.Index(SITES, name="site"))

    @property
    def steps(self) -> pd.DataFrame:
        return pd.DataFrame({"timestep": [900, 500, 100], "log_snr": [-4.0, 0.0, 4.0], "noise": [95.0, 50.0, 5.0]})

    def activations(self, site: str, *, step: int) -> NDArray[np.generic]:
        if (site, step) in self.arrays:
            return self.arrays[site, step]
        rng = np.random.default_rng([SITES.index(site), step])
        return rng.standard_normal((len(self.samples), self.width)).astype(np.float16)


def plant(codes: NDArray[np.int64], *, width: int, strength: float, seed: int) -> NDArray[np.float32]:
    """Noise (n, 2, width / 2) with a direction per class on top."""
    rng = np.random.default_rng(seed)
    means = strength * rng.standard_normal((int(codes.max()) + 1, width))
    values = rng.standard_normal((len(codes), width)) + means[codes]
    return values.reshape(len(codes), 2, width // 2).astype(np.float32)


def make_recording(n: int = 240, *, templates: int = 12, seed: int = 0) -> PlantedRecording:
    """``n`` samples with a seed each, prompts from ``templates`` templates, independent ``content`` and ``style``."""
    rng = np.random.default_rng(seed)
    template = np.arange(n) % templates
    content, style = rng.integers(3, size=n), rng.integers(4, size=n)
    labels = pd.DataFrame({"content": np.array(["cat", "dog", "owl"])[content], "style": style})
    samples = pd.DataFrame(
        {
            "prompt": [f"{t}: a {c} in style {s}" for t, c, s in zip(template, labels["content"], style, strict=True)],
            "seed": np.arange(n),
            "template": [f"template {t}" for t in template],
            "image": [f"images/{i}.png" for i in range(n)],
        },
        index=pd.Index([f"{i:016x}" for i in range(n)], name="id"),
    )
    labels.index = samples.index
    return PlantedRecording(pd.concat([samples, labels], axis=1), labels)


@pytest.fixture
def recording() -> PlantedRecording:
    """``content`` stands at site ``mid``, step 1, and nowhere else; ``style`` stands nowhere."""
    made = make_recording()
    codes = pd.factorize(made.labels["content"], sort=True)[0].astype(np.int64)
    made.arrays["mid", 1] = plant(codes, width=12, strength=1.5, seed=1)
    return made


@pytest.fixture(scope="session")
def new_recording() -> Callable[..., PlantedRecording]:
    return make_recording
