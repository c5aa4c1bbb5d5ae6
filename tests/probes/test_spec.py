"""A specification is parsed on entry."""

import numpy as np
import pytest

from outcrop.data.errors import InputError
from outcrop.probes.spec import ProbeSpec


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"folds": 2}, "folds must be at least 3"),
        ({"strengths": (1.0, -1.0)}, "strengths must be positive"),
        ({"strengths": ()}, "strengths must name at least one"),
        ({"confidence": 95}, "confidence must lie between 0 and 1"),
        ({"bootstraps": 0}, "bootstraps must be at least 1"),
        ({"seed": -1}, "seed must not be negative"),
        ({"controls": 0}, "controls must be at least 1"),
        ({"permutations": -1}, r"permutations must not be negative \(0: no p-values\). Got -1"),
        ({"confidence": "a"}, "confidence must lie between 0 and 1. Got 'a'"),
        ({"code_length": "no"}, "code_length must be True or False. Got 'no'"),
        ({"given": 3}, "given must be a name, or None. Got 3"),
        ({"device": 0}, "device must be a name, or None. Got 0"),
        ({"sites": (1,)}, r"sites must be a sequence of names. Got \(1,\)"),
        ({"folds": True}, "folds must be a whole number. Got True"),
        ({"strengths": (True,)}, r"strengths must be positive and finite. Got \(True,\)"),
        ({"folds": 3.5}, "folds must be a whole number. Got 3.5"),
        ({"permutations": 2.5}, "permutations must be a whole number. Got 2.5"),
        ({"strengths": ("a",)}, r"strengths must be positive and finite. Got \('a',\)"),
        ({"strengths": 5}, r"strengths must be a sequence. Got 5; write \(5,\)"),
        ({"steps": 0}, r"steps must be a sequence. Got 0; write \(0,\)"),
        ({"steps": ("a",)}, r"steps must be whole numbers.* Got \('a',\)"),
        ({"group_by": "seed"}, r"group_by must be a sequence of names, not one string. Got 'seed'"),
    ],
)
def test_values_that_make_no_sense_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ProbeSpec(**arguments)


def test_lists_become_tuples_that_name_each_once() -> None:
    spec = ProbeSpec(properties=["style", "style"], steps=np.array([2, 0, 2]))
    assert spec.properties == ("style",)
    assert spec.steps == (2, 0)
