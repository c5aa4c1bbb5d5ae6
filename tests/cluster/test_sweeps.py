"""A sweep by several workers gives the table of a single process."""

import functools
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from outcrop.cluster.sweeps import probe_on
from outcrop.cluster.tasks import Cluster
from outcrop.data.dataset import Dataset, open_dataset
from outcrop.probes.cells import fit_missing
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.sweep import probe

SPEC = ProbeSpec(group_by=("seed",), folds=3, strengths=(0.1, 1.0), bootstraps=20, baselines=("norms",))


def test_the_table_is_the_same(cluster: Cluster, whole: Dataset, tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as expected_warnings:
        expected = probe(whole, spec=SPEC)
    done: list[tuple[int, int]] = []
    with warnings.catch_warnings(record=True) as found_warnings:
        table = probe_on(cluster, whole, spec=SPEC, progress=lambda *at: done.append(at), resume=tmp_path)
    cells = len(expected.frame) // 2  # of two properties
    assert done == [(number, cells) for number in range(1, cells + 1)]
    pd.testing.assert_frame_equal(table.frame, expected.frame, check_exact=True)
    for key, weights in expected.weights.items():
        np.testing.assert_array_equal(table.weights[key].coef, weights.coef)
    assert [str(own.message) for own in found_warnings] == [str(own.message) for own in expected_warnings]


def test_columns_larger_than_the_memory_are_read_by_rows_on_workers_too(cluster: Cluster, tall_folder: Path) -> None:
    ds, spec, memory = open_dataset(tall_folder), ProbeSpec(folds=3, controls=1, strengths=(0.1,)), 320_000
    by_rows = functools.partial(fit_missing, workers=1, memory=memory)
    expected = probe(ds, spec=spec, fitter=by_rows, memory=memory)
    table = probe_on(cluster, ds, spec=spec, memory=memory)
    pd.testing.assert_frame_equal(table.frame, expected.frame, check_exact=True)
    found = table.frame.set_index("site")["accuracy"]
    assert found["mid"] > 0.8
    assert found["late"] < 0.6
