from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.manifold import trustworthiness
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import StandardScaler

from outcrop.data.dataset import Dataset
from outcrop.data.errors import DataError, InputError
from outcrop.viz.embedding import Atlas, AtlasSpec, atlas

Planted = Callable[..., Dataset]


def centres(made: Atlas, site: str, step: int) -> np.ndarray:
    content = made.property_values("content").to_numpy()
    return np.stack([made.at(site, step)[content == name].mean(0) for name in ("disc", "ring", "star")])


def separation(made: Atlas) -> float:
    """The least silhouette of the planted groups in any panel."""
    content = made.property_values("content")
    return min(float(silhouette_score(made.at(site, step), content)) for site in made.sites for step in made.steps)


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_groups_are_apart_and_stay_in_their_place(planted: Planted, method: str) -> None:
    made = atlas(planted(), AtlasSpec(method=method, neighbours=10))  # type: ignore[arg-type]
    assert made.coordinates.shape == (3, 2, 60, 2)
    assert separation(made) > 0.6
    first = centres(made, made.sites[0], 0)
    apart = np.linalg.norm(first[0] - first[1])
    for site in made.sites:
        for step in made.steps:
            assert np.linalg.norm(centres(made, site, step) - first, axis=1).max() < 0.35 * apart


@pytest.mark.slow  # umap-learn compiles for twenty seconds
def test_umap_finds_the_groups_and_gives_the_same_bytes_again(planted: Planted, tmp_path: Path) -> None:
    pytest.importorskip("umap")
    ds = planted(90)
    spec = AtlasSpec(sites=("mid_block", "up_blocks.0"), steps=(0,), neighbours=10)
    made = atlas(ds, spec)
    assert separation(made) > 0.6
    before, after = centres(made, "mid_block", 0), centres(made, "up_blocks.0", 0)
    apart = np.linalg.norm(after[:, None] - before[None], axis=2)
    assert list(apart.argmin(axis=1)) == [0, 1, 2]  # each group is nearest to itself in the panel above
    alone = atlas(ds, AtlasSpec(sites=("up_blocks.0",), steps=(0,), neighbours=10))
    moved = [float(np.square(one.at("up_blocks.0", 0) - made.at("mid_block", 0)).sum()) for one in (made, alone)]
    assert moved[0] < moved[1]
    assert atlas(ds, spec, cache=tmp_path / "other").coordinates.tobytes() == made.coordinates.tobytes()


def test_trustworthiness_is_scikit_learn_s(planted: Planted) -> None:
    ds = planted()
    made = atlas(ds, AtlasSpec(method="pca", neighbours=7))
    features = StandardScaler().fit_transform(ds.activations("mid_block", step=1).astype(np.float64))
    expected = trustworthiness(features, made.at("mid_block", 1), n_neighbors=7)
    assert np.isclose(made.trustworthiness[1, made.axis.column(1)], expected)


def test_a_second_call_computes_nothing(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    ds = planted()
    made = atlas(ds, AtlasSpec(method="pca"))
    files = sorted((ds.path / "atlas").iterdir())
    assert len(files) == 6
    monkeypatch.setattr("outcrop.viz.embedding.run.feature_matrix", None)  # whoever reads now, fails
    again = atlas(ds, AtlasSpec(method="pca"))
    assert again.coordinates.tobytes() == made.coordinates.tobytes()
    assert (again.trustworthiness == made.trustworthiness).all()


@pytest.mark.parametrize("damage", [b"", b"no safetensors at all"])
def test_a_damaged_panel_is_made_again(planted: Planted, damage: bytes) -> None:
    ds = planted()
    made = atlas(ds, AtlasSpec(method="pca"))
    file = min((ds.path / "atlas").iterdir())
    whole = file.read_bytes()
    file.write_bytes(damage)
    assert atlas(ds, AtlasSpec(method="pca")).coordinates.tobytes() == made.coordinates.tobytes()
    assert file.read_bytes() == whole


def test_other_settings_samples_and_data_sets_are_other_panels(planted: Planted, tmp_path: Path) -> None:
    ds, other, cache = planted(), planted(name="other"), tmp_path / "cache"
    for spec in (AtlasSpec(method="pca"), AtlasSpec(method="pca", neighbours=9), AtlasSpec(method="pca", seed=1)):
        atlas(ds, spec, cache=cache)
    atlas(other, AtlasSpec(method="pca"), cache=cache)
    atlas(ds.select(where="size > 4"), AtlasSpec(method="pca"), cache=cache)
    assert len(list(cache.iterdir())) == 5 * 6


def test_a_site_that_tells_nothing_apart_is_passed_over(planted: Planted) -> None:
    made = atlas(planted(still="mid_block"), AtlasSpec(method="pca"))
    assert np.isnan(made.trustworthiness[1]).all()
    assert not made.at("mid_block", 0).any()
    assert np.linalg.norm(centres(made, "down_blocks.0", 1) - centres(made, "up_blocks.0", 1), axis=1).max() < 0.5


def test_of_many_samples_the_same_part_is_drawn_at_every_site(planted: Planted) -> None:
    ds = planted()
    spec = AtlasSpec(method="pca", neighbours=5, max_samples=40)
    made = atlas(ds, spec)
    assert made.coordinates.shape[2] == len(made.sample_ids) == 40
    assert list(made.labels["content"]) == list(ds.labels.loc[list(made.sample_ids), "content"])
    assert made.sample_ids == atlas(ds, spec).sample_ids
    assert made.sample_ids != atlas(ds, AtlasSpec(method="pca", neighbours=5, max_samples=40, seed=1)).sample_ids


def test_what_cannot_be_laid_out_is_refused(planted: Planted) -> None:
    ds = planted(broken="mid_block")
    with pytest.raises(InputError, match=r"Did you mean 'up_blocks\.0'"):
        atlas(ds, AtlasSpec(sites=("up_block.0",)))
    with pytest.raises(InputError, match=r"step must be one of 0 to 1. Got 7"):
        atlas(ds, AtlasSpec(steps=(7,)))
    with pytest.raises(InputError, match=r"30 neighbours needs more than 60 samples.*has 60"):
        atlas(ds, AtlasSpec(neighbours=30))
    with pytest.raises(DataError, match=r"'mid_block' at step 1 are NaN or infinite in 1 of 60"):
        atlas(ds, AtlasSpec(method="pca"))
    made = atlas(ds, AtlasSpec(method="pca", sites=("up*",)))
    with pytest.raises(InputError, match="Did you mean 'content'"):
        made.property_values("contents")
    with pytest.raises(InputError, match=r"no site 'mid_block'.*'up_blocks.0'"):
        made.at("mid_block", 0)
    with pytest.raises(InputError, match=r"no step 4\. It has 0, 1"):
        made.at("up_blocks.0", 4)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"method": "umpa"}, "one of umap, pca, tsne"),
        ({"sites": "mid_block"}, r"write \('mid_block',\)"),
        ({"steps": ()}, "at least one"),
        ({"neighbours": 1}, "at least 2"),
        ({"components": 1}, "at least 2"),
        ({"min_distance": 2.0}, "between 0 and 1"),
        ({"max_samples": 30}, "more than twice the 15"),
        ({"seed": -1}, "not be negative"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        AtlasSpec(**wrong)  # type: ignore[arg-type]
