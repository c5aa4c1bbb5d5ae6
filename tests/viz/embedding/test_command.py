"""``outcrop atlas``."""

import json
from collections.abc import Callable
from pathlib import Path

from outcrop.data.dataset import Dataset

Planted = Callable[..., Dataset]
Run = Callable[..., tuple[int, str, str]]


def test_a_figure_is_drawn_and_its_panels_are_kept(planted: Planted, run: Run, tmp_path: Path) -> None:
    ds, out = planted(), tmp_path / "atlas.svg"
    given = ("atlas", ds.path, "--property", "content", "--method", "pca", "--step", 1, "--out", out)
    code, told, _ = run(*given)
    assert code == 0
    assert told.startswith(f"{out}: 3 of 3 sites, 1 of 2 steps, 60 of 60 samples")
    assert out.read_bytes().startswith(b"<?xml")
    assert len(list((ds.path / "atlas").iterdir())) == 3
    code, told, _ = run(*given, "--json")
    facts = json.loads(told)
    assert (code, facts["files"], facts["samples"], len(facts["panels"])) == (0, [str(out)], 60, 3)
    assert all(0.5 < panel["trustworthiness"] <= 1 for panel in facts["panels"])


def test_without_a_property_every_label_has_its_file(planted: Planted, run: Run, tmp_path: Path) -> None:
    code, _, _ = run("atlas", planted().path, "--method", "pca", "--site", "mid*", "--out", tmp_path / "a.png")
    assert code == 0
    assert {path.name for path in tmp_path.glob("*.png")} == {"a-content.png", "a-size.png"}


def test_what_cannot_be_drawn_is_refused_before_anything_is_computed(
    planted: Planted, run: Run, tmp_path: Path
) -> None:
    ds = planted()
    for wrong, message in (
        (("--property", "contents", "--out", tmp_path / "a.png"), "Did you mean 'content'"),
        (("--out", tmp_path / "a.tiff"), "ends in .png, .svg or .pdf"),
        (("--out", tmp_path / "mistyped" / "a.png"), "There is no folder"),
        (("--neighbours", 40, "--out", tmp_path / "a.png"), "more than 80 samples"),
        (("--site", "mid_blok", "--out", tmp_path / "a.png"), "Did you mean 'mid_block'"),
    ):
        code, _, told = run("atlas", ds.path, "--method", "pca", *wrong)
        assert code == 1
        assert message in told
    assert not (tmp_path / "mistyped").exists()
    assert not (ds.path / "atlas").exists()
