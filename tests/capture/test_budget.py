"""A plan fits its budget, says what it leaves out, and its command makes what it says."""

import itertools
import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from outcrop.capture.budget import Keeping, concessions
from outcrop.capture.source import DiffusersSource
from outcrop.cli import commands
from outcrop.data import listing
from outcrop.data.dataset import open_dataset
from outcrop.data.errors import InputError, StorageError
from outcrop.planning import Proposal, Wish, propose

Plan = Callable[..., Proposal]
STYLES, CONTENTS = ("flat", "neon"), ("disc", "star", "ring")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """36 prompts in six wordings."""
    rows = [
        {"prompt": f"{word} {style} {content}", "template": word, "style": style, "content": content, "layout": content}
        for word, style, content in itertools.product(("a", "one", "some", "the", "this", "that"), STYLES, CONTENTS)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "prompts.csv", index=False)
    return tmp_path / "prompts.csv"


@pytest.fixture
def plan(tiny_model: Path, table: Path, tmp_path: Path) -> Plan:
    """At 10 s a sample and 100 kB a picture, unless changed."""

    def make(**changes: object) -> Proposal:
        fields = {"model": str(tiny_model), "prompts": table, "questions": ("style",), "budget": 1e9, "hours": 10.0}
        fields |= {"seconds": 10 / 1.05, "image_bytes": 1e5, "steps": 12, "width": 0.3}
        return propose(Wish(**(fields | changes)), tmp_path / "out")

    return make


@pytest.mark.parametrize("spatial", [False, True])
def test_each_concession_is_smaller_than_the_one_before(source: DiffusersSource, spatial: bool) -> None:
    sites = source.sites()
    ladder = list(concessions(sites, steps=12, spatial=spatial))
    sizes = [each.keeping.sample_bytes(sites) for each in ladder]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == len(sizes) > 4
    assert all(each.why for each in ladder[1:])
    assert {each.keeping.reduction.partition(":")[0] for each in ladder} == {"grid" if spatial else "mean"}
    assert ladder[-1].keeping.record == 1


def test_with_room_for_all_nothing_but_other_roles_is_left_out(plan: Plan) -> None:
    proposal = plan(correlation=0.0)
    assert (proposal.record, proposal.dtype, proposal.reduction) == (12, "float16", "mean")
    assert not any("steps" in text or "byte" in text for text in proposal.left_out)
    assert proposal.width <= 0.3
    assert proposal.samples == proposal.prompts * proposal.per_prompt


def test_as_many_images_as_the_width_takes_and_the_hours_allow(plan: Plan) -> None:
    few, many = plan(width=0.25, correlation=0.0), plan(width=0.12, correlation=0.0)
    assert few.per_prompt < many.per_prompt
    assert few.width <= 0.25
    assert many.width <= 0.12
    hurried = plan(width=0.12, correlation=0.0, hours=0.1)
    assert hurried.samples == 36
    assert any("the hours do not suffice" in text for text in hurried.left_out)


def test_correlated_groups_are_not_filled_for_nothing(plan: Plan) -> None:
    """With six wordings that are each right or wrong as a whole, more images of them tell nothing."""
    proposal = plan(width=0.05, correlation=1.0)
    assert (proposal.groups, proposal.per_prompt) == (6, 1)
    assert proposal.groups_needed > 1000
    assert any("asked" in text and "wordings" in text for text in proposal.left_out)


@pytest.mark.parametrize("question", ["style", "layout"])
def test_concessions_are_made_until_it_fits(plan: Plan, question: str) -> None:
    whole = plan(questions=(question,))
    for share in (0.5, 0.06):
        budget = whole.image_bytes + share * whole.activation_bytes
        proposal = plan(questions=(question,), budget=budget)
        assert proposal.activation_bytes + proposal.image_bytes <= budget
        assert proposal.samples == whole.samples
        assert proposal.dtype == "int8"
        assert proposal.reduction.startswith("grid" if question == "layout" else "mean")


def test_where_nothing_is_left_to_concede_samples_are(plan: Plan, tmp_path: Path) -> None:
    proposal = plan(budget=1.8e6)
    assert proposal.samples < 36
    assert proposal.activation_bytes + proposal.image_bytes <= 1.8e6
    assert len(pd.read_csv(tmp_path / "out.prompts.csv")) == proposal.prompts
    assert str(tmp_path / "out.prompts.csv") in proposal.command
    assert any("the disk do" in text for text in proposal.left_out)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"questions": ("stile",)},
            InputError,
            "No label column of the prompts is called 'stile'. Did you mean 'style'",
        ),
        ({"questions": ()}, InputError, "Name at least one question"),
        ({"hours": 0.01}, InputError, "must suffice for 10 samples"),
        ({"hours": -1.0}, InputError, "hours must be above 0 and finite. Got -1"),
        ({"width": 1.5}, InputError, "must lie between 0 and 1"),
        ({"correlation": 2.0}, InputError, "a correlation from 0 to 1"),
        ({"budget": 1e5}, StorageError, "10 samples .* Got a budget of 0.0001 GB"),
        ({"model": "nowhere/at-all"}, InputError, "nowhere/at-all"),
        ({"prompts": Path("no.csv")}, InputError, "There is no prompt file no.csv"),
    ],
)
def test_what_cannot_be_planned_is_refused(
    plan: Plan, changes: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        plan(**changes)


def test_a_question_with_one_answer_is_refused(plan: Plan, table: Path) -> None:
    pd.read_csv(table).assign(style="flat").to_csv(table, index=False)
    with pytest.raises(InputError, match="All prompts have the same 'style'"):
        plan()


def test_shards_grow_where_there_would_be_too_many_to_list(
    plan: Plan, source: DiffusersSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = plan()
    assert usual.shard_samples is None
    assert "--shard-samples" not in usual.command
    listed = Keeping(usual.sites, usual.record, usual.reduction, usual.dtype).listing(source.sites())
    monkeypatch.setattr(listing, "MAX_BYTES", listed.size(usual.samples, shard_samples=128))
    larger = plan()
    assert larger.shard_samples == 128
    assert "--shard-samples 128" in larger.command
    assert "each has 128 samples, for of smaller ones the list" in larger.to_text()
    assert larger.shard_bytes > usual.shard_bytes


def test_the_proposed_command_runs_and_makes_what_was_said(tiny_model: Path, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "my run"
    asked = ["plan", "--model", str(tiny_model), "--prompts", str(table), "--question", "layout", "--steps", "2"]
    asked += ["--budget-gb", "0.001", "--hours", "1", "--width", "0.9", "--out", str(out)]
    told = CliRunner().invoke(commands, [*asked, "--json"], catch_exceptions=False)
    proposal = json.loads(told.stdout)
    words = shlex.split(proposal["command"])
    assert words[:2] == ["outcrop", "capture"]
    done = CliRunner().invoke(commands, words[1:], catch_exceptions=False)
    assert done.exit_code == 0
    ds = open_dataset(out)
    assert (len(ds), list(ds.sites.index), len(ds.steps)) == (
        proposal["samples"],
        proposal["sites"],
        proposal["record"],
    )
    stored = sum(path.stat().st_size for path in (out / "images").rglob("*.png"))
    assert stored == pytest.approx(proposal["image_bytes"], rel=0.3)
    values = ds.nbytes if ds.dtype != "int8" else proposal["activation_bytes"]
    assert values == proposal["activation_bytes"]
    assert proposal["activation_bytes"] + proposal["image_bytes"] <= 1e6
