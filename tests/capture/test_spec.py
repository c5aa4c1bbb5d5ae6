"""The specification: one form for YAML, flags and Python; mistakes are named by field."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from outcrop.capture.plan import make_plan, shard_size
from outcrop.capture.prompts import PromptFile, PromptGrid, PromptList
from outcrop.capture.spec import CaptureSpec, SeedPlan, parse_spec, read_spec_fields
from outcrop.data.errors import InputError

FIELDS: dict[str, Any] = {"model": "outcrop:unet", "prompts": {"texts": ["a", "b", "c"]}}


def spec_of(**changes: Any) -> CaptureSpec:
    return parse_spec(FIELDS | changes, where="the test")


def test_a_specification_survives_yaml() -> None:
    spec = spec_of(sites=["blocks"], seeds={"first": 3}, licences={"model": "CC0-1.0"})
    again = yaml.safe_load(yaml.safe_dump(spec.model_dump(mode="json")))
    assert parse_spec(again, where="YAML") == spec


@pytest.mark.parametrize(
    ("prompts", "kind"),
    [
        ({"texts": ["a"]}, PromptList),
        ({"file": "p.csv"}, PromptFile),
        ({"factors": {"x": ["a"]}, "templates": ["{x}"]}, PromptGrid),
    ],
)
def test_the_kind_of_prompts_is_told_by_its_fields(prompts: dict[str, Any], kind: type) -> None:
    assert isinstance(spec_of(prompts=prompts).prompts, kind)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stpes": 3}, "stpes: there is no such key"),
        ({"steps": 0}, "steps: Input should be greater than or equal to 1. Got 0"),
        ({"steps": "many"}, "steps: .*Got 'many'"),
        ({"record": 30}, r"record must be at most steps \(20\). Got 30"),
        ({"reduction": "median"}, "reduction must be one of mean, full"),
        ({"half": "left"}, "half: Input should be 'cond', 'uncond' or 'both'"),
        ({"dtype": "int4"}, "dtype: "),
        ({"seeds": {"first": -1}}, r"seeds\.first: "),
        ({"prompts": "prompts.csv"}, r"must be a mapping: \{file: prompts\.csv\}.*Got 'prompts\.csv'"),
        ({"prompts": ["a", "b"]}, r"must be a mapping.*Got \['a', 'b'\]"),
        ({"prompts": {"factors": {"x": ["a"]}}}, r"prompts\.templates: is missing"),
        ({"prompts": {"texts": []}}, r"prompts\.texts: "),
        ({"prompts": {"texts": ["a"], "wording": "cross"}}, r"prompts\.wording: there is no such key"),
    ],
)
def test_a_mistake_is_named_by_its_field_and_by_no_other(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        spec_of(**changes)
    assert len(str(caught.value).splitlines()) <= 3


def test_prompt_files_are_found_beside_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("model: m\nprompts: {file: p.csv}\n")
    assert read_spec_fields(path)["prompts"] == {"file": str(tmp_path / "p.csv")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", "must hold a mapping such as 'model: outcrop:unet'. Got list"),
        ("model: [a\n", "is not readable YAML"),
        ("", "Got NoneType"),
        (None, "There is no configuration file"),
    ],
)
def test_a_configuration_that_is_no_mapping_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "c.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_spec_fields(path)


def test_seeds_are_different_for_every_image_or_shared_by_all_prompts() -> None:
    own = make_plan(spec_of(seeds={"first": 5, "per_prompt": 2}), weights="w")
    shared = make_plan(spec_of(seeds={"first": 5, "per_prompt": 2, "shared": True}), weights="w")
    assert [sample.seed for sample in own.samples] == [5, 6, 7, 8, 9, 10]
    assert [sample.seed for sample in shared.samples] == [5, 6, 5, 6, 5, 6]
    assert len({sample.id for sample in shared.samples}) == 6


@pytest.mark.parametrize(
    "changes",
    [{"steps": 5}, {"dtype": "float32"}, {"prompts": {"texts": ["a", "b", "d"]}}, {"seeds": {"first": 1}}],
)
def test_whatever_changes_the_data_changes_its_identity(changes: dict[str, Any]) -> None:
    plan, other = make_plan(spec_of(), weights="w"), make_plan(spec_of(**changes), weights="w")
    assert plan.uuid != other.uuid
    assert not {sample.id for sample in plan.samples} & {sample.id for sample in other.samples}


def test_identity_is_of_the_data_not_of_the_words_about_it(tmp_path: Path) -> None:
    table = tmp_path / "p.csv"
    table.write_text("prompt\na\nb\nc\n")
    plan = make_plan(spec_of(), weights="w")
    assert make_plan(spec_of(licences={"model": "CC0-1.0"}), weights="w") == plan
    assert make_plan(spec_of(prompts={"file": str(table)}), weights="w") == plan
    assert make_plan(spec_of(), weights="other").uuid != plan.uuid


@pytest.mark.parametrize(
    ("changes", "sample_bytes", "expected"),
    [
        ({"batch": 4}, 10, 16),
        ({"batch": 4}, 2**23, 8),
        ({"batch": 4}, 2**30, 4),
        ({"batch": 4, "shard_samples": 9}, 10, 12),
        ({"batch": 4, "shard_samples": 8}, 2**30, 8),
    ],
)
def test_a_shard_holds_whole_batches(changes: dict[str, Any], sample_bytes: int, expected: int) -> None:
    assert shard_size(spec_of(**changes), sample_bytes) == expected


def test_the_defaults_are_stated() -> None:
    assert spec_of().seeds == SeedPlan(first=0, per_prompt=1, shared=False)
    assert spec_of().sites == ("blocks", "attentions")
