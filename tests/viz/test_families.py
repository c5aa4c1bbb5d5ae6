from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from outcrop.data.errors import InputError
from outcrop.viz.families import plot_families


@dataclass(frozen=True)
class Labour:
    index: float
    low: float
    high: float
    profiles: pd.DataFrame


def labour(index: float, places: int = 3) -> Labour:
    names = [f"up_blocks.{k}" for k in range(places)]
    values = np.linspace(0, 1, 3 * places).reshape(3, places)
    return Labour(index, index - 0.1, index + 0.1, pd.DataFrame(values, index=list("abc"), columns=names))


def test_a_row_for_every_family_with_its_index() -> None:
    figure = plot_families({"one": labour(0.2), "two": labour(0.8, 30), "three": labour(np.nan)})
    axes = {one.get_label(): one for one in figure.axes}
    assert set(axes) == {f"{kind} {name}" for kind in ("map", "index") for name in ("one", "two", "three")}
    assert [text.get_text() for text in axes["index one"].texts] == [".20  (.10 to .30)"]
    assert [text.get_text() for text in axes["index three"].texts] == ["no two properties"]
    assert len(axes["map one"].texts) == 9
    assert not axes["map two"].texts  # too many places for numbers
    (drawn,) = axes["map one"].images
    assert np.allclose(np.asarray(drawn.get_array()), labour(0.2).profiles)
    assert drawn.get_clim() == (0, 1)
    assert [tick.get_text() for tick in axes["map one"].get_yticklabels()] == ["A", "B", "C"]
    assert [tick.get_text() for tick in axes["map one"].get_xticklabels()] == ["up 0", "up 1", "up 2"]
    interval, point = axes["index two"].lines
    assert np.allclose(interval.get_xdata(), [0.7, 0.9])
    assert np.allclose(point.get_xdata(), [0.8])
    boxes = sorted((one.get_position() for one in figure.axes if one.get_label().startswith("map")), key=lambda b: b.y0)
    assert all(below.y1 < above.y0 for below, above in pairwise(boxes))


def test_no_family_is_refused() -> None:
    with pytest.raises(InputError, match="at least one family"):
        plot_families({})
