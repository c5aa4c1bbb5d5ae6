"""A study by several workers has the pictures of a single process."""

import os
from pathlib import Path

import numpy as np
import pytest

from outcrop.attribution.parts import PartStore
from outcrop.attribution.prepare import prepare_study
from outcrop.attribution.run import Runner, run_study
from outcrop.attribution.study import StudySpec, parse_study
from outcrop.capture.spec import CaptureSpec
from outcrop.cluster import studies
from outcrop.cluster.studies import attribute_on
from outcrop.cluster.tasks import Cluster
from outcrop.data.errors import ClusterError, ConflictError, InputError
from outcrop.data.locks import locked

HEAVY = "OUTCROP_CLUSTER" in os.environ


@pytest.fixture(scope="module")
def study(spec: CaptureSpec) -> StudySpec:
    sides = [{"prompt": f"a {name}", "seed": seed} for seed, name in enumerate(["disc", "star"] * 5)]
    fields = {
        "model": spec.model,
        "pairs": [{"donor": one, "receiver": other} for one, other in zip(sides[::2], sides[1::2], strict=True)],
        "cells": [
            {"intervention": {"kind": "activation-patch", "sites": ["all"]}},
            {"intervention": {"kind": "ablation", "sites": ["all"], "value": "zero"}},
        ],
        "batch": 4,
    }
    return parse_study(fields, where="the test")


@pytest.mark.parametrize(
    "deadly", [False, pytest.param(True, marks=pytest.mark.skipif(not HEAVY, reason="make test-cluster runs it"))]
)
def test_the_pictures_are_the_same(
    tmp_path: Path, study: StudySpec, cluster: Cluster, model_folder: Path, deadly: bool
) -> None:
    whole = run_study(study, tmp_path / "whole")
    if deadly:
        (model_folder / "deadly").write_text("3")
    told: list[tuple[int, int]] = []
    outcomes = attribute_on(cluster, study, tmp_path / "study", progress=lambda *at: told.append(at))
    assert not (model_folder / "deadly").exists()
    assert len(told) > 2
    assert told[0][0] == 0
    assert told[-1] == (20, 20)
    for name in ("images.npy", "donors.npy", "receivers.npy", "outcomes.json", "outcomes.parquet", "pairs.parquet"):
        assert (tmp_path / "study" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    np.testing.assert_array_equal(outcomes.images, whole.images)
    assert not (tmp_path / "study" / "parts").exists()


def test_what_a_worker_raises_is_raised_here(tmp_path: Path, study: StudySpec, cluster: Cluster) -> None:
    wrong = parse_study(
        study.model_dump() | {"cells": [{"intervention": {"kind": "activation-patch", "sites": ["nothing"]}}]}, where=""
    )
    with pytest.raises(InputError, match="nothing"):
        attribute_on(cluster, wrong, tmp_path / "study")
    assert not (tmp_path / "study").exists()
    with locked(tmp_path), pytest.raises(ConflictError, match="Another process is writing"):
        attribute_on(cluster, study, tmp_path)


def test_a_worker_that_sees_another_folder_says_so(tmp_path: Path, study: StudySpec) -> None:
    runner = Runner(prepare_study(study), PartStore(tmp_path))
    with pytest.raises(ClusterError, match="another folder for a worker"):
        studies._make_group(runner, runner.groups[0], folder=tmp_path / "elsewhere")
