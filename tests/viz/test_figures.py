import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from outcrop.data.errors import InputError, StorageError
from outcrop.viz.figures import render_figure, save_figure, write_figure, write_figures
from outcrop.viz.heatmap import plot_heatmap
from outcrop.viz.profiles import plot_profiles
from outcrop.viz.steps import plot_steps

Make = Callable[..., Any]


@pytest.mark.parametrize("plot", [plot_heatmap, plot_profiles, plot_steps])
@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_equal_tables_give_equal_bytes(make_frame: Make, plot: Make, kind: Literal["svg", "png", "pdf"]) -> None:
    frame = make_frame(("down_blocks.0", "mid_block", "up_blocks.0"), steps=4, properties=("content", "style"))
    first, second = plot(frame), plot(frame.copy())
    assert render_figure(first, kind=kind) == render_figure(first, kind=kind) == render_figure(second, kind=kind)


def test_svg_holds_no_date_no_font_and_no_program(frame: pd.DataFrame) -> None:
    text = render_figure(plot_profiles(frame), kind="svg").decode()
    ET.fromstring(text)
    assert "<dc:date>" not in text
    assert "Matplotlib v" not in text
    assert "<text" not in text
    assert "font-family" not in text


def test_png_has_200_dots_per_inch(frame: pd.DataFrame, tmp_path: Path) -> None:
    figure = plot_heatmap(frame)
    png, svg, pdf = save_figure(figure, tmp_path / "new" / "figure.v1")
    assert (png.name, svg.name, pdf.name) == ("figure.v1.png", "figure.v1.svg", "figure.v1.pdf")
    with Image.open(png) as image:
        assert np.allclose(image.size, 200 * figure.get_size_inches(), atol=1)
        assert "Software" not in image.info


def test_a_folder_that_cannot_be_written(frame: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Choose a folder"):
        save_figure(plot_heatmap(frame), tmp_path / "file" / "figure")


def test_pdf_embeds_its_font_whole_and_holds_no_date(frame: pd.DataFrame) -> None:
    content = render_figure(plot_profiles(frame), kind="pdf")
    assert content.startswith(b"%PDF-")
    assert b"/FontFile2" in content  # TrueType, as publishers ask for
    assert b"/Type3" not in content
    assert b"CreationDate" not in content


def test_the_ending_says_the_kind(frame: pd.DataFrame, tmp_path: Path) -> None:
    path = write_figure(plot_heatmap(frame), tmp_path / "one.PDF")
    assert path.read_bytes().startswith(b"%PDF-")
    assert [found.name for found in tmp_path.iterdir()] == ["one.PDF"]
    with pytest.raises(InputError, match=r"ends in .png, .svg or .pdf.*one\.tiff"):
        write_figure(plot_heatmap(frame), tmp_path / "one.tiff")


def test_every_figure_is_written(frame: pd.DataFrame, tmp_path: Path) -> None:
    written = write_figures(frame, tmp_path)
    assert sorted(path.name for path in written) == sorted(
        f"{stem}.{kind}"
        for stem in ("architecture", "heatmap", "heatmap_selectivity", "profiles", "steps")
        for kind in ("png", "svg", "pdf")
    )
    assert all(path.stat().st_size > 1000 for path in written)


def test_what_the_table_lacks_is_left_out(frame: pd.DataFrame, tmp_path: Path) -> None:
    one = frame[frame["step"] == 2].assign(control=np.nan, selectivity=np.nan)
    assert {path.stem for path in write_figures(one, tmp_path)} == {"architecture", "heatmap", "profiles"}
