"""Label columns become classes."""

import warnings

import numpy as np
import pandas as pd
import pytest

from outcrop.data.errors import InputError
from outcrop.probes.properties import (
    ConfoundedWarning,
    Target,
    choose_targets,
    cramers_v,
    encode,
    warn_if_aliased,
    warn_if_confounded,
)


def test_missing_and_empty_labels_have_no_class() -> None:
    target = encode(pd.Series(["b", None, "a", "", "b"]), name="x")
    assert target.codes.tolist() == [1, -1, 0, -1, 1]
    assert target.classes == ("a", "b")


def test_the_default_leaves_out_what_is_no_classification() -> None:
    rng = np.random.default_rng(0)
    labels = pd.DataFrame(
        {
            "style": rng.integers(3, size=100),
            "one": 1,
            "brightness": rng.random(100),
            "template": rng.integers(9, size=100),
        }
    )
    targets = choose_targets(labels, properties=None, group_by=("template",))
    assert [target.name for target in targets] == ["style"]


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        (("styl",), r"no label column 'styl'. Label columns: style \(2 values\), one \(1 value\), size \(40 values\)"),
        (("size",), r"'size' has 40 different numbers in 40 samples.*outcrop.probes.regress\(ds, \['size'\]\)"),
        (("one",), r"'one' has one class \('1'\) in 40 samples"),
    ],
)
def test_what_cannot_be_probed_is_named(properties: tuple[str, ...], message: str) -> None:
    labels = pd.DataFrame({"style": [0, 1] * 20, "one": 1, "size": np.arange(40) / 7})
    with pytest.raises(InputError, match=message):
        choose_targets(labels, properties=properties, group_by=())


def test_nothing_to_probe_is_an_error() -> None:
    with pytest.raises(InputError, match=r"No label column has 2 to 50 classes. Label columns: none"):
        choose_targets(pd.DataFrame(index=range(5)), properties=None, group_by=())


def test_confounded_properties_are_warned_of() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(3, size=200)
    targets = [
        encode(pd.Series(values), name=name)
        for name, values in {"content": codes, "copy": (codes + 1) % 3, "style": rng.integers(4, size=200)}.items()
    ]
    with pytest.warns(ConfoundedWarning, match=r"'content' and 'copy' are confounded"):
        assert warn_if_confounded(targets) == (("content", "copy"),)
    assert cramers_v(targets[0], targets[2]) < 0.3


def test_a_property_that_the_others_determine_together_is_warned_of() -> None:
    """The count of two attributes: neither tells it alone, and one direction of the three classes is their sum."""
    rng = np.random.default_rng(0)
    first, second = rng.integers(2, size=(2, 200))
    values = {"hat": first, "coat": second, "clothes": first + second, "style": rng.integers(4, size=200)}
    targets = [encode(pd.Series(codes), name=name) for name, codes in values.items()]
    assert warn_if_confounded(targets) == ()
    with pytest.warns(ConfoundedWarning, match=r"'hat' \(1 of its directions\).*'clothes' \(1 of its directions\)"):
        found = warn_if_aliased(targets)
    assert found == (("hat", 1), ("coat", 1), ("clothes", 1))


@pytest.mark.filterwarnings("error")
def test_free_properties_are_not_warned_of_nor_are_known_pairs_again() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(3, size=100)
    free = [encode(pd.Series(rng.integers(3, size=100)), name=name) for name in "abc"]
    assert warn_if_aliased(free) == ()
    pair = [encode(pd.Series(codes), name="x"), encode(pd.Series(-codes), name="y")]
    assert warn_if_aliased([*free, *pair], confounded=[("x", "y")]) == ()
    assert warn_if_aliased(pair[:1]) == ()


def test_what_was_asked_for_and_what_is_shown_may_agree() -> None:
    codes = np.arange(60) % 3
    targets = [Target(name, codes, ("a", "b", "c")) for name in ("content", "content:oracle")]
    other = Target("style", np.arange(60) // 3 % 2, ("x", "y"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert warn_if_confounded([*targets, other]) == ()
        assert warn_if_aliased([*targets, other]) == ()
