"""A specification is parsed on entry."""

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
        ({"group_by": "seed"}, r"group_by must be a sequence of names, not one string. Got 'seed'"),
    ],
)
def test_values_that_make_no_sense_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ProbeSpec(**arguments)


def test_lists_become_tuples() -> None:
    assert ProbeSpec(properties=["style"]).properties == ("style",)
