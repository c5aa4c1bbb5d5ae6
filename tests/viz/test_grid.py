from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from outcrop.data.errors import InputError
from outcrop.viz.grid import property_grid, step_axis

Make = Callable[..., pd.DataFrame]


def test_cells_lie_where_the_table_says_whatever_the_order_of_rows(frame: pd.DataFrame) -> None:
    shuffled = frame.sample(frac=1, random_state=0)
    grid = property_grid(shuffled, "style")
    rows = frame[frame["property"] == "style"].set_index(["site", "step"])
    for i, site in enumerate(grid.sites):
        for j, step in enumerate(grid.axis.steps):
            assert grid.values[i, j] == rows.loc[(site, step), "accuracy"]
            assert grid.low[i, j] == rows.loc[(site, step), "low"]


def test_sites_run_in_execution_order_and_steps_from_noisy_to_clean(
    make_frame: Make, site_sets: dict[int, tuple[str, ...]]
) -> None:
    frame = make_frame(site_sets[22], steps=5)
    frame["noise"] = frame["step"] * 25.0  # a sampler that is recorded backwards
    grid = property_grid(frame.sample(frac=1, random_state=1), "style")
    assert grid.sites == site_sets[22]
    assert grid.axis.steps == (4, 3, 2, 1, 0)
    assert (np.diff(grid.axis.positions) < 0).all()


def test_step_scale_falls_back_to_timestep_and_index(frame: pd.DataFrame) -> None:
    assert step_axis(frame).kind == "noise"
    assert step_axis(frame.assign(noise=np.nan)).kind == "timestep"
    assert step_axis(frame.assign(noise=np.nan, timestep=np.nan)).kind == "step"


def test_missing_cells_are_nan_and_never_best_nor_unclear(frame: pd.DataFrame) -> None:
    best = property_grid(frame, "style").best
    site = property_grid(frame, "style").sites[best[0]]
    grid = property_grid(frame[(frame["property"] != "style") | (frame["site"] != site)], "style")
    assert np.isnan(grid.values[best[0]]).all()
    assert not grid.unclear[best[0]].any()
    assert grid.best[0] != best[0]


def test_unclear_is_exactly_where_the_interval_reaches_the_larger_of_chance_and_majority(frame: pd.DataFrame) -> None:
    grid = property_grid(frame, "layout")
    assert grid.floor == grid.majority > grid.chance
    assert (grid.unclear == (grid.low <= grid.majority)).all()
    assert grid.unclear.any()
    assert not grid.unclear.all()


def test_best_among_equals_is_the_earliest(frame: pd.DataFrame) -> None:
    assert property_grid(frame.assign(accuracy=0.5), "style").best == (0, 0)


def test_selectivity_runs_from_zero(frame: pd.DataFrame) -> None:
    grid = property_grid(frame, "style", value="selectivity")
    assert (grid.bottom, grid.floor) == (0, 0)
    assert grid.top == pytest.approx(1 - 1 / 6)


def test_errors(frame: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="accuracy, selectivity; got 'loss'"):
        property_grid(frame, "style", value="loss")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="finite accuracy for property 'style'"):
        property_grid(frame.assign(accuracy=np.nan), "style")
    with pytest.raises(InputError, match=r"0, 1, 2, 3, 4, 5, 6, 7\); got 8"):
        step_axis(frame).column(8)
