from typing import Any

import numpy as np
import pandas as pd
import pytest

from outcrop.data.errors import InputError
from outcrop.viz.transfer import plot_transfer


def matrix(cells: list[tuple[str, int]]) -> tuple[pd.DataFrame, np.ndarray]:
    values = np.linspace(0.2, 0.95, len(cells) ** 2).reshape(len(cells), -1)
    rows = [
        {"site": a, "step": s, "tested_site": b, "tested_step": t, "accuracy": values[i, j]}
        for j, (b, t) in enumerate(cells)
        for i, (a, s) in enumerate(cells)
    ]
    frame = pd.DataFrame(rows).sort_values(["step", "site"], kind="stable", ignore_index=True)
    return frame, values


def test_rows_are_fits_columns_are_tests_and_colours_run_from_chance() -> None:
    frame, values = matrix([("mid_block", step) for step in range(3)])
    figure = plot_transfer(frame, chance=0.25)
    axes = figure.axes[0]
    (image,) = axes.images
    assert (np.asarray(image.get_array()) == values).all()
    assert image.get_clim() == (0.25, 1)
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["step 0", "step 1", "step 2"]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("fitted at (mid)", "tested at (mid)")
    assert [text.get_text() for text in figure.texts][:2] == ["Probes carried over", "accuracy of the probe"]
    assert "each place writes it in its own way" in " ".join(text.get_text() for text in reversed(figure.texts))
    scale = next(one for one in figure.axes if one.get_label() == "scale")
    assert [tick.get_text() for tick in scale.get_xticklabels()] == ["chance .25", ".62", "1.00"]


def test_numbers_stand_in_the_cells_bold_at_home_unless_there_are_many() -> None:
    frame, _ = matrix([("mid_block", 0), ("up_blocks.0", 0)])
    axes = plot_transfer(frame, chance=0.25).axes[0]
    shown = {text.get_position(): (text.get_text(), text.get_fontweight()) for text in axes.texts}
    assert shown == {
        (0, 0): (".20", "bold"), (1, 0): (".45", "normal"), (0, 1): (".70", "normal"), (1, 1): (".95", "bold")
    }  # fmt: skip
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["mid", "up 0"]
    many, _ = matrix([("mid_block", step) for step in range(17)])
    assert not plot_transfer(many, chance=0.25).axes[0].texts


def test_what_is_no_square_is_refused() -> None:
    frame, _ = matrix([("mid_block", 0), ("up_blocks.0", 1)])
    with pytest.raises(InputError, match="without the column accuracy came"):
        plot_transfer(frame.drop(columns="accuracy"), chance=0.25)
    for bad in (frame.iloc[1:], pd.concat([frame, frame.iloc[:1]])):
        with pytest.raises(InputError, match="each of 2 cells tested once at each"):
            plot_transfer(bad, chance=0.25)


@pytest.mark.parametrize("chance", [None, 1, -0.1, "half"])
def test_a_chance_that_is_none_is_refused(chance: Any) -> None:
    frame, _ = matrix([("mid_block", 0)])
    with pytest.raises(InputError, match="chance must be the accuracy of a guess"):
        plot_transfer(frame, chance=chance)
