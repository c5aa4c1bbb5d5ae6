"""Pairs differ where the plan says and nowhere else; donors have the labels that it asks of them."""

import pytest

from outcrop.attribution.pairs import draw_pairs
from outcrop.attribution.study import PairPlan
from outcrop.capture.prompts import LabelledPrompt, PromptGrid
from outcrop.data.errors import InputError

LABELS = {"content": ["disc", "star"], "style": ["flat", "neon", "dotted"], "layout": ["left", "right"]}


@pytest.fixture(scope="module")
def prompts() -> list[LabelledPrompt]:
    grid = PromptGrid.model_validate({"templates": ["a {style} {content} on the {layout}"], "factors": LABELS})
    return list(grid.expand())


def test_pairs_differ_in_what_the_plan_names_alone(prompts: list[LabelledPrompt]) -> None:
    pairs = draw_pairs(prompts, PairPlan(count=30, differ=("style",)), share_seed=True)
    changed = [
        {name for name, value in pair.donor.labels.items() if pair.receiver.labels[name] != value} for pair in pairs
    ]
    assert len(pairs) == 30
    assert all(names == {"style"} for names in changed)
    assert all(pair.donor.seed == pair.receiver.seed for pair in pairs)


def test_donors_have_the_labels_that_are_asked_of_them(prompts: list[LabelledPrompt]) -> None:
    plan = PairPlan(count=30, differ=("style",), donor={"style": "neon", "layout": "left"})
    pairs = draw_pairs(prompts, plan, share_seed=True)
    assert {(pair.donor.labels["style"], pair.donor.labels["layout"]) for pair in pairs} == {("neon", "left")}
    assert {pair.receiver.labels["style"] for pair in pairs} == {"flat", "dotted"}
    assert {pair.receiver.labels["content"] for pair in pairs} == {"disc", "star"}


@pytest.mark.parametrize(
    ("donor", "told"),
    [
        ({"style": "noen"}, "No prompt has style 'noen', which donors are to have. Did you mean 'neon'"),
        ({"mood": "calm"}, "Values of mood: none, it is no label"),
    ],
)
def test_donors_that_are_not_there_are_told(prompts: list[LabelledPrompt], donor: dict[str, str], told: str) -> None:
    with pytest.raises(InputError) as raised:
        draw_pairs(prompts, PairPlan(count=3, donor=donor), share_seed=True)
    assert told in str(raised.value)
