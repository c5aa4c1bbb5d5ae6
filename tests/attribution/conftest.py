"""Studies with planted truths (a picture's channels say which class of each property it shows), and tiny models."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from outcrop.attribution.outcomes import CellInfo, Outcomes, SiteInfo, StudyRecord
from outcrop.attribution.readouts import FloatArray, Images
from outcrop.attribution.study import StudySpec, parse_study

CLASSES = {"content": ("cat", "dog", "owl", "fox"), "style": ("ink", "oil", "pen"), "layout": ("up", "mid", "low")}
STEP = 40
"""Grey levels between two classes."""
SITES = ("down.0", "mid", "up.0", "up.1")

Codes: TypeAlias = NDArray[np.int64]
Follow: TypeAlias = Mapping[str, Mapping[str, float]]
"""Per site and property the share of pairs in which C takes the donor's class."""

MODULES = '''
import torch
from diffusers import AutoencoderKL
from torch import nn
from outcrop.capture.modules import ModuleSource

class Layer(nn.Module):
    """A layer of a style-based generator."""

    def __init__(self, width):
        super().__init__()
        self.conv, self.style = nn.Conv2d(width, width, 3, padding=1), nn.Linear(6, width)

    def forward(self, x, w):
        return (self.conv(x) * self.style(w)[..., None, None]).relu()

class Generator(nn.Module):
    """A mapping network, a style for every layer."""

    def __init__(self):
        super().__init__()
        self.mapping = nn.Sequential(nn.Linear(7, 6), nn.Tanh())
        self.constant = nn.Parameter(torch.randn(1, 8, 8, 8))
        self.layers = nn.ModuleList([Layer(8) for _ in range(3)])
        self.to_rgb = nn.Conv2d(8, 3, 1)

    def forward(self, z, prompts):
        told = torch.tensor([[float(len(prompt))] for prompt in prompts])
        w = self.mapping(torch.cat([z, told], dim=1))
        x = self.constant.expand(len(z), -1, -1, -1)
        for layer in self.layers:
            x = layer(x, w)
        return self.to_rgb(x).tanh()

def gan():
    torch.manual_seed(0)
    return ModuleSource(Generator(), latent=(6,), takes_prompts=True)

def decoder():
    torch.manual_seed(0)
    vae = AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=4)
    return ModuleSource(vae.decoder, latent=(4, 8, 8))

def zoo_gan():
    from outcrop.zoo.gan import LATENT, build_gan
    torch.manual_seed(0)
    return ModuleSource(build_gan(), latent=(LATENT,), takes_prompts=True)

def zoo_vae():
    from outcrop.zoo.vae import LATENT, build_vae
    torch.manual_seed(0)
    return ModuleSource(build_vae(), latent=(LATENT,), takes_prompts=True)

class Planted(nn.Module):
    """Branches side by side. The prompt enters in the branch `layers.2`, at steps 2 and 3 of six."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([Branch() for _ in range(4)])

    def forward(self, x, step, told):
        heard = told * (2 <= step <= 3)
        return sum(layer(x, w=heard if place == 2 else 0 * told) for place, layer in enumerate(self.layers))

class Branch(nn.Module):
    """It reads the first colour and writes what it is told into the others, so that nothing comes back."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Conv2d(3, 3, 1))

    def forward(self, x, w):
        return self.mix(x[:, :1]) + w[:, None, None, None] * torch.tensor([0.0, 1, 1])[:, None, None]

class Sampler(ModuleSource):
    one_step, timesteps = False, 6

    def count_timesteps(self, steps, **size):
        return 6

    def generate(self, samples, *, steps, guidance, **size):
        from outcrop.capture.modules import to_pixels
        x = torch.stack([self._draw(sample.seed) for sample in samples])
        told = torch.tensor([0.02 * len(sample.prompt) for sample in samples])
        with torch.no_grad():
            for step in range(6):
                x = 0.8 * x + 0.2 * self.denoiser(x, step, told)
        self.image_shape = (4, 4, 3)
        return to_pixels(x)

def planted():
    torch.manual_seed(0)
    return Sampler(Planted(), latent=(3, 4, 4), takes_prompts=True)
'''
PLANTED = Path(__file__).with_name("planted_models.py")
FAMILIES = {"unet": "sd", "mmdit": "sd3", "flux": "flux", "dit": "pixart"}
PIPELINES = FAMILIES | {"sdxl": "sdxl"}
UNTOLD = {"decoder", "zoo_vae"}
"""Models in which the prompt settles nothing (the untrained prior is flat): their pairs differ in the seed."""
SIZE = {"height": 16, "width": 16}
TEXTS = ("a flat disc", "a neon star", "a dotted ring")


class ChannelReader:
    """Reads the planted classes: content off red, style off green, layout off blue, with certainty ``sure``."""

    classes = CLASSES

    def __init__(self, sure: float = 0.98) -> None:
        self.sure = sure

    def probabilities(self, images: Images) -> dict[str, FloatArray]:
        result = {}
        for channel, (name, names) in enumerate(CLASSES.items()):
            code = np.rint(images[..., channel].mean((1, 2)) / STEP).astype(int)
            wrong = (1 - self.sure) / (len(names) - 1)
            result[name] = np.where(code[:, None] == np.arange(len(names)), self.sure, wrong)
        return result


def paint_codes(codes: Codes) -> Images:
    """Pictures (..., 2, 2, 3) of class codes (..., property)."""
    return np.broadcast_to((STEP * codes)[..., None, None, :], (*codes.shape[:-1], 2, 2, 3)).astype(np.uint8)


def make_outcomes(
    follow: Follow, *, n: int = 60, seed: int = 0, cells: tuple[CellInfo, ...] | None = None, stray: float = 0.0
) -> Outcomes:
    """One cell per site of ``follow`` (or ``cells``, of which a control follows nothing).

    Donors and receivers differ in every property. ``stray``: share of pictures whose properties are drawn anew.
    """
    rng = np.random.default_rng(seed)
    sizes = np.array([len(names) for names in CLASSES.values()])
    receivers = rng.integers(sizes, size=(n, 3))
    donors = (receivers + rng.integers(1, sizes, size=(n, 3))) % sizes
    made_of = cells or tuple(CellInfo(intervention="patch", site=site, window="0-9") for site in follow)
    made = []
    for cell in made_of:
        chances = follow.get(cell.site, {}) if cell.control == "none" else {}
        chance = np.array([chances.get(name, 0.0) for name in CLASSES])
        codes = np.where(rng.random((n, 3)) < chance, donors, receivers)
        made.append(np.where(rng.random((n, 3)) < stray, rng.integers(sizes, size=(n, 3)), codes))
    pairs = {"a_prompt": "a", "b_prompt": "b", "a_seed": np.arange(n), "b_seed": np.arange(n)}
    for side, codes in (("a", donors), ("b", receivers)):
        for number, (name, names) in enumerate(CLASSES.items()):
            pairs[f"{side}_{name}"] = np.array(names)[codes[:, number]]
    table = pd.DataFrame(pairs, index=pd.Index(np.arange(n), name="pair"))
    depth = np.linspace(0, 1, len(SITES))
    sites = tuple(
        SiteInfo(name=name, role="block", depth=float(at), stream="image", shape=(4,))
        for name, at in zip(SITES, depth, strict=True)
    )
    record = StudyRecord(model="planted", steps=10, sites=sites, cells=made_of)
    return Outcomes(record, table, paint_codes(np.concatenate(made)), paint_codes(donors), paint_codes(receivers))


@pytest.fixture
def new_outcomes() -> Callable[..., Outcomes]:
    return make_outcomes


@pytest.fixture
def reader() -> ChannelReader:
    return ChannelReader()


def tiny_pipelines() -> Any:
    """The makers of the capture's tests."""
    path = Path(__file__).parents[1] / "capture" / "test_pipelines.py"
    found = importlib.util.spec_from_file_location("tiny_pipelines", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def model_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The name of the tiny model of a family; its weights are large enough for every site to matter.

    ``planted_FAMILY`` is that of ``planted_models.py``.
    """
    folder = tmp_path_factory.mktemp("models")
    (folder / "modules.py").write_text(MODULES)
    (folder / PLANTED.name).write_text(PLANTED.read_text())

    def name_of(family: str) -> str:
        if family.startswith("planted_"):
            told = family.removeprefix("planted_")
            if told in PIPELINES:
                name_of(told)
            return f"python:{folder / PLANTED.name}:{told}"
        if family not in PIPELINES:
            return f"python:{folder / 'modules.py'}:{family}"
        if not (folder / family).exists():
            torch.manual_seed(0)
            pipeline = tiny_pipelines().MAKERS[PIPELINES[family]]()
            for part in pipeline.components.values():
                for parameter in part.parameters() if isinstance(part, nn.Module) else ():
                    nn.init.normal_(parameter, std=0.2)
            pipeline.save_pretrained(folder / family)
        return str(folder / family)

    return name_of


@pytest.fixture(scope="session")
def new_study(model_of: Callable[[str], str]) -> Callable[..., StudySpec]:
    """Pairs of prompts with one seed (of seeds, for the decoder) at three steps."""

    def make(family: str, cells: Sequence[Any], *, same: bool = False, **changes: Any) -> StudySpec:
        pairs = []
        for k, text in enumerate(TEXTS):
            other = TEXTS[(k + 1) % len(TEXTS)] if not same else text
            seed = 10 + k if family not in UNTOLD or same else 20 + k
            pairs.append(
                {
                    "donor": {"prompt": other + "s", "seed": seed},
                    "receiver": {"prompt": text + "s" * same, "seed": 10 + k},
                }
            )
        fields = {"model": model_of(family), "cells": list(cells), "pairs": pairs, "steps": 3, "guidance": 3.0}
        sized = SIZE if family in PIPELINES else {}
        return parse_study(fields | {"batch": 16} | sized | changes, where="the test")

    return make
