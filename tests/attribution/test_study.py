"""What is wrong with a study is told where it was written, in one line, and nothing else with it."""

from typing import Any

import pytest

from outcrop.attribution.study import PairPlan, parse_study
from outcrop.data.errors import InputError

STEERING = {"kind": "steering", "sites": ["mid_block"], "direction": [1.0, 2.0]}
ABLATION = {"kind": "ablation", "sites": ["mid_block"]}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"cells": [{"intervention": STEERING | {"dose": "abc"}}]}, ["cells.0.intervention.dose: ", "Got 'abc'"]),
        ({"cells": [{"intervention": ABLATION | {"kind": "layer-swap"}}]},
         ["cells.0.intervention.kind: must be one of", "'activation-patch'", "Got 'layer-swap'"]),
        ({"cells": [{"intervention": {"sites": ["mid_block"]}}]}, ["cells.0.intervention: 'kind' is missing"]),
        ({"cells": [{"intervention": {"kind": "ablation"}}]}, ["cells.0.intervention.sites: is missing"]),
        ({"cells": [{"intervention": ABLATION | {"sites": "mid_block"}}]},
         ["cells.0.intervention.sites: Input should be a list. Got 'mid_block'"]),
        ({"cells": [{"intervention": ABLATION | {"window": [5, 2]}}]},
         ["cells.0.intervention: window must be a first and a last step", "Got (5, 2)"]),
        ({"cells": [{"interventions": [ABLATION | {"vlaue": "zero"}]}]},
         ["cells.0.interventions.0.vlaue: there is no such key. Did you mean 'value'"]),
        ({"cells": []}, ["cells: "]),
        ({"cells": [{"intervention": ABLATION}], "pairs": {"count": 0}}, ["pairs.count: ", "Got 0"]),
        ({"cells": [{"intervention": ABLATION}], "pairs": {"count": 10**6}}, ["pairs.count: ", "Got 1000000"]),
    ],
)  # fmt: skip
def test_one_mistake_is_one_line(fields: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(InputError) as raised:
        parse_study({"model": "outcrop:unet"} | fields, where="study.yaml")
    first, *lines = str(raised.value).splitlines()
    assert first == "The study in study.yaml is not valid:"
    assert len(lines) == 1
    assert [part for part in told if part not in lines[0]] == []


def test_a_misspelt_key_is_told_beside_what_is_missing() -> None:
    with pytest.raises(InputError) as raised:
        parse_study({"model": "outcrop:unet", "cels": [{"intervention": ABLATION}]}, where="study.yaml")
    assert "cells: is missing" in str(raised.value)
    assert "cels: there is no such key. Did you mean 'cells'" in str(raised.value)


def test_a_plan_without_wanted_donors_is_stored_as_it_was_before_there_were_any() -> None:
    assert "donor" not in PairPlan(count=3).model_dump(mode="json")
    assert PairPlan(donor={"style": "neon"}).model_dump(mode="json")["donor"] == {"style": "neon"}


def test_an_empty_list_is_told_beside_other_faults() -> None:
    cells = [{"intervention": STEERING | {"dose": "abc"}}, {"intervention": ABLATION | {"sites": []}}]
    with pytest.raises(InputError) as raised:
        parse_study({"model": "outcrop:unet", "cells": cells}, where="study.yaml")
    places = [line.split(":")[0].strip() for line in str(raised.value).splitlines()[1:]]
    assert places == ["cells.0.intervention.dose", "cells.1.intervention.sites"]
