"""What a smaller way of keeping activations costs a probe: one byte a value, means, cells, random projections.

    python benchmarks/storage.py --out runs/storage

Full maps of the shipped UNet are captured once (goes on after a kill). Every way of keeping is made of them by the code
that a capture runs, int8 shard by shard, and probed with the same folds; the same pictures are compared, by a
bootstrap over wordings.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

import outcrop as oc
from outcrop.capture.reduction import Reduction
from outcrop.capture.run import capture
from outcrop.capture.spec import parse_spec, read_spec_fields
from outcrop.data.dataset import Dataset
from outcrop.data.int8 import channel_shape, decode, encode
from outcrop.probes.intervals import group_intervals

SITES = ["mid_block", "up_blocks.1", "up_blocks.2", "up_blocks.3"]
WAYS = ["full", "mean", "grid:4", "grid:2", "project:1024", "project:256", "project:64"]


@dataclass(frozen=True)
class Kept:
    """``ds``, whose full maps are kept in another way."""

    ds: Dataset
    reduction: str
    int8: bool

    def __getattr__(self, name: str) -> object:
        return getattr(self.ds, name)

    @property
    def uuid(self) -> str:
        return f"{self.ds.uuid}-{self.reduction}-{self.int8}"

    def activations(self, site: str, *, step: int) -> NDArray[np.generic]:
        full = torch.from_numpy(self.ds.activations(site, step=step).astype(np.float32))
        reduced = Reduction.parse(self.reduction).apply(full).numpy()
        if not self.int8:
            return reduced.astype(np.float16)
        shards = np.split(reduced, np.cumsum(self.ds.shard_lengths)[:-1])
        channels = channel_shape(reduced.shape[1:], "cond")
        return np.concatenate([decode(*encode(shard, channels)) for shard in shards])

    def sample_bytes(self) -> int:
        shapes = [self.activations(site, step=0).shape[1:] for site in self.ds.sites.index]
        values = sum(int(np.prod(shape)) for shape in shapes)
        scales = sum(8 * int(np.prod(channel_shape(shape, "cond"))) for shape in shapes) / self.ds.info.shard_samples
        return round(values + scales) if self.int8 else 2 * values


def captured(out: Path) -> Dataset:
    config = Path(str(oc.__path__[0])) / "zoo" / "demo.yaml"
    changes = {"sites": SITES, "record": 3, "reduction": "full", "images": False}
    return capture(parse_spec(read_spec_fields(config) | changes, where=str(config)), out)


def hits_of(kept: Kept, folder: Path) -> tuple[pd.DataFrame, NDArray[np.int8], NDArray[np.int64]]:
    """The table, right or wrong for each of its rows and each picture, and the groups."""
    folder = folder / kept.uuid.replace(":", "_")
    if not (folder / "probes.json").exists():
        oc.probe(kept, spec=oc.ProbeSpec(controls=1), resume=folder).save(folder)
    table = oc.ProbeTable.load(folder)
    assert table.outcomes is not None
    return table.frame, table.outcomes.right, table.outcomes.units[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/storage"))
    parser.add_argument("--ways", nargs="*", default=WAYS)
    arguments = parser.parse_args()
    ds = captured(arguments.out / "full").select(steps=[0, 2])
    found = {}
    print("kept | bytes | property | accuracy | less than full, float16: points, 95 % interval")
    for way in arguments.ways:
        for int8 in (False, True):
            kept = Kept(ds, way, int8)
            frame, right, groups = hits_of(kept, arguments.out)
            found[way, int8] = right
            for name in frame["property"].unique():
                rows = (frame["property"] == name).to_numpy()
                against = {"full": found["full", False], "float16": found[way, False]}
                text = f"{way}{', int8' if int8 else ''} | {kept.sample_bytes()} | {name} | {right[rows].mean():.3f}"
                for other, values in against.items():
                    apart = (right[rows].astype(float) - values[rows]).mean(0)
                    low, high = group_intervals(apart[None], [groups], confidence=0.95, bootstraps=2000, seed=0)
                    text += f" | {other}: {100 * apart.mean():+.2f} ({100 * low[0]:+.2f} to {100 * high[0]:+.2f})"
                print(text, flush=True)
    print(json.dumps({"samples": len(ds), "cells": len(ds.sites) * len(ds.steps)}))


if __name__ == "__main__":
    main()
