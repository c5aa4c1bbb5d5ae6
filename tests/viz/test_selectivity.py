from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from outcrop.data.errors import InputError
from outcrop.viz.selectivity import plot_selectivity


def panel(figure: Any, name: str) -> Any:
    (found,) = [axes for axes in figure.axes if axes.get_label() == f"selectivity {name}"]
    return found


def test_a_mark_is_a_cell_and_its_colour_the_depth(frame: pd.DataFrame) -> None:
    axes = panel(plot_selectivity(frame), "style")
    own = frame[frame["property"] == "style"]
    (marks,) = [found for found in axes.collections if found.get_label() == "cells"]
    assert np.allclose(marks.get_offsets(), own[["accuracy", "selectivity"]])
    assert np.allclose(marks.get_array(), own["depth"])
    assert marks.get_clim() == (0, 1)
    lines = {line.get_label(): line for line in axes.lines}
    chance = own["chance"].iloc[0]
    assert np.allclose(lines["chance"].get_xdata(), chance)
    assert np.allclose(lines["control at chance"].get_xydata(), [(chance, 0), (1, 1 - chance)])
    assert axes.get_ylim()[0] < own["selectivity"].min()
    assert (axes.get_xlabel(), axes.get_title(loc="left")) == ("accuracy of the probe", "Style")


def test_the_most_selective_sites_are_named(frame: pd.DataFrame) -> None:
    axes = panel(
        plot_selectivity(
            frame.assign(
                selectivity=lambda rows: np.where(
                    rows["site"] == "mid_block.attentions.0", rows["selectivity"] + 0.3, 0
                )
            )
        ),
        "content",
    )
    assert axes.texts[0].get_text() == "mid · attn 0"
    assert len(axes.texts) == 3


def test_few_marks_have_their_intervals(frame: pd.DataFrame) -> None:
    axes = panel(plot_selectivity(frame, properties=["layout"], step=2), "layout")
    own = frame[(frame["property"] == "layout") & (frame["step"] == 2)]
    across, up = axes.collections[:2]
    assert np.allclose([path.vertices[:, 0] for path in across.get_paths()], own[["low", "high"]])
    assert np.allclose([path.vertices[:, 1] for path in up.get_paths()], own[["selectivity_low", "selectivity_high"]])
    assert len(panel(plot_selectivity(frame), "layout").collections) == 1  # 176 marks


def test_what_cannot_be_drawn_is_refused(frame: pd.DataFrame, make_frame: Callable[..., pd.DataFrame]) -> None:
    with pytest.raises(InputError, match="a selectivity for content, style, layout; got none"):
        plot_selectivity(frame.assign(selectivity=np.nan))
    with pytest.raises(InputError, match="index of a probed step"):
        plot_selectivity(frame, step=40)
