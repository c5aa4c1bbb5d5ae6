"""The same command on tiny models of the classes of SD 1.5, SDXL, SD3 and Flux, and on one-step models."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from outcrop.attribution.recipes.heads import rank_heads
from outcrop.attribution.recipes.registry import CARDS, RECIPES
from outcrop.cli_recipe import NAMES

Run = Callable[..., tuple[int, str, str]]
OUTCOMES = ("holds", "does not hold", "not testable on this model", "not tested: too few pairs")
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:diffusers"),
    pytest.mark.filterwarnings("ignore::FutureWarning:transformers"),
]


@pytest.fixture
def command(model_of: Callable[[str], str], tmp_path: Path) -> list[object]:
    prompts = tmp_path / "prompts.csv"
    lines = [f"a {style} {content},{content},{style}" for content in ("disc", "star") for style in ("flat", "neon")]
    prompts.write_text("\n".join(["prompt,content,style", *lines]))
    size = ["--height", 32, "--width", 32, "--steps", 2, "--pairs", 2, "--batch", 8]
    return ["attribute", "--prompts", prompts, "--out", tmp_path / "out", *size]


@pytest.mark.parametrize(
    ("family", "recipe", "place"),
    [
        ("unet", "locogen", "up_blocks.0.attentions.0.transformer_blocks.0.attn2"),
        ("sdxl", "layer-swap", "mid_block.resnets.1"),
        ("mmdit", "layer-swap", "transformer_blocks.1"),
        ("flux", "layer-swap", "single_transformer_blocks.0"),
    ],
)
def test_one_command_runs_on_every_class(
    run: Run,
    command: list[object],
    model_of: Callable[[str], str],
    tmp_path: Path,
    family: str,
    recipe: str,
    place: str,
) -> None:
    code, out, err = run(*command, "--recipe", recipe, "--model", model_of(family))
    assert code == 0, err
    verdict = json.loads((tmp_path / "out" / "verdict.json").read_text())
    assert verdict["outcome"] in OUTCOMES
    assert place in [name for names in verdict["mapping"].values() for name in names]
    assert verdict["outcome"].upper() in out
    assert RECIPES[recipe].card.claim in out


def test_what_a_model_lacks_is_said_before_any_picture(
    run: Run, command: list[object], model_of: Callable[[str], str], tmp_path: Path
) -> None:
    code, out, _ = run(*command, "--recipe", "skip-inject", "--model", model_of("flux"))
    assert code == 0
    assert "no skip connections" in out
    assert not (tmp_path / "out" / "study").exists()


def test_a_recipe_leaves_other_results_alone(
    run: Run, command: list[object], model_of: Callable[[str], str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run(*command, "--recipe", "skip-inject", "--model", model_of("flux"))[0] == 0
    before = (out / "verdict.json").read_bytes()
    code, _, err = run(*command, "--recipe", "layer-swap", "--model", model_of("flux"))
    assert (code, "holds the verdict of skip-inject" in err) == (1, True)
    assert (out / "verdict.json").read_bytes() == before
    assert run(*command, "--recipe", "skip-inject", "--model", model_of("flux"))[0] == 0
    (out / "verdict.json").unlink()
    (out / "outcomes.json").write_text("{}")
    code, _, err = run(*command, "--recipe", "skip-inject", "--model", model_of("flux"))
    assert (code, "out holds a study" in err) == (1, True)


def test_wrong_requests_are_refused(run: Run, command: list[object]) -> None:
    refused = {
        ("--recipe", "layer-swap"): "give --model once",
        ("--recipe", "platonic", "--model", "outcrop:unet"): "give --model several times",
        ("--recipe", "layer-swap", "--model", "outcrop:unet", "--site", "mid_block"): "leave out sites",
        ("--recipe", "layer-swap", "--model", "outcrop:unet", "--dry-run"): "neither a CONFIG nor --dry-run",
    }
    for flags, reason in refused.items():
        code, _, err = run(*command, *flags)
        assert code == 2
        assert reason in " ".join(err.split())


def test_every_name_has_a_card_with_its_source() -> None:
    assert set(CARDS) == set(NAMES)
    assert all(card.claim and card.source for card in CARDS.values())


def test_heads_are_ranked_by_what_silencing_them_costs() -> None:
    import pandas as pd

    from outcrop.attribution.effect_table import EffectTable

    costs = {"content": (0.1, 0.7, 0.3), "style": (0.9, 0.0, 0.0)}
    rows = [
        {"property": name, "cell": cell, "necessity": value}
        for name, own in costs.items()
        for cell, value in enumerate(own)
    ]
    table = EffectTable(pd.DataFrame(rows), {}, {})
    heads = [("mid", 0), ("mid", 1), ("up", 0)]
    assert rank_heads(table, ["content"], heads) == [("mid", 1), ("up", 0), ("mid", 0)]
    assert rank_heads(table, ["style"], heads)[0] == ("mid", 0)
