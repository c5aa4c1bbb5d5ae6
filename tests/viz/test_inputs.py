from types import SimpleNamespace

import pandas as pd
import pytest

from outcrop.data.errors import InputError
from outcrop.viz.inputs import choose_properties, confidence_of, read_frame, settings


def test_a_frame_and_a_result_with_a_frame_read_alike(frame: pd.DataFrame) -> None:
    assert read_frame(frame).equals(frame)
    assert read_frame(SimpleNamespace(frame=frame)).equals(frame)


def test_something_else_is_refused() -> None:
    with pytest.raises(InputError, match="takes a probe table; a list came"):
        read_frame([1, 2])  # type: ignore[arg-type]


def test_missing_columns_are_named(frame: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="without the columns noise, majority came"):
        read_frame(frame.drop(columns=["majority", "noise"]))


def test_no_rows(frame: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="at least one row"):
        read_frame(frame.iloc[:0])


def test_a_cell_must_not_occur_twice(frame: pd.DataFrame) -> None:
    with pytest.raises(InputError, match=r"several for 'content', 'down_blocks\.0\.resnets\.0', step 0"):
        read_frame(pd.concat([frame, frame.iloc[:1]]))


def test_properties_default_to_order_of_appearance(frame: pd.DataFrame) -> None:
    assert choose_properties(frame, None) == ("content", "style", "layout")
    assert choose_properties(frame, ["layout", "content"]) == ("layout", "content")


@pytest.mark.parametrize("properties", [["colour"], [], "style"])
def test_properties_that_are_not_there(frame: pd.DataFrame, properties: list[str]) -> None:
    with pytest.raises(InputError, match=r"expected properties .*content.*style.*layout"):
        choose_properties(frame, properties)


def test_settings_come_from_the_provenance_else_from_the_frame(frame: pd.DataFrame) -> None:
    assert settings(frame) == {}
    assert confidence_of(frame) is None
    frame.attrs["confidence"] = 0.9
    assert confidence_of(frame) == 0.9
    spec = {"folds": 5, "confidence": 0.95}
    provenance = {"spec": spec, "splits": {"folds": 9, "kept_apart": ["seed"]}, "confounded": [["a", "b"]]}
    found = settings(SimpleNamespace(frame=frame, provenance=provenance))
    assert found == {"folds": 9, "confidence": 0.95, "kept_apart": ["seed"], "confounded": [["a", "b"]]}
