"""What a split that leaks is worth: the same probe on the same rows, its folds dealt in three ways.

Every picture is there several times, once for each recorded step, and every prompt has several pictures. Rows dealt at
random put steps of one picture on both sides; pictures dealt whole put pictures of one prompt on both sides; prompts
dealt whole do neither. Beside a property of the pictures stand two that mean nothing: a label drawn for each picture,
and one drawn for each prompt. What a split lets a probe score on these, it lets it score on anything.

    outcrop capture benchmarks/leak.yaml --out runs/leak
    python benchmarks/leak.py runs/leak --out docs/figures/leak.png
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from outcrop.data.dataset import Dataset, open_dataset
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.sweep import probe
from outcrop.viz import style

SPLITS = {"row": "rows dealt at random", "picture": "whole pictures dealt", "prompt_id": "whole prompts dealt"}
LABELS = {
    "content": "content of the prompt",
    "per picture": "drawn for each picture",
    "per prompt": "drawn for each prompt",
}


@dataclass(frozen=True)
class StepsAsRows:
    """Each step of each sample as a row of its own; nothing is kept apart but what is asked for."""

    ds: Dataset
    seed: int = 0

    @property
    def uuid(self) -> str:
        return self.ds.uuid

    @property
    def sites(self) -> pd.DataFrame:
        return self.ds.sites

    @property
    def steps(self) -> pd.DataFrame:
        return self.ds.steps.iloc[:1]

    @property
    def samples(self) -> pd.DataFrame:
        count, steps = len(self.ds), len(self.ds.steps)
        prompts = pd.factorize(self.ds.samples["prompt"])[0]
        table = {"row": np.arange(count * steps), "picture": np.arange(count), "prompt_id": prompts}
        return pd.DataFrame({name: np.resize(values, count * steps) for name, values in table.items()})

    @property
    def labels(self) -> pd.DataFrame:
        rng, samples = np.random.default_rng(self.seed), self.samples
        content, classes = pd.factorize(self.ds.labels["content"])
        drawn = {name: rng.integers(len(classes), size=samples[name].max() + 1) for name in ("picture", "prompt_id")}
        return pd.DataFrame(
            {
                "content": np.resize(content, len(samples)),
                "per picture": drawn["picture"][samples["picture"]],
                "per prompt": drawn["prompt_id"][samples["prompt_id"]],
            }
        )

    def activations(self, site: str, *, step: int) -> NDArray[np.generic]:
        assert step == 0
        return np.concatenate([self.ds.activations(site, step=at) for at in self.ds.steps.index])


def measure(ds: Dataset, site: str) -> pd.DataFrame:
    """A row per label and split: accuracy with its interval over prompts."""
    rows = StepsAsRows(ds)
    parts = []
    for column in SPLITS:
        spec = ProbeSpec(sites=(site,), steps=(0,), group_by=(column,), controls=1, bootstraps=500)
        parts.append(probe(rows, spec=spec).frame.assign(split=column))
    return pd.concat(parts, ignore_index=True)


def draw(frame: pd.DataFrame, site: str) -> Figure:
    """Three groups of three bars, with chance as a line."""
    with style.figure_style():
        figure = Figure(figsize=(7.2, 3.5))
        axes: Axes = figure.add_axes((0.09, 0.2, 0.83, 0.6))
        colours = dict(zip(SPLITS, ("#D55E00", "#E69F00", "#0072B2"), strict=True))
        for place, (split, meaning) in enumerate(SPLITS.items()):
            own = frame[frame["split"] == split].set_index("property").loc[list(LABELS)]
            x = np.arange(len(LABELS)) + 0.27 * (place - 1)
            axes.bar(x, own["accuracy"], width=0.25, color=colours[split], label=meaning)
            reach = np.abs(own[["low", "high"]].to_numpy().T - own["accuracy"].to_numpy())
            axes.errorbar(x, own["accuracy"], yerr=reach, fmt="none", ecolor=style.INK, elinewidth=0.9)
            for at, value, top in zip(x, own["accuracy"], own["high"], strict=True):
                axes.text(at, top + 0.015, f"{value:.2f}", ha="center", va="bottom", fontsize=style.SMALL_SIZE)
        axes.axhline(frame["chance"].iloc[0], color=style.INK, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.text(2.53, frame["chance"].iloc[0], "chance", va="center", fontsize=style.SMALL_SIZE)
        axes.set_xticks(range(len(LABELS)), list(LABELS.values()), fontsize=style.TEXT_SIZE)
        axes.set_xlim(-0.5, 2.5)
        axes.set_ylim(0, 1.08)
        axes.set_ylabel("accuracy out of fold")
        figure.text(0.09, 0.93, "What a leaking split lets a probe score", fontsize=style.TITLE_SIZE, weight="bold")
        axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=3, handlelength=1, columnspacing=1.4)
        pictures = int(frame["n"].iloc[0])
        figure.text(
            0.09,
            0.04,
            f"{site}, {pictures} rows: all recorded steps of all pictures. Lines: 95 % intervals over what was dealt.",
            color=style.MUTED,
        )
        return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--site", default="up_blocks.2")
    parser.add_argument("--out", type=Path, default=Path("docs/figures/leak.png"))
    settings = parser.parse_args()
    frame = measure(open_dataset(settings.dataset), settings.site)
    table = frame.pivot_table(index="property", columns="split", values="accuracy").loc[list(LABELS), list(SPLITS)]
    print(table.round(3).to_string())
    draw(frame, settings.site).savefig(settings.out, dpi=200)


if __name__ == "__main__":
    main()
