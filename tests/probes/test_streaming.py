"""Probes of a column that is read by rows are those of the column in memory."""

import tracemalloc
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from outcrop.data.errors import InputError
from outcrop.probes.cells import fit_missing, share_memory
from outcrop.probes.degenerate import DegenerateWarning, FeatureCheck
from outcrop.probes.design import fit_rotation, rotated_designs, stack_designs
from outcrop.probes.lbfgs import Rule, minimise
from outcrop.probes.logistic import cross_validate
from outcrop.probes.permutation import permutation_hits, permuted_codes
from outcrop.probes.plan import make_plan
from outcrop.probes.problems import pose
from outcrop.probes.properties import encode
from outcrop.probes.row_stream import RowStream
from outcrop.probes.softmax import TaskStack
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.splits import make_splits
from outcrop.probes.streaming import StreamedFeatures, stream
from outcrop.probes.sweep import probe

N, D = 600, 48
MEMORY = 320_000
"""Less than three times the column in float32."""


@dataclass
class Planted:
    """``content`` stands at the site ``mid`` in both steps, weakly, and nowhere else."""

    width: int = D
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    uuid: str = "planted"

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        content = rng.integers(3, size=N)
        for name in ("mid", "late"):
            values = rng.standard_normal((N, self.width)) * np.arange(1, self.width + 1) ** -0.5 + 3
            values[:, 10:20] += (name == "mid") * 0.2 * rng.standard_normal((3, 10))[content]
            self.arrays[name] = values.astype(np.float16)
        self.labels = pd.DataFrame({"content": np.array(["cat", "dog", "owl"])[content]})
        prompts = [f"{k % 30}: a {name}" for k, name in enumerate(self.labels["content"])]
        self.samples = pd.DataFrame({"prompt": prompts, "seed": np.arange(N), "template": np.arange(N) % 30})
        self.samples.index = self.labels.index = pd.Index([f"{k:016x}" for k in range(N)], name="id")

    @property
    def sites(self) -> pd.DataFrame:
        return pd.DataFrame({"role": "block", "depth": [0.0, 1.0]}, index=pd.Index(["mid", "late"], name="site"))

    @property
    def steps(self) -> pd.DataFrame:
        return pd.DataFrame({"timestep": [900, 100], "noise": [95.0, 5.0]})

    def activations(self, site: str, *, step: int) -> np.ndarray:
        return self.arrays[site]

    def rows(self, site: str, step: int, rows: np.ndarray) -> np.ndarray:
        return self.arrays[site][rows]


def column(recording: Planted, *, memory: int = MEMORY) -> tuple[StreamedFeatures, np.ndarray]:
    return stream(recording, ["mid"], step=0, memory=memory), recording.arrays["mid"].astype(np.float32)


def halves() -> np.ndarray:
    return np.stack([np.arange(N) % 3 > 0, np.arange(N) < 500])


def test_products_are_those_with_standardised_and_rotated_rows() -> None:
    streamed, whole = column(Planted())
    rng, rows = np.random.default_rng(1), halves()
    rotations, designs = rotated_designs(streamed, rows)
    weights = rng.standard_normal((2, 3, D + 1)).astype(np.float32)
    values = (rng.standard_normal((2, 3, N)) * rows[:, None]).astype(np.float32)
    scores, gathered = designs.scores(weights), designs.gather(values)
    for f, rotation in enumerate(rotations):
        own = whole[rows[f]].astype(np.float64)
        np.testing.assert_allclose(rotation.mean, own.mean(0), rtol=1e-6)
        coordinates = np.concatenate([rotation.coordinates(whole.astype(np.float64)), np.ones((1, N))])
        np.testing.assert_allclose(scores[f], weights[f] @ coordinates, atol=1e-4)
        np.testing.assert_allclose(gathered[f], values[f] @ coordinates.T, atol=1e-3)
        np.testing.assert_allclose(rotation.basis.T @ rotation.basis, np.eye(D), atol=1e-5)
    np.testing.assert_allclose(designs.take(np.array([1])).scores(weights[1:]), scores[1:], atol=1e-4)


def test_the_minimum_is_that_of_the_same_objective() -> None:
    recording = Planted()
    tasks = TaskStack.of([encode(recording.labels["content"], name="content")])
    reached = []
    for features in column(recording):
        problems = pose(rotated_designs(features, halves())[1], tasks, strengths=np.full((2, 1), 0.01))
        found = minimise(problems, problems.start_at_frequencies(), rule=Rule(1e-5, certified=True))
        assert (found.gap <= 2e-5 * found.objective).all()
        reached.append(found.objective)
    np.testing.assert_allclose(reached[0], reached[1], rtol=2e-5)


def test_a_fold_alone_has_coordinates_without_covariance() -> None:
    streamed, whole = column(Planted())
    rows = halves()
    rotations, designs = rotated_designs(streamed, rows)
    alone, tested = designs.alone(1, stack_designs(streamed, rotations, ~rows))
    expected = fit_rotation(whole[rows[1]])
    np.testing.assert_allclose(alone.spectrum[0, :-1], expected.spectrum, atol=1e-5)
    assert (alone.used == rows[1]).all()
    assert (tested.used == ~rows[1]).all()


def test_permuted_labels_hit_as_often() -> None:
    recording = Planted()
    target = encode(recording.labels["content"], name="content")
    codes = permuted_codes(target, np.arange(N) % 2, np.arange(N), permutations=12, seed=0)
    hits = []
    for features in column(recording):
        rotations, designs = rotated_designs(features, halves())
        hits.append(permutation_hits(designs, stack_designs(features, rotations, ~halves()), target, codes))
    assert hits[0][0] > hits[0][1:].max()
    np.testing.assert_allclose(hits[0], hits[1], atol=1)


def test_a_sweep_by_rows_has_the_table_of_one_in_memory() -> None:
    """The planted property is found in its site and nowhere else; no score is further off than two samples."""
    spec = ProbeSpec(
        folds=3,
        controls=1,
        permutations=19,
        code_length=True,
        baselines=("norms",),
        given="late",
        strengths=(1e-3, 0.1),
    )
    whole, streamed = (probe(Planted(), spec=spec, memory=memory) for memory in (None, 3 * MEMORY // 2))
    one, other = whole.frame.set_index(["site", "step"]), streamed.frame.set_index(["site", "step"])
    assert list(one.columns) == list(other.columns)
    assert whole.provenance == streamed.provenance
    np.testing.assert_array_equal(one["strength"], other["strength"])
    for name in ("accuracy", "control", "macro_f1", "balanced_accuracy", "low", "high"):
        np.testing.assert_allclose(one[name], other[name], atol=2.1 / N, err_msg=name)
    for name in ("auroc", "log_loss", "code_length", "adds"):
        np.testing.assert_allclose(one[name], other[name], atol=5e-3, err_msg=name)
    np.testing.assert_allclose(one["p_value"], other["p_value"], atol=1 / 20)
    assert other.loc[("mid", 0), "accuracy"] > 0.6 > other.loc[("mid", 0), "control"]
    assert other.loc[("late", 0), "low"] < 1 / 3 + 0.05
    for name, weights in whole.weights.items():
        np.testing.assert_allclose(weights.coef, streamed.weights[name].coef, atol=5e-3 * np.abs(weights.coef).max())


def test_a_column_that_repeats_is_read_once_more_and_fitted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = {0: 0, 1: 0}
    parts = RowStream.parts

    def counted(self: RowStream, *most: int) -> object:
        passes[self.step] += 1
        return parts(self, *most)

    monkeypatch.setattr(RowStream, "parts", counted)
    recording = Planted()
    recording.arrays["mid"][:, 4] = 1
    with pytest.warns(DegenerateWarning, match="1 of 48 at site 'mid', step 0 and in 1 other"):
        table = probe(recording, spec=ProbeSpec(sites=("mid",), folds=3, controls=1, strengths=(1e-3,)), memory=MEMORY)
    assert passes[0] > 10 > passes[1] == 0
    assert table.frame["accuracy"].nunique() == 1


def test_memory_is_bounded_and_less_than_in_memory() -> None:
    rng, n = np.random.default_rng(0), 6000
    recording = Planted()
    recording.arrays["mid"] = rng.standard_normal((n, 128), np.float32).astype(np.float16)
    recording.samples = pd.DataFrame(index=[f"{k:016x}" for k in range(n)])
    target = encode(pd.Series(rng.integers(2, size=n)), name="y")
    splits = make_splits(
        pd.DataFrame({"template": np.arange(n) % 40}), [target], group_by=("template",), folds=3, seed=0
    )
    memory, peaks = 4 * 2**20, []
    for features in column(recording, memory=memory):
        options = {"strengths": (1e-4, 1e-2), "controls": [[target]]}
        tracemalloc.start()
        cross_validate(features, [target], splits, **options)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] < memory < peaks[1]


def test_with_too_little_memory_it_is_told_how_much_is_needed() -> None:
    with pytest.raises(InputError, match=r"600 samples x 48 features.* Give it 1 MB or more.*--reduction"):
        probe(Planted(), spec=ProbeSpec(folds=3), memory=100_000)


def test_more_features_than_samples_cannot_be_read_by_rows() -> None:
    with pytest.raises(InputError, match="by rows only where samples outnumber features"):
        probe(Planted(width=700), spec=ProbeSpec(folds=3), memory=MEMORY)


def test_nothing_is_fitted_before_the_last_site_is_looked_at() -> None:
    recording = Planted()
    recording.arrays["late"] = np.zeros((N, 700), np.float16)
    plan = make_plan(recording, ProbeSpec(folds=3, controls=1))
    fits = fit_missing(recording, plan, [0, 1, 2, 3], FeatureCheck(), workers=1, memory=MEMORY)
    with pytest.raises(InputError, match="'late'"):
        next(fits)


@pytest.mark.parametrize(("memory", "workers"), [(MEMORY, 1), (3 * MEMORY, 3), (10**9, 4)])
def test_there_are_as_many_workers_as_the_memory_does_for(memory: int, workers: int) -> None:
    recording = Planted()
    plan = make_plan(recording, ProbeSpec(folds=3, controls=1))
    assert share_memory(recording, plan, {"mid", "late"}, workers=4, memory=memory)[0] == workers


def test_memory_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(InputError, match="memory must be a number of bytes from 1 on"):
        probe(Planted(), memory=0)
    recording = Planted()
    whole = type("Whole", (), {name: getattr(recording, name) for name in ("sites", "steps", "samples", "labels")})()
    with pytest.raises(InputError, match="Got a Whole, which has no method `rows`"):
        probe(whole, memory=MEMORY)
