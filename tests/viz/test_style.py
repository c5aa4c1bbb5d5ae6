import itertools

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from outcrop.viz import style


def test_the_style_ends_with_its_context() -> None:
    before = dict(mpl.rcParams)
    with style.figure_style():
        assert mpl.rcParams["svg.hashsalt"] == "outcrop"
    assert dict(mpl.rcParams) == before


def test_the_font_is_the_one_that_matplotlib_ships() -> None:
    path = mpl.font_manager.findfont(style.FONT, fallback_to_default=False)
    assert mpl.get_data_path() in path


MACHADO = {  # Machado, Oliveira and Fernandes (2009): colours as the eye without one kind of cone sees them
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(colour: str, sight: str) -> np.ndarray:
    srgb = np.array(to_rgb(colour))
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    white = TO_XYZ.sum(axis=1)
    xyz = TO_XYZ @ np.clip(np.array(MACHADO[sight]) @ linear, 0, 1) / white
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", MACHADO)
def test_fourteen_colours_can_be_told_apart_also_without_one_kind_of_cone(sight: str) -> None:
    seen = [lab(colour, sight) for colour in style.property_colours([f"p{i}" for i in range(14)]).values()]
    assert min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2)) > 15  # 2 is just visible


def test_fourteen_properties_have_their_own_colour_and_more_their_own_look() -> None:
    names = [f"p{i}" for i in range(28)]
    assert len(set(style.property_colours(names[:14]).values())) == 14
    looks = zip(style.property_colours(names).values(), style.property_markers(names).values(), strict=True)
    assert len(set(looks)) == 28


@pytest.mark.parametrize("text", ["", " ", "a", "down 0 · attn 0", "cost $3 and $4", "日本"])
def test_text_has_a_width(text: str) -> None:
    assert style.text_width(text + "xx", size=8) > style.text_width(text, size=8) >= 0


def test_fitted_text_fits_and_keeps_both_ends() -> None:
    text = "a_very_long_name.of_a_module.that_nobody_knows.0"
    short = style.fit_text(text, size=8, width=1.2)
    assert style.text_width(short, size=8) <= 1.2
    assert (short[0], short[-1], "…" in short) == (text[0], text[-1], True)
    assert style.fit_text("short", size=8, width=1.2) == "short"


def test_wrapped_text_keeps_its_words_and_fits() -> None:
    text = "Solid: accuracy of the probe, with its interval. Dashed: the same on the control task."
    lines = style.wrap(text, size=7, width=1.5)
    assert " ".join(lines) == text
    assert len(lines) > 1
    assert max(style.text_width(line, size=7) for line in lines) <= 1.5 * 1.05


@pytest.mark.parametrize(("count", "room"), [(7, 10), (140, 60), (140, 1), (1, 5), (20, 0)])
def test_thinning_is_regular_and_keeps_within_room(count: int, room: int) -> None:
    shown = style.thin(count, room=room)
    assert shown[0] == 0
    assert len(shown) <= max(1, room)
    assert len({b - a for a, b in itertools.pairwise(shown)}) <= 1
