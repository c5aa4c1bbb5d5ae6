"""Synthetic probe frames with a planted shape, realistic site names, and a small data set in memory."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from outcrop.viz.exhibit import Exhibit
    from outcrop.viz.server import ViewServer

HOSTILE = '<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1"> {style} {content}'
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
CLASSES = {"content": 8, "style": 6, "layout": 9}
PEAKS = {"content": (0.5, 0.4), "style": (0.75, 0.65), "layout": (0.15, 0.85)}  # depth, noise / 100


def unet_sites(*, down: int = 3, inner: Sequence[str] = (), attentions: int = 1, upper: int = 2) -> tuple[str, ...]:
    """Module paths of a UNet in execution order: blocks only, or resnets and attentions with ``inner`` modules."""
    if not attentions:
        return tuple(
            [f"down_blocks.{i}" for i in range(down)] + ["mid_block"] + [f"up_blocks.{i}" for i in range(down)]
        )
    sites: list[str] = []
    parts = [(f"down_blocks.{i}", attentions) for i in range(down)]
    parts += [("mid_block", 1)] + [(f"up_blocks.{i}", upper) for i in range(down)]
    for block, count in parts:
        for i in range(count):
            sites += [f"{block}.resnets.{i}", f"{block}.attentions.{i}"]
            sites += [f"{block}.attentions.{i}.transformer_blocks.0.{name}" for name in inner]
    return tuple(sites)


def probe_frame(
    sites: Sequence[str], *, steps: int = 8, properties: Sequence[str] = ("content", "style", "layout"), seed: int = 0
) -> pd.DataFrame:
    """A probe table: accuracy falls off smoothly from a planted peak (depth, noise); see ``PEAKS``."""
    rng = np.random.default_rng(seed)
    rows = []
    for name in properties:
        classes = CLASSES.get(name, 4)
        chance = 1 / classes
        depth_peak, noise_peak = PEAKS.get(name, (0.5, 0.5))
        for order, site in enumerate(sites):
            depth = order / max(1, len(sites) - 1)
            for step in range(steps):
                noise = 100 * (1 - step / steps)
                closeness = np.exp(-(((depth - depth_peak) / 0.3) ** 2) - ((noise / 100 - noise_peak) / 0.35) ** 2)
                accuracy = float(np.clip(chance + (0.98 - chance) * closeness + rng.normal(0, 0.015), 0, 1))
                half = 0.02 + 0.05 * (1 - closeness)
                control = float(chance + abs(rng.normal(0, 0.02)))
                rows.append(
                    {
                        "property": name, "site": site, "step": step, "timestep": int(10 * noise) - 1, "noise": noise,
                        "depth": depth, "role": _role(site), "order": order, "n": 480, "classes": classes, "groups": 60,
                        "group_by": "template x seed", "accuracy": accuracy, "low": max(0, accuracy - half),
                        "high": min(1, accuracy + half), "balanced_accuracy": accuracy - 0.01, "chance": chance,
                        "majority": chance + 0.03, "control": control, "selectivity": accuracy - control,
                        "selectivity_low": accuracy - control - half, "selectivity_high": accuracy - control + half,
                        "p_value": 0.001 if closeness > 0.1 else 0.6, "strength": 0.1, "features": 96,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def _role(site: str) -> str:
    endings = {"attn1": "self-attention", "attn2": "cross-attention", "ff": "feed-forward"}
    parts = site.split(".")
    if parts[-1] in endings:
        return endings[parts[-1]]
    return "resnet" if "resnets" in parts else "attention" if "attentions" in parts else "block"


SITE_SETS = {
    7: unet_sites(attentions=0),
    22: (*unet_sites(down=3, attentions=1, upper=2), "conv_norm_out", "conv_out"),
    140: unet_sites(down=4, inner=("attn1", "attn2", "ff"), attentions=3, upper=4)[:140],
}


@dataclass(frozen=True)
class Info:
    """Who made the data set."""

    model: str = "outcrop:unet"
    spec: dict[str, object] = field(default_factory=dict)
    provenance: dict[str, object] = field(
        default_factory=lambda: {"versions": {"torch": "2.13.0", "diffusers": "0.42.0"}, "weights": "sha256:1f0c"}
    )


@dataclass(frozen=True)
class MemoryDataset:
    """A data set in memory: flat colour images, one per sample."""

    samples: pd.DataFrame
    label_names: tuple[str, ...] = ("content", "style", "layout")
    info: Info = field(default_factory=Info)
    uuid: str = "0f9d9c1e-3c7b-4f0e-9a51-5f2c3d1b7a11"

    @property
    def labels(self) -> pd.DataFrame:
        return self.samples[list(self.label_names)]

    def images(self, ids: Sequence[str] | None = None) -> list[Image.Image]:
        places = range(len(self.samples)) if ids is None else self.samples.index.get_indexer(list(ids))
        return [Image.new("RGB", (64, 64), (37 * i % 255, 90, 255 - 53 * i % 255)) for i in map(int, places)]


@dataclass(frozen=True)
class RecordedDataset(MemoryDataset):
    """With activations, in which the styles are far apart."""

    def rows(self, site: str, step: int, rows: np.ndarray | None) -> np.ndarray:
        styles = np.unique(self.labels["style"], return_inverse=True)[1]
        values = np.random.default_rng(step).normal(size=(len(self.samples), 5)) + 8 * np.eye(5)[styles]
        return np.asarray(values if rows is None else values[rows])


def memory_dataset(
    count: int = 40, *, prompt: str = "a {style} {content} {layout}", recorded: bool = False
) -> MemoryDataset:
    """Samples with cycling labels; ``prompt`` may use the names of the labels."""
    words = {
        "content": ("disc", "square", "star", "ring"),
        "style": ("flat", "dotted", "neon"),
        "layout": ("top left", "centre"),
    }
    rows = []
    for i in range(count):
        chosen = {name: values[i % len(values)] for name, values in words.items()}
        rows.append(
            {"prompt": prompt.format(**chosen), "seed": 1000 + i, "template": "0", "image": f"i/{i}.png", **chosen}
        )
    made = RecordedDataset if recorded else MemoryDataset
    return made(pd.DataFrame(rows, index=[f"{i:016x}" for i in range(count)]))


@dataclass(frozen=True)
class MemoryEffects:
    """A table of effects in memory."""

    frame: pd.DataFrame
    provenance: dict[str, object]


@dataclass(frozen=True)
class MemoryStudy:
    """Two pairs; pictures A are red, B blue, and those of cell k are green, 20 k of it."""

    pairs: pd.DataFrame

    @property
    def donors(self) -> np.ndarray:
        return np.full((2, 64, 64, 3), (255, 0, 0), dtype=np.uint8)

    @property
    def receivers(self) -> np.ndarray:
        return np.full((2, 64, 64, 3), (0, 0, 255), dtype=np.uint8)

    def cell_images(self, cell: int) -> np.ndarray:
        return np.full((2, 64, 64, 3), (0, min(20 * cell, 255), 0), dtype=np.uint8)


def memory_effects(sites: Sequence[str]) -> tuple[MemoryEffects, MemoryStudy]:
    """Two windows at every site; style is caused at the last but one site in the first window, content nowhere."""
    shared = {"intervention": "activation-patch", "dose": np.nan, "half": "both", "control": "none", "n": 30}
    rows = []
    for name in ("content", "style"):
        for cell, (site, window) in enumerate((site, window) for site in sites for window in ("0-3", "4-7")):
            effect = 0.9 if name == "style" and site == sites[-2] and window == "0-3" else 0.01
            found = {"effect": effect, "low": effect - 0.05, "high": effect + 0.05}
            found["q_value"] = 0.001 if effect > 0.5 else 0.8
            rows.append({"property": name, "cell": cell, "site": site, "window": window, **shared, **found})
    made = {"confidence": 0.95, "guidance": 3.0, "model": "outcrop:unet", "pairs": 40, "resamples": 2000, "steps": 8}
    pairs = pd.DataFrame({"a_prompt": ["a red disc"] * 2, "b_prompt": ["a blue star"] * 2})
    return MemoryEffects(pd.DataFrame(rows), made | {"tested": "signs of whole pairs flipped"}), MemoryStudy(pairs)


@pytest.fixture(scope="session")
def exhibit() -> "Exhibit":
    """Seven sites, four steps, 24 images, of which each probe names two in three, with activations and effects.

    It is drawn once for all tests that show it; its prompts would be a script, were they not escaped.
    """
    from outcrop.viz.exhibit import Exhibit

    frame = probe_frame(SITE_SETS[7], steps=4)
    right = (np.arange(24)[None] % 3 > 0).astype(np.int8).repeat(len(frame), axis=0)
    outcomes = SimpleNamespace(right=right)
    table = SimpleNamespace(frame=frame, outcomes=outcomes, provenance={"spec": {"confidence": 0.95}})
    return Exhibit(memory_dataset(24, prompt=HOSTILE, recorded=True), table, *memory_effects(SITE_SETS[7]))


@pytest.fixture(scope="session")
def make_effects() -> Callable[..., tuple[MemoryEffects, MemoryStudy]]:
    return memory_effects


@pytest.fixture(scope="session")
def make_frame() -> Callable[..., pd.DataFrame]:
    return probe_frame


@pytest.fixture(scope="session")
def make_dataset() -> Callable[..., MemoryDataset]:
    return memory_dataset


@pytest.fixture(scope="session")
def site_sets() -> dict[int, tuple[str, ...]]:
    return SITE_SETS


@pytest.fixture
def frame() -> pd.DataFrame:
    """22 sites, 8 steps, three properties."""
    return probe_frame(SITE_SETS[22])


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Chromium without a window. Tests that ask for it are skipped where there is none."""
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no browser on the PATH ({', '.join(CHROMIUM)}); on Debian: apt install chromium")
    from playwright.sync_api import sync_playwright

    arguments = ["--disable-gpu"] + ["--no-sandbox"] * (os.geteuid() == 0)  # root has no sandbox
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=arguments, timeout=180_000)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def server(exhibit: "Exhibit") -> "Iterator[ViewServer]":
    """`outcrop view` of the exhibit, on a port of its own."""
    from outcrop.viz.server import ViewServer

    with ViewServer([exhibit]) as opened:
        thread = Thread(target=opened.serve_forever)
        thread.start()
        yield opened
        opened.shutdown()
        thread.join()
