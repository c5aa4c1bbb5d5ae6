"""A model in a file of its own, which workers can read, and two workers that all tests share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from outcrop.capture.run import capture
from outcrop.capture.spec import CaptureSpec, parse_spec
from outcrop.cluster.schedulers import open_cluster
from outcrop.cluster.tasks import Cluster
from outcrop.data.dataset import Dataset

MODEL = """
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from outcrop.capture.modules import ModuleSource

HERE = Path(__file__).parent


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, 48), nn.Tanh())
        self.calls = 0

    def forward(self, latents):
        with (HERE / "calls").open("a") as log:  # a line is written at once
            log.write(f"{os.getpid()}\\n")
        self.calls += 1
        if self.calls == 2 and (HERE / "together").exists():
            (HERE / f"together-{os.getpid()}").touch()
            while len([*HERE.glob("together-*")]) < 2:
                time.sleep(0.05)
        deadly = HERE / "deadly"
        with suppress(FileNotFoundError):  # or another process was faster
            if self.calls % 2 and deadly.exists() and self.calls >= int(deadly.read_text() or 5):
                deadly.unlink()  # one dry pass, then two batches a shard: this is in the midst of one
                os.kill(os.getpid(), signal.SIGKILL)
        if self.calls == 3 and (HERE / "cut").exists():  # in the midst of its first shard
            wire = (HERE / "cut").read_text()
            if subprocess.run(["ip", "link", "set", wire, "down"], capture_output=True).returncode == 0:
                (HERE / "cut").unlink()
        return self.layers(latents).unflatten(1, (3, 4, 4))


def source():
    torch.manual_seed(0)
    return ModuleSource(Generator(), latent=(4,))
"""
BATCH, SHARD = 2, 4
FACTORS = {"content": ["disc", "star"], "style": ["flat", "neon"]}
TEMPLATES = ["a {style} {content}", "the {content}, {style}", "{content} in {style}"]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the model lies, and what may be told it there by files.

    ``deadly``: a process that finds it ends, at its fifth call or the one that stands in it. ``cut``: one on the host
    whose network device it names takes that down. ``together``: the first two processes wait for each other, so that
    none does all of the work. ``calls`` lists who ran the model.
    """
    folder = tmp_path_factory.mktemp("model")
    (folder / "model.py").write_text(MODEL)
    return folder


@pytest.fixture(scope="session")
def spec(model_folder: Path) -> CaptureSpec:
    fields = {
        "model": f"python:{model_folder / 'model.py'}:source",
        "prompts": {"factors": FACTORS, "templates": TEMPLATES},
        "seeds": {"per_prompt": 2},
        "sites": ["all"],
        "steps": 1,
        "batch": BATCH,
        "shard_samples": SHARD,
    }
    return parse_spec(fields, where="the test")


@pytest.fixture(scope="session")
def whole(spec: CaptureSpec, model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The capture of ``spec`` by a single process."""
    return capture(spec, tmp_path_factory.mktemp("whole") / "ds")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Two processes of this machine."""
    with open_cluster("local", workers=2) as opened:
        yield opened


@pytest.fixture
def calls(model_folder: Path) -> Callable[[], list[str]]:
    """The processes that have run the model since the last question, once for each time."""

    def read() -> list[str]:
        log = model_folder / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    return read
